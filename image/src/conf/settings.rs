//! What can be set, for all machines or for some.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ezio_contract::inventory::Overwrite;
use serde::{Deserialize, Serialize, Serializer};

use super::grow::Grow;
use super::identity::{Identity, Windows};
use super::list::{disks, one_or_many, seed, size};
use super::orders::{
    Bus, DiskRule, EndAction, Hooks, ImageRef, Orders, PartitionSelector, SeedPolicy, Target, Uefi, Write,
};
use super::pattern::Pattern;
use super::units::print_size;
use super::writing::Writing;

/// Settings of `ezio.conf`; what is not set is taken from the level above.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Image to deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Partition of the image, for a target that is a partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// What to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSetting>,
    /// What of a larger target is filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grow: Option<Grow>,
    /// What follows a good run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EndAction>,
    /// What follows a failed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<EndAction>,
    /// How long to serve others.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print_seed")]
    pub seed: Option<SeedPolicy>,
    /// Which disks; replaces the whole rule, or all rules, of the level above.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "print_disks")]
    pub disk: Option<Vec<DiskSetting>>,
    /// Commands; replaces all of those of the level above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// The firmware's boot entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uefi: Option<Uefi>,
    /// How targets are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Writing>,
    /// What makes a clone differ from the next; replaces all of the level above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The same for Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

fn print_seed<S: Serializer>(policy: &Option<SeedPolicy>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&policy.unwrap_or_default())
}

/// As it may have been read: `[disk]`, or `[[disk]]`.
fn print_disks<S: Serializer>(disks: &Option<Vec<DiskSetting>>, serializer: S) -> Result<S::Ok, S::Error> {
    match disks.as_deref().unwrap_or_default() {
        [disk @ DiskSetting { image: None, .. }] => disk.serialize(serializer),
        disks => disks.serialize(serializer),
    }
}

/// Value of `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TargetSetting {
    /// `disk`: the disk that the rules choose.
    Disk,
    /// The path of a whole disk.
    DiskPath(PathBuf),
    /// A partition.
    Partition(PartitionSelector),
}

impl FromStr for TargetSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let refuse = || {
            format!(
                "{text:?} is no target: write \"disk\", the path of a disk or partition (/dev/sda, /dev/sda1), \
                 \"LABEL=…\" or \"PARTUUID=…\""
            )
        };
        if text == "disk" {
            return Ok(Self::Disk);
        }
        if let Some(label) = text.strip_prefix("LABEL=").or_else(|| text.strip_prefix("PARTLABEL=")) {
            return if label.is_empty() { Err(refuse()) } else { Ok(Self::label(label)) };
        }
        if let Some(uuid) = text.strip_prefix("PARTUUID=") {
            let known = !uuid.is_empty() && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
            let selector = PartitionSelector::PartUuid(uuid.to_ascii_lowercase());
            return if known { Ok(Self::Partition(selector)) } else { Err(refuse()) };
        }
        if !is_device_path(text) {
            return Err(refuse());
        }
        let path = PathBuf::from(text);
        Ok(if names_a_partition(text) {
            Self::Partition(PartitionSelector::Path(path))
        } else {
            Self::DiskPath(path)
        })
    }
}

impl TargetSetting {
    fn label(label: &str) -> Self {
        Self::Partition(PartitionSelector::Label(label.to_owned()))
    }
}

impl TryFrom<String> for TargetSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TargetSetting> for String {
    fn from(target: TargetSetting) -> Self {
        match target {
            TargetSetting::Disk => "disk".to_owned(),
            TargetSetting::DiskPath(path) => path.display().to_string(),
            TargetSetting::Partition(selector) => selector.to_string(),
        }
    }
}

fn is_device_path(text: &str) -> bool {
    text.len() > 5
        && text.starts_with("/dev/")
        && text.split('/').all(|part| part != ".." && part != ".")
        && !text.contains(char::is_control)
}

