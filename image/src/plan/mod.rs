//! What will be written where, in order: the checked join of a manifest, its partition table, its
//! torrents and the target.
//!
//! A half-written disk must not boot: old tables are cleared first, then comes the payload, and
//! what makes a disk bootable (table, boot code) last, between two syncs.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use crate::extents::ExtentMap;
use crate::layout::{Layout, LayoutError, Table, TableImage};
use crate::manifest::{Content, Manifest, ManifestError, PartitionInfo, SourceKind};
use crate::metainfo::{Metainfo, MetainfoError};
use crate::swap::{self, SwapError};

mod display;

#[cfg(test)]
mod tests;

/// Cleared at the beginning and at the end of a disk before anything else: old tables and boot code.
const CLEARED: u64 = 1 << 20;
/// Cleared at the head of swap and of partitions without content: signatures of what was there.
const CLEARED_HEAD: u64 = 128 << 10;

/// Everything that an image directory says, parsed.
#[derive(Debug, Clone)]
pub struct ImageParts {
    /// `manifest.toml`.
    pub manifest: Manifest,
    /// `layout.sfdisk`; images of disks with a table have it.
    pub layout: Option<Layout>,
    /// `PART.torrent`, by the partition's name in the manifest.
    pub metainfos: BTreeMap<String, Arc<Metainfo>>,
    /// `boot-code.bin`.
    pub boot_code: Option<Vec<u8>>,
    /// `hidden.bin`.
    pub hidden: Option<Vec<u8>>,
}

