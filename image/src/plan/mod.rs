//! What will be written where, in order: the join of a checked image and the target.
//!
//! A half-written disk must not boot: old tables are cleared first, then comes the payload, and
//! what makes a disk bootable (table, boot code) last, between two syncs.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use crate::conf::{Grow, Regenerate};
use crate::extents::ExtentMap;
use crate::layout::{Layout, LayoutError, TableImage};
use crate::metainfo::{Metainfo, MetainfoError};
use crate::swap::SwapError;
use stale::Stale;

mod display;
mod grow;
mod image;
mod lvm;
mod sectors;
mod stale;

#[cfg(test)]
mod grow_tests;
#[cfg(test)]
mod sectors_tests;
#[cfg(test)]
mod tests;

pub use grow::{Growth, VolumeGrowth};
pub(crate) use stale::places as signature_places;

/// Cleared at the beginning and at the end of a disk before anything else: old tables and boot code.
const CLEARED: u64 = 1 << 20;

/// Why nothing is written.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The table does not fit the target.
    #[error(transparent)]
    Layout(#[from] LayoutError),
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
    /// The target counts in other sectors than the image can be used with.
    #[error("{image} cannot go onto a disk with sectors of {disk} bytes: {why}")]
    Sectors {
        /// The image.
        image: String,
        /// Bytes a sector of the target.
        disk: u32,
        /// Why not.
        why: String,
    },
    /// A partition cannot be grown.
    #[error("cannot grow {name}: {why}")]
    Grow {
        /// The partition.
        name: String,
        /// Why not, and what can be done.
        why: String,
    },
    /// Its ids cannot be made anew.
    #[error("regenerate = [\"{what}\"]: {image}: {why}")]
    NoNewIds {
        /// Which ids.
        what: Regenerate,
        /// The image.
        image: String,
        /// Why not.
        why: String,
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
        /// Where; never empty.
        places: Vec<Range<u64>>,
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
    /// Make the boot sectors of FAT, exFAT or NTFS say where their volume lies now; on other file systems, nothing.
    Relocate {
        /// The volume, on the target.
        volume: Range<u64>,
        /// Byte of the disk at which it begins.
        start: u64,
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

/// A partition, a volume or a file that is there already.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Its bytes.
    pub size: u64,
    /// Byte of its disk at which it begins; none where it lies on none, or is the disk itself.
    pub start: Option<u64>,
    /// Bytes a logical sector; none of a file, which has no sectors.
    pub sector_size: Option<u32>,
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
    growth: Option<Growth>,
    notes: Vec<String>,
}

fn clear(place: Range<u64>, what: &str) -> Step {
    Step::Clear { places: vec![place], what: what.to_owned() }
}

fn fits(what: &str, needed: u64, size: u64) -> Result<(), PlanError> {
    match needed.checked_sub(size) {
        Some(missing) if missing > 0 => {
            Err(PlanError::TooSmall { what: what.to_owned(), missing, size, needed })
        }
        _ => Ok(()),
    }
}

impl Plan {
    /// The plan for one torrent, as it stands, onto a disk, a partition or a file. What the torrent is of takes `needed`
    /// bytes, where that is known.
    ///
    /// # Errors
    /// The torrent's runs do not fit together, or lead behind the target's end; or something is to grow.
    pub fn for_torrent(
        metainfo: Arc<Metainfo>,
        needed: u64,
        room: Room,
        grow: &Grow,
    ) -> Result<Self, PlanError> {
        let Room { size, start, .. } = room;
        let name = metainfo.name().to_owned();
        if *grow != Grow::None {
            let why = format!("the torrent {name} does not tell what is in it; an image directory does");
            return Err(PlanError::Grow { name: grow.to_string(), why });
        }
        let extents =
            metainfo.extents().map_err(|source| PlanError::Torrent { name: name.clone(), source })?;
        fits(&format!("the torrent {name}"), extents.target_end().max(needed), size)?;
        let title = format!("torrent {name} to a target of {size} bytes");
        let payload = Payload { name, metainfo, extents: Arc::new(extents), base: 0, room: size };
        Ok(Self::of_one_payload(title, payload, start))
    }

    /// The old file system is made unusable first, so that half of a new one does not pass for it. `start` is where the
    /// volume begins on its disk, if it may have to say so.
    fn of_one_payload(title: String, payload: Payload, start: Option<u64>) -> Self {
        let volume = 0..payload.room;
        let mut steps = vec![clear(0..payload.room.min(CLEARED), "old superblock")];
        let old = Stale::new(std::slice::from_ref(&payload), &steps).clear(0..payload.room, "on the target");
        steps.extend(old);
        steps.extend([Step::Payload(payload), Step::Sync]);
        if let Some(start) = start {
            steps.extend([Step::Relocate { volume, start }, Step::Sync]);
        }
        Self { title, steps, layout: None, growth: None, notes: Vec::new() }
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

    /// What people should know of the image, and of what moves or is made anew: a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The file system that is made longer after all steps, when nobody is served from the target any more.
    #[must_use]
    pub fn growth(&self) -> Option<&Growth> {
        self.growth.as_ref()
    }
}
