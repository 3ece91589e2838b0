//! What one machine is told to do: the values that come out of `ezio.conf`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ezio_contract::inventory::Overwrite;
use serde::{Deserialize, Serialize};

use super::grow::Grow;
use super::identity::{Identity, Windows};
use super::pattern::Pattern;
use super::units::{parse_duration, print_duration};
use super::writing::Writing;
use crate::names::is_image_name;

/// Everything one machine is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Orders {
    /// What to write, and where: at least one. A disk that one of them takes is not there for those behind it.
    pub writes: Vec<Write>,
    /// What of a larger target is filled.
    pub grow: Grow,
    /// How long to serve others afterwards.
    pub seed: SeedPolicy,
    /// What follows a good run.
    pub end: EndAction,
    /// What follows a failed run.
    pub on_error: EndAction,
    /// Commands before and after.
    pub hooks: Hooks,
    /// What is done to a UEFI machine's firmware.
    pub uefi: Uefi,
    /// How targets are written.
    pub writing: Writing,
    /// What makes this clone differ from the next.
    pub identity: Identity,
    /// The same for Windows.
    pub windows: Windows,
    /// Where to send reports; none: derived from where the conf came from.
    pub report: Option<String>,
    /// What these orders stand in, for people: "ezio.conf, its entry for MAC 52:54:00:12:34:56", "the order of anna, 2026-12-01 03:00".
    pub chosen_by: String,
}

impl Orders {
    /// Leaves rules that name no disk these alone; none: any.
    pub fn allow_only(&mut self, disks: &[PathBuf]) {
        for write in self.writes.iter_mut().filter(|write| write.disk.path.is_empty()) {
            write.disk.path = disks.to_vec();
        }
    }
}

/// One image, and where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Image to deploy.
    pub image: ImageRef,
    /// Partition *of the image* to deploy to a single partition ("sda1"); needed only where the
    /// image holds more than one with content.
    pub partition: Option<String>,
    /// What to write.
    pub target: Target,
    /// Which disk may be written.
    pub disk: DiskRule,
    /// What may be on it.
    pub overwrite: Overwrite,
}

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ImageRef {
    /// An image directory of the server that the conf came from, a set of them, or a disk of a set (`lab/sda`).
    Name(String),
    /// A full URL: an image directory, a `.torrent` file, or a magnet link.
    Url(String),
    /// Path of a `.torrent` file on the server that the conf came from.
    TorrentPath(String),
}

impl ImageRef {
    /// Of the server that the conf came from.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Url(_) | Self::TorrentPath(_) => None,
        }
    }
}

impl FromStr for ImageRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_image_name(text) && !text.ends_with(".torrent") {
            return Ok(Self::Name(text.to_owned()));
        }
        if text.contains(':') {
            let url = url::Url::parse(text).map_err(|e| format!("{text:?} is not a URL: {e}"))?;
            return match url.scheme() {
                "http" | "https" | "tftp" if url.has_host() => Ok(Self::Url(text.to_owned())),
                "magnet" => Ok(Self::Url(text.to_owned())),
                _ => Err(format!("{text:?}: an image URL begins with http://, https://, tftp:// or magnet:")),
            };
        }
        let escapes = text.split('/').any(|part| part == "..");
        if text.ends_with(".torrent") && !escapes && !text.contains(char::is_control) {
            return Ok(Self::TorrentPath(text.to_owned()));
        }
        Err(format!(
            "{text:?} is not an image: write the name of an image on the server (letters, digits, '.', '_', '-'), \
             a URL, or the path of a .torrent file on the server"
        ))
    }
}

impl TryFrom<String> for ImageRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        match image {
            ImageRef::Name(text) | ImageRef::Url(text) | ImageRef::TorrentPath(text) => text,
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Url(text) | Self::TorrentPath(text) => f.write_str(text),
        }
    }
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A whole disk, table and all.
    WholeDisk {
        /// Every disk that fits the rules; otherwise exactly one must.
        all: bool,
    },
    /// One partition that exists already; table and boot code stay as they are.
    Partition(PartitionSelector),
}

/// How a partition is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionSelector {
    /// By its device: `/dev/sda1`, `/dev/disk/by-…`, `/dev/vg/lv`.
    Path(PathBuf),
    /// By its label: the partition's name in a GPT, or the label of its file system.
    Label(String),
    /// By its unique id: GPT's, or `DISKID-NN` on MBR disks, as the kernel prints it; lower case.
    PartUuid(String),
}

impl fmt::Display for PartitionSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Label(label) => write!(f, "LABEL={label}"),
            Self::PartUuid(uuid) => write!(f, "PARTUUID={uuid}"),
        }
    }
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// NVM Express.
    Nvme,
    /// SATA and parallel ATA.
    #[serde(alias = "sata", alias = "ide")]
    Ata,
    /// USB.
    Usb,
    /// virtio-blk and virtio-scsi.
    Virtio,
    /// SAS, parallel SCSI, and controllers that look like it.
    #[serde(alias = "sas")]
    Scsi,
    /// eMMC and SD cards.
    Mmc,
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvme => "nvme",
            Self::Ata => "ata",
            Self::Usb => "usb",
            Self::Virtio => "virtio",
            Self::Scsi => "scsi",
            Self::Mmc => "mmc",
        })
    }
}