/// Does this path name a partition or a volume, rather than a whole disk? By the kernel's names:
/// `sda1`, `nvme0n1p2`, `mmcblk0p1`, by-id links that end in `-part1`; device-mapper and LVM
/// volumes count as partitions, since a table on them is not what anybody means.
#[must_use]
pub fn names_a_partition(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = stem.len() < name.len();
    if let Some(rest) = path.strip_prefix("/dev/disk/") {
        // All but by-id and by-path name what is on a partition.
        let names_disks =
            rest.starts_with("by-id/") || rest.starts_with("by-path/") || rest.starts_with("by-diskseq/");
        return !names_disks || (numbered && stem.ends_with("-part"));
    }
    let Some(device) = path.strip_prefix("/dev/") else { return false };
    if device.contains('/') || device.starts_with("dm-") {
        return true;
    }
    let digit_before_p = stem.strip_suffix('p').is_some_and(|s| s.ends_with(|c: char| c.is_ascii_digit()));
    let letters_only = stem.bytes().all(|b| b.is_ascii_lowercase());
    let sd_like =
        ["sd", "hd", "vd", "xvd"].iter().any(|p| stem.strip_prefix(p).is_some_and(|s| !s.is_empty()));
    numbered && (digit_before_p || (letters_only && sd_like))
}

/// The table `[disk]`, or one of several, `[[disk]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskSetting {
    /// Image for this disk, where that is not the one of the level; in `[[disk]]` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// Device paths.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathBuf>,
    /// Smallest size in bytes.
    #[serde(
        default,
        deserialize_with = "size",
        skip_serializing_if = "Option::is_none",
        serialize_with = "show_size"
    )]
    pub min_size: Option<u64>,
    /// Largest size in bytes.
    #[serde(
        default,
        deserialize_with = "size",
        skip_serializing_if = "Option::is_none",
        serialize_with = "show_size"
    )]
    pub max_size: Option<u64>,
    /// Buses.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub bus: Vec<Bus>,
    /// Models.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<Pattern>,
    /// Serial numbers.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub serial: Vec<Pattern>,
    /// World-wide names.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub wwn: Vec<Pattern>,
    /// Removable or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removable: Option<bool>,
    /// Write every disk that fits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// What may be on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<Overwrite>,
}

fn show_size<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&print_size(bytes.unwrap_or_default()))
}

impl DiskSetting {
    /// What does not fit together in it, in words.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let (Some(min), Some(max)) = (self.min_size, self.max_size)
            && min > max
        {
            return Some(format!(
                "disk: min-size ({}) is above max-size ({}): no disk fits",
                print_size(min),
                print_size(max)
            ));
        }
        let odd = self.path.iter().find(|p| !is_device_path(&p.to_string_lossy()))?;
        Some(format!("disk: path {odd:?} is not a device: write a path below /dev/"))
    }

    fn rule(&self) -> DiskRule {
        DiskRule {
            path: self.path.clone(),
            min_size: self.min_size,
            max_size: self.max_size,
            bus: self.bus.clone(),
            model: self.model.clone(),
            serial: self.serial.clone(),
            wwn: self.wwn.clone(),
            removable: self.removable,
        }
    }
}

impl Settings {
    /// These settings, and where they say nothing, those of `above`.
    #[must_use]
    pub fn or(&self, above: &Self) -> Self {
        let own = self.clone();
        let above = above.clone();
        Self {
            image: own.image.or(above.image),
            partition: own.partition.or(above.partition),
            target: own.target.or(above.target),
            grow: own.grow.or(above.grow),
            end: own.end.or(above.end),
            on_error: own.on_error.or(above.on_error),
            seed: own.seed.or(above.seed),
            disk: own.disk.or(above.disk),
            hooks: own.hooks.or(above.hooks),
            uefi: own.uefi.or(above.uefi),
            write: own.write.or(above.write),
            identity: own.identity.or(above.identity),
            windows: own.windows.or(above.windows),
        }
    }

    fn disks(&self) -> Vec<DiskSetting> {
        self.disk.clone().unwrap_or_else(|| vec![DiskSetting::default()])
    }

    /// Every image that they name.
    pub(super) fn images(&self) -> impl Iterator<Item = &ImageRef> {
        self.image.iter().chain(self.disk.iter().flatten().filter_map(|disk| disk.image.as_ref()))
    }

    /// Is there an image for everything that is to be written?
    pub(super) fn has_images(&self) -> bool {
        self.image.is_some() || self.disks().iter().all(|disk| disk.image.is_some())
    }