/// Why nothing is written.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The manifest is wrong in itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The table does not fit the target.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Parts of the image contradict each other.
    #[error("the image does not match its manifest: {0}")]
    Mismatch(String),
    /// A torrent is wrong in itself.
    #[error("the torrent of {name} is damaged")]
    Torrent {
        /// The partition.
        name: String,
        /// What is wrong.
        source: MetainfoError,
    },
    /// The target cannot hold it.
    #[error("the target is too small by {missing} bytes: it has {size}, {what} needs {needed}")]
    TooSmall {
        /// What needs the room.
        what: String,
        /// Bytes that are missing.
        missing: u64,
        /// Bytes that the target has.
        size: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// A partition of an image is to go to a partition, and it is not clear which.
    #[error("the image {image} has {}: say which one is meant with partition = \"…\"", list(.has))]
    WhichPartition {
        /// The image.
        image: String,
        /// Its partitions with content.
        has: Vec<String>,
    },
    /// The image has no such partition, or nothing is in it.
    #[error("the image {image} has no content for a partition {wanted:?}: it has {}", list(.has))]
    NoSuchPartition {
        /// The image.
        image: String,
        /// What was asked for.
        wanted: String,
        /// Its partitions with content.
        has: Vec<String>,
    },
    /// The image of one partition is to go to a whole disk.
    #[error("{image} is the image of a single partition: name a partition as the target, not a whole disk")]
    NotADisk {
        /// The image.
        image: String,
    },
    /// Swap cannot be made.
    #[error("cannot make swap on {name}")]
    Swap {
        /// The partition.
        name: String,
        /// Why.
        source: SwapError,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// One thing to do. Offsets are bytes on the target.
#[derive(Debug, Clone)]
pub enum Step {
    /// Write zeros.
    Clear {
        /// Where.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// What is thereby lost, for people.
        what: String,
    },
    /// Receive a torrent's content and write it.
    Payload(Payload),
    /// Write these bytes.
    Write {
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
        /// What it is, for people.
        what: String,
    },
    /// Wait until everything so far is on the medium.
    Sync,
    /// Write the table and the boot code, in the order of [`TableImage::writes`].
    Table {
        /// The bytes.
        image: TableImage,
        /// What it is, for people.
        what: String,
    },
    /// Make the kernel know the new partitions.
    Reread,
}

/// The content of one torrent and its place.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Name of the partition in the image, or of the torrent.
    pub name: String,
    /// The torrent.
    pub metainfo: Arc<Metainfo>,
    /// Where its content lies, counted from `base`.
    pub extents: Arc<ExtentMap>,
    /// Where its partition begins on the target; 0 for a whole disk or a single partition.
    pub base: u64,
    /// Bytes of its partition, or of the target.
    pub room: u64,
}

/// A checked plan: no step leads out of the target or into another partition.
#[derive(Debug, Clone)]
pub struct Plan {
    title: String,
    steps: Vec<Step>,
    layout: Option<Layout>,
}

impl ImageParts {
    /// Smallest disk that the whole image can go to, in bytes; `None` for the image of one partition.
    #[must_use]
    pub fn needed_for_disk(&self) -> Option<u64> {
        let disk = self.manifest.disk.as_ref()?;
        let raw = self.metainfos.values().filter(|m| m.is_raw()).map(|m| m.total_length()).max().unwrap_or(0);
        Some(match (self.manifest.source.kind, &self.layout) {
            (SourceKind::RawDisk, _) => disk.minimum_size.max(raw),
            (_, Some(layout)) => disk.minimum_size.max(layout.minimum_size()),
            (_, None) => disk.minimum_size,
        })
    }

    /// Smallest partition that partition `wanted` of the image can go to, in bytes; without a name
    /// the only one with content.
    ///
    /// # Errors
    /// It is not clear which one is meant, or there is none.
    pub fn needed_for_partition(&self, wanted: Option<&str>) -> Result<u64, PlanError> {
        let info = self.partition(wanted)?;
        Ok(self.payload(info, 0)?.extents.target_end())
    }

    /// The plan for a whole disk of `size` bytes.
    ///
    /// # Errors
    /// The image contradicts itself, or does not fit the disk.
    pub fn plan_for_disk(&self, size: u64, sector_size: u32) -> Result<Plan, PlanError> {
        self.manifest.check()?;
        match (self.manifest.source.kind, &self.layout) {
            (SourceKind::Partition, _) => Err(PlanError::NotADisk { image: self.manifest.name.clone() }),
            (SourceKind::RawDisk, _) => self.plan_for_raw_disk(size, sector_size),
            (SourceKind::Disk, None) => Err(PlanError::Mismatch("the partition table is missing".to_owned())),
            (SourceKind::Disk, Some(layout)) => self.plan_with_table(layout, size, sector_size),
        }
    }

    /// The plan for a partition of `size` bytes that exists already: its table stays as it is.
    ///
    /// # Errors
    /// The image contradicts itself, it is not clear which of its partitions is meant, or it does
    /// not fit.
    pub fn plan_for_partition(&self, wanted: Option<&str>, size: u64) -> Result<Plan, PlanError> {
        self.manifest.check()?;
        let info = self.partition(wanted)?;
        let mut payload = self.payload(info, 0)?;
        let needed = payload.extents.target_end();
        fits(&format!("{} of {}", info.name, self.manifest.name), needed, size)?;
        payload.room = size;
        let title = format!("image {}, {}, to a partition of {size} bytes", self.manifest.name, info.name);
        Ok(Plan::of_one_payload(title, payload))
    }

    fn partition(&self, wanted: Option<&str>) -> Result<&PartitionInfo, PlanError> {
        let filled: Vec<_> = self.manifest.partitions.iter().filter(|p| p.has_torrent()).collect();
        let has = || filled.iter().map(|p| p.name.clone()).collect();
        let image = self.manifest.name.clone();
        match (wanted, &filled[..]) {
            (None, [one]) => Ok(one),
            (None, _) => Err(PlanError::WhichPartition { image, has: has() }),
            (Some(name), _) => filled
                .iter()
                .find(|p| p.name == name)
                .copied()
                .ok_or_else(|| PlanError::NoSuchPartition { image, wanted: name.to_owned(), has: has() }),
        }
    }

    /// The payload of a partition, checked against the manifest.
    fn payload(&self, info: &PartitionInfo, base: u64) -> Result<Payload, PlanError> {
        let mismatch = |what: String| PlanError::Mismatch(format!("{}: {what}", info.name));
        let metainfo =
            self.metainfos.get(&info.name).ok_or_else(|| mismatch("its torrent is missing".to_owned()))?;
        let found = metainfo.info_hash().as_string();
        let expected = info.torrent_info_hash().unwrap_or_default();
        if !found.eq_ignore_ascii_case(expected) {
            return Err(mismatch(format!(
                "its torrent has the info hash {found}, the manifest says {expected}"
            )));
        }
        if let Content::Blocks { used, .. } = info.content
            && used != metainfo.total_length()
        {
            let length = metainfo.total_length();
            return Err(mismatch(format!("its torrent has {length} bytes, the manifest says {used}")));
        }
        if matches!(info.content, Content::Raw { .. }) != metainfo.is_raw() {
            return Err(mismatch("one says raw, the other blocks in use".to_owned()));
        }
        let extents =
            metainfo.extents().map_err(|source| PlanError::Torrent { name: info.name.clone(), source })?;
        if extents.target_end() > info.size {
            return Err(mismatch(format!(
                "its torrent writes up to byte {} of a partition of {} bytes",
                extents.target_end(),
                info.size
            )));
        }
        Ok(Payload {
            name: info.name.clone(),
            metainfo: Arc::clone(metainfo),
            extents: Arc::new(extents),
            base,
            room: info.size,
        })
    }

    fn plan_for_raw_disk(&self, size: u64, sector_size: u32) -> Result<Plan, PlanError> {
        let [info] = &self.manifest.partitions[..] else {
            return Err(PlanError::Mismatch("a raw disk has one part".to_owned()));
        };
        let mut payload = self.payload(info, 0)?;
        let needed = self.needed_for_disk().unwrap_or(info.size);
        fits(&format!("the image {}", self.manifest.name), needed, size)?;
        if let Some(disk) = &self.manifest.disk
            && disk.sector_size != sector_size
        {
            return Err(LayoutError::SectorSize { disk: sector_size, image: disk.sector_size }.into());
        }
        payload.room = size;
        let title = format!(
            "image {}, raw, to a disk of {size} bytes with sectors of {sector_size}",
            self.manifest.name
        );
        let mut steps = clear_disk(size);
        steps.extend([Step::Payload(payload), Step::Sync, Step::Reread]);
        Ok(Plan { title, steps, layout: None })
    }

    fn plan_with_table(&self, layout: &Layout, size: u64, sector_size: u32) -> Result<Plan, PlanError> {
        self.check_layout(layout)?;
        let needed = self.needed_for_disk().unwrap_or_default();
        // First the layout, whose words are about sectors and its own need.
        let table = layout.encode(size, sector_size)?;
        fits(&format!("the image {}", self.manifest.name), needed, size)?;
        let mut steps = clear_disk(size);
        for info in &self.manifest.partitions {
            let extended = layout.partition(info.number).is_some_and(crate::layout::Partition::is_extended);
            match &info.content {
                Content::Blocks { .. } | Content::Raw { .. } => {
                    steps.push(Step::Payload(self.payload(info, info.offset)?));
                }
                Content::Swap => steps.extend(swap_steps(info)?),
                Content::Empty if extended => {}
                Content::Empty => steps.push(clear_head(info)),
            }
        }
        // Payload first: it is what takes long, and all of it must be done before the table.
        steps.sort_by_key(|step| match step {
            Step::Clear { .. } => 0,
            Step::Payload(_) => 1,
            _ => 2,
        });
        steps.extend(self.hidden_step(layout)?);
        let boot_code = self.boot_code.as_deref().unwrap_or_default();
        let kind = match layout.table() {
            Table::Gpt { .. } => "GPT",
            Table::Dos { .. } => "MBR",
        };
        let count = layout.partitions().len();
        let what = format!(
            "{kind} with {count} partitions, {}",
            if boot_code.is_empty() { "no boot code" } else { "boot code" }
        );
        steps.push(Step::Sync);
        steps.push(Step::Table { image: table.with_boot_code(boot_code), what });
        steps.extend([Step::Sync, Step::Reread]);
        let title =
            format!("image {} to a disk of {size} bytes with sectors of {sector_size}", self.manifest.name);
        Ok(Plan { title, steps, layout: Some(layout.clone()) })
    }

    /// The table and the manifest name the same partitions at the same places.
    fn check_layout(&self, layout: &Layout) -> Result<(), PlanError> {
        let mismatch = |what: String| Err(PlanError::Mismatch(what));
        if let Some(disk) = &self.manifest.disk
            && disk.sector_size != layout.sector_size()
        {
            return mismatch(format!(
                "the table counts in sectors of {} bytes, the manifest of {}",
                layout.sector_size(),
                disk.sector_size
            ));
        }
        for info in &self.manifest.partitions {
            let Some(p) = layout.partition(info.number) else {
                return mismatch(format!("{}: the table has no partition {}", info.name, info.number));
            };
            let range = layout.byte_range(p);
            if (range.start, range.end - range.start) != (info.offset, info.size) {
                return mismatch(format!(
                    "{}: the table puts it at byte {} with {} bytes, the manifest at {} with {}",
                    info.name,
                    range.start,
                    range.end - range.start,
                    info.offset,
                    info.size
                ));
            }
        }
        match layout
            .partitions()
            .iter()
            .find(|p| self.manifest.partitions.iter().all(|i| i.number != p.number))
        {
            Some(p) => mismatch(format!("partition {} of the table is not in the manifest", p.number)),
            None => Ok(()),
        }
    }

    fn hidden_step(&self, layout: &Layout) -> Result<Option<Step>, PlanError> {
        let Some(bytes) = self.hidden.as_ref().filter(|b| !b.is_empty()) else { return Ok(None) };
        if matches!(layout.table(), Table::Gpt { .. }) {
            let what = "there are hidden sectors, but a GPT lies in their place".to_owned();
            return Err(PlanError::Mismatch(what));
        }
        let offset = u64::from(layout.sector_size());
        let end = offset + bytes.len() as u64;
        let first = layout.first_partition_offset().unwrap_or(u64::MAX);
        if end > first {
            return Err(PlanError::Mismatch(format!(
                "the hidden sectors end at byte {end}, the first partition begins at {first}"
            )));
        }
        Ok(Some(Step::Write {
            offset,
            bytes: bytes.clone(),
            what: "hidden sectors after the MBR".to_owned(),
        }))
    }
}

fn fits(what: &str, needed: u64, size: u64) -> Result<(), PlanError> {
    match needed.checked_sub(size) {
        Some(missing) if missing > 0 => {
            Err(PlanError::TooSmall { what: what.to_owned(), missing, size, needed })
        }
        _ => Ok(()),
    }
}

fn clear_disk(size: u64) -> Vec<Step> {
    let head = size.min(CLEARED);
    let tail = (size - head).min(CLEARED);
    let clear = |offset, length, what: &str| Step::Clear { offset, length, what: what.to_owned() };
    let mut steps = vec![clear(0, head, "old table and boot code")];
    if tail > 0 {
        steps.push(clear(size - tail, tail, "old backup of a GPT"));
    }
    steps
}

fn clear_head(info: &PartitionInfo) -> Step {
    let what = format!("old signatures in {}", info.name);
    Step::Clear { offset: info.offset, length: info.size.min(CLEARED_HEAD), what }
}

fn swap_steps(info: &PartitionInfo) -> Result<[Step; 2], PlanError> {
    let uuid = match &info.uuid {
        None => None,
        Some(text) => Some(Uuid::try_parse(text).map_err(|_| {
            PlanError::Mismatch(format!("{}: {text:?} is not the UUID of a swap partition", info.name))
        })?),
    };
    let bytes = swap::signature(info.size, uuid, info.label.as_deref())
        .map_err(|source| PlanError::Swap { name: info.name.clone(), source })?;
    let what = format!("swap {}", info.name);
    Ok([clear_head(info), Step::Write { offset: info.offset, bytes, what }])
}

impl Plan {
    /// The plan for one torrent, as it stands, onto a target of `size` bytes: a disk, a partition or
    /// a file.
    ///
    /// # Errors
    /// The torrent's runs do not fit together, or lead behind the target's end.
    pub fn for_torrent(metainfo: Arc<Metainfo>, size: u64) -> Result<Self, PlanError> {
        let name = metainfo.name().to_owned();
        let extents =
            metainfo.extents().map_err(|source| PlanError::Torrent { name: name.clone(), source })?;
        fits(&format!("the torrent {name}"), extents.target_end(), size)?;
        let title = format!("torrent {name} to a target of {size} bytes");
        let payload = Payload { name, metainfo, extents: Arc::new(extents), base: 0, room: size };
        Ok(Self::of_one_payload(title, payload))
    }

    /// The old file system is made unusable first, so that half of a new one does not pass for it.
    fn of_one_payload(title: String, payload: Payload) -> Self {
        let length = payload.room.min(CLEARED);
        let what = "old signatures and superblock".to_owned();
        let steps = vec![Step::Clear { offset: 0, length, what }, Step::Payload(payload), Step::Sync];
        Self { title, steps, layout: None }
    }

    /// What to do, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What to do before the payload.
    #[must_use]
    pub fn before_payload(&self) -> &[Step] {
        let first = self.steps.iter().position(|s| matches!(s, Step::Payload(_)));
        &self.steps[..first.unwrap_or_else(|| self.without_payload())]
    }

    /// The payload: all of it is received at the same time.
    pub fn payloads(&self) -> impl Iterator<Item = &Payload> {
        self.steps.iter().filter_map(|step| match step {
            Step::Payload(payload) => Some(payload),
            _ => None,
        })
    }

    /// What to do after the payload is verified.
    #[must_use]
    pub fn after_payload(&self) -> &[Step] {
        let last = self.steps.iter().rposition(|s| matches!(s, Step::Payload(_)));
        &self.steps[last.map_or_else(|| self.without_payload(), |i| i + 1)..]
    }

    /// Where the clearing ends in a plan that has no payload at all.
    fn without_payload(&self) -> usize {
        self.steps.iter().position(|s| !matches!(s, Step::Clear { .. })).unwrap_or(self.steps.len())
    }

    /// Bytes to receive.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.payloads().map(|p| p.extents.total_length()).sum()
    }

    /// The partition table that is written, if one is.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }
}