/// Which disks may be written. Every part that is given must hold; of a list, one must.
///
/// Whatever the rule: the disk that the system runs from, disks in use and read-only disks never
/// fit, and removable ones only when asked for by `removable` or `path`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskRule {
    /// Device paths; empty: any. Links (`/dev/disk/by-path/…`) work where udev makes them, which the
    /// netbooted client does not: there, `serial` and `wwn` are what does not change.
    pub path: Vec<PathBuf>,
    /// Smallest size in bytes.
    pub min_size: Option<u64>,
    /// Largest size in bytes.
    pub max_size: Option<u64>,
    /// Buses; empty: any.
    pub bus: Vec<Bus>,
    /// Models, with `*` and `?`, upper and lower case alike; empty: any.
    pub model: Vec<Pattern>,
    /// Serial numbers, likewise.
    pub serial: Vec<Pattern>,
    /// World-wide names, likewise.
    pub wwn: Vec<Pattern>,
    /// Only removable disks, or only fixed ones; none: fixed ones, unless `path` names the disk.
    pub removable: Option<bool>,
}

/// How long a machine serves others once it is done: until the first of the given bounds is
/// reached. None given at all: for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeedPolicy {
    /// Until it has sent this multiple of the image's bytes.
    pub ratio: Option<f64>,
    /// Until nobody has asked for anything for so long.
    pub idle: Option<Duration>,
    /// For so long; zero: not at all.
    pub time: Option<Duration>,
    /// Until the server, which knows the room, lets it go.
    pub until_released: bool,
}

/// Longest time that [`SeedPolicy::default`] waits for somebody to ask.
const DEFAULT_IDLE: Duration = Duration::from_secs(15 * 60);

impl Default for SeedPolicy {
    /// Until the server says that nobody needs it, or nobody has asked for 15 minutes.
    fn default() -> Self {
        Self { ratio: None, idle: Some(DEFAULT_IDLE), time: None, until_released: true }
    }
}

impl SeedPolicy {
    /// Without any bound.
    pub const FOREVER: Self = Self { ratio: None, idle: None, time: None, until_released: false };
    /// Not at all.
    pub const NONE: Self =
        Self { ratio: None, idle: None, time: Some(Duration::ZERO), until_released: false };

    /// Does it not serve at all?
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.time == Some(Duration::ZERO) || self.ratio.is_some_and(|r| r <= 0.0)
    }

    /// Does it serve without a bound?
    #[must_use]
    pub fn is_forever(&self) -> bool {
        *self == Self::FOREVER
    }

    /// Is serving over? `sent` and `image` are bytes, `elapsed` counts since the image was complete,
    /// `idle` since somebody last asked.
    #[must_use]
    pub fn is_over(&self, sent: u64, image: u64, elapsed: Duration, idle: Duration, released: bool) -> bool {
        self.is_none()
            || (self.until_released && released)
            || self.ratio.is_some_and(|ratio| sent as f64 >= ratio * image as f64)
            || self.idle.is_some_and(|bound| idle >= bound)
            || self.time.is_some_and(|bound| elapsed >= bound)
    }
}

impl FromStr for SeedPolicy {
    type Err = String;

    /// Reads `none`, `forever`, or bounds joined by commas: `ratio=1.5,idle=15m,time=1h,until-released`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => return Ok(Self::NONE),
            "forever" => return Ok(Self::FOREVER),
            _ => {}
        }
        let mut policy = Self::FOREVER;
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some(("ratio", number)) => policy.ratio = Some(parse_ratio(number)?),
                Some(("idle", duration)) => policy.idle = Some(parse_duration(duration)?),
                Some(("time", duration)) => policy.time = Some(parse_duration(duration)?),
                None if part == "until-released" => policy.until_released = true,
                _ => {
                    return Err(format!(
                        "{part:?} is no bound for seeding: write none, forever, or some of ratio=1.5, idle=15m, \
                         time=1h, until-released, joined by commas"
                    ));
                }
            }
        }
        Ok(policy)
    }
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 =
        text.parse().map_err(|_| format!("{text:?} is not a ratio: write a number such as 1.5"))?;
    check_ratio(ratio)
}

pub(super) fn check_ratio(ratio: f64) -> Result<f64, String> {
    if ratio.is_finite() && (0.0..=1e6).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(format!("{ratio} is not a ratio: write a number from 0 to 1000000"))
    }
}

impl fmt::Display for SeedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let mut parts = Vec::new();
        parts.extend(self.ratio.map(|ratio| format!("ratio={ratio}")));
        parts.extend(self.idle.map(|d| format!("idle={}", print_duration(d))));
        parts.extend(self.time.map(|d| format!("time={}", print_duration(d))));
        parts.extend(self.until_released.then(|| "until-released".to_owned()));
        if parts.is_empty() { f.write_str("forever") } else { f.write_str(&parts.join(",")) }
    }
}

/// What a machine does at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndAction {
    /// Restart.
    #[default]
    Reboot,
    /// Switch off.
    PowerOff,
    /// Give a shell on the console.
    Shell,
    /// Stay as it is, with the screen as it is.
    Hold,
}

impl FromStr for EndAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reboot" => Ok(Self::Reboot),
            "poweroff" => Ok(Self::PowerOff),
            "shell" => Ok(Self::Shell),
            "hold" => Ok(Self::Hold),
            _ => Err(format!("{text:?} is no end action: write reboot, poweroff, shell or hold")),
        }
    }
}

impl fmt::Display for EndAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reboot => "reboot",
            Self::PowerOff => "poweroff",
            Self::Shell => "shell",
            Self::Hold => "hold",
        })
    }
}

/// What is done to a UEFI machine's firmware after a whole disk was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Uefi {
    /// It gets boot entries for the loaders on the disk, and loses those for what was there before.
    pub entries: bool,
}

impl Default for Uefi {
    fn default() -> Self {
        Self { entries: true }
    }
}

/// Shell command lines that a machine runs; one that fails ends the run as failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hooks {
    /// Before anything is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Once everything is on the disk, before the end action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

impl Hooks {
    /// Is there nothing to run?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}