    /// What does not fit together in these settings (merged with those above), in words.
    pub(super) fn contradiction(&self) -> Option<String> {
        let disks = self.disks();
        if let Some(found) = disks.iter().find_map(DiskSetting::contradiction) {
            return Some(found);
        }
        let [disk] = disks.as_slice() else {
            let whole = matches!(self.target, None | Some(TargetSetting::Disk)) && self.partition.is_none();
            return (!whole).then(|| {
                "with several [[disk]], each is a whole disk: leave target and partition out".into()
            });
        };
        match &self.target {
            Some(TargetSetting::Partition(partition)) if disk.all => {
                Some(format!("target {partition} is one partition, but the disk rule says all = true"))
            }
            Some(TargetSetting::Partition(PartitionSelector::Path(path))) if !disk.path.is_empty() => {
                Some(format!("target names {} and the disk rule names a path too: keep one", path.display()))
            }
            Some(TargetSetting::DiskPath(path)) if disk.all || has_other_path(disk, path) => Some(format!(
                "target names the disk {}, but the disk rule allows others: keep one of them",
                path.display()
            )),
            None | Some(TargetSetting::Disk | TargetSetting::DiskPath(_)) if self.partition.is_some() => {
                Some(
                    "partition says which one of the image to write to a target that is a partition, \
                      but the target is a whole disk"
                        .to_owned(),
                )
            }
            _ => None,
        }
    }

    /// Orders, once every level is merged; `None` without an image.
    pub(super) fn orders(&self, report: Option<String>, chosen_by: String) -> Option<Orders> {
        Some(Orders {
            writes: self.disks().iter().map(|disk| self.write(disk)).collect::<Option<_>>()?,
            grow: self.grow.clone().unwrap_or_default(),
            seed: self.seed.unwrap_or_default(),
            end: self.end.unwrap_or(EndAction::Reboot),
            on_error: self.on_error.unwrap_or(EndAction::Hold),
            hooks: self.hooks.clone().unwrap_or_default(),
            uefi: self.uefi.unwrap_or_default(),
            writing: self.write.unwrap_or_default(),
            identity: self.identity.clone().unwrap_or_default(),
            windows: self.windows.clone().unwrap_or_default(),
            report,
            chosen_by,
        })
    }

    fn write(&self, setting: &DiskSetting) -> Option<Write> {
        let mut disk = setting.rule();
        let target = match self.target.clone().unwrap_or(TargetSetting::Disk) {
            TargetSetting::Disk => Target::WholeDisk { all: setting.all },
            TargetSetting::DiskPath(path) => {
                disk.path = vec![path];
                Target::WholeDisk { all: false }
            }
            TargetSetting::Partition(selector) => Target::Partition(selector),
        };
        let image = setting.image.clone().or_else(|| self.image.clone())?;
        let overwrite = setting.overwrite.unwrap_or_default();
        Some(Write { image, partition: self.partition.clone(), target, disk, overwrite })
    }
}

fn has_other_path(disk: &DiskSetting, path: &Path) -> bool {
    disk.path.iter().any(|p| p != path)
}

/// One level of the file as it is read: the same keys at the top and in each `[[machine]]`.
macro_rules! settings_level {
    ($(#[$doc:meta])* struct $name:ident { $($field:tt)* }) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(super) struct $name {
            $($field)*
            image: Option<ImageRef>,
            partition: Option<String>,
            target: Option<TargetSetting>,
            grow: Option<Grow>,
            end: Option<EndAction>,
            on_error: Option<EndAction>,
            #[serde(default, deserialize_with = "seed")]
            seed: Option<SeedPolicy>,
            #[serde(default, deserialize_with = "disks")]
            disk: Option<Vec<DiskSetting>>,
            hooks: Option<Hooks>,
            uefi: Option<Uefi>,
            write: Option<Writing>,
            identity: Option<Identity>,
            windows: Option<Windows>,
        }

        impl $name {
            pub(super) fn settings(&self) -> Settings {
                Settings {
                    image: self.image.clone(),
                    partition: self.partition.clone(),
                    target: self.target.clone(),
                    grow: self.grow.clone(),
                    end: self.end,
                    on_error: self.on_error,
                    seed: self.seed,
                    disk: self.disk.clone(),
                    hooks: self.hooks.clone(),
                    uefi: self.uefi,
                    write: self.write,
                    identity: self.identity.clone(),
                    windows: self.windows.clone(),
                }
            }
        }
    };
}

settings_level! {
    /// The top of the file.
    struct TopLevel {
        pub(super) report: Option<toml::Spanned<String>>,
        #[serde(default)]
        pub(super) group: Vec<toml::Spanned<super::machine::Group>>,
        #[serde(default)]
        pub(super) machine: Vec<toml::Spanned<MachineLevel>>,
    }
}

settings_level! {
    /// One `[[machine]]`.
    struct MachineLevel {
        #[serde(rename = "match")]
        pub(super) conditions: super::machine::PlacedMatch,
        pub(super) by: Option<String>,
    }
}
