//! The disks of a machine and what they hold, and its network cards, as the machine sees them: in its reports, and what the server remembers.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::Mac;
use crate::health::Health;
use crate::text::one_line;

/// Disks that a report names at most.
pub const MAX_DISKS: usize = 32;
/// Network cards that a report names at most.
pub const MAX_CARDS: usize = 16;
/// Lines on what a disk holds.
pub const MAX_LINES: usize = 16;
/// Longest line, and longest name of anything, in bytes.
pub const MAX_LINE: usize = 160;

/// What tells one disk from another, in another machine or after another start too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DiskId {
    /// As the disk says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Likewise; virtual disks may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// World-wide name or another id that is unique in the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Bytes; of a partition that is written alone, its own.
    pub size: u64,
    /// First byte of a partition that is written alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InventoryDisk {
    /// Device node ("/dev/sda").
    pub path: String,
    /// Which disk it is.
    #[serde(flatten)]
    pub id: DiskId,
    /// Bytes a logical sector.
    pub sector_size: u32,
    /// How it is attached ("nvme").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// Can its medium be taken out?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removable: bool,
    /// Does it refuse writes?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Was the machine started from it?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub boot_medium: bool,
    /// What uses it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<String>,
    /// What is on it.
    pub holds: Holds,
    /// What it says of its health; none where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl InventoryDisk {
    /// Why it is failing, if it says that it is.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.health.as_ref()?.complaint()
    }
}

/// A network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InventoryCard {
    /// Its address.
    pub mac: Mac,
    /// Has it a link?
    pub link: bool,
    /// Rate of its link in Mbit/s, where its driver says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mbps: Option<u32>,
}

/// What a machine computes with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Computer {
    /// The processor, as it names itself; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Threads that it runs at the same time.
    pub threads: u32,
    /// Memory that the kernel has, in bytes: somewhat less than is built in.
    pub memory_bytes: u64,
}

/// What a disk, or a partition, holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Holds {
    /// Nothing at all, in all places that tell what a disk holds.
    pub blank: bool,
    /// What it can be known again by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, example = "mbr:1a2b3c4d"))]
    pub mark: Option<Mark>,
    /// In words, a line each; none where it is blank.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

impl Holds {
    /// Of what nothing is known but this.
    #[must_use]
    pub fn only(line: &str) -> Self {
        Self { blank: false, mark: None, lines: vec![one_line(line, MAX_LINE)] }
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.blank { f.write_str("blank") } else { f.write_str(&self.lines.join(", ")) }
    }
}

/// What is written on a disk once, and tells what was written there with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mark {
    /// Id of a GPT.
    Gpt(Uuid),
    /// Id of an MBR.
    Mbr(u32),
    /// Id of a file system that has no table around it, as blkid prints it.
    Volume(String),
    /// A deployment began here, and has not ended: the random name of its run.
    Begun(String),
}

/// Text that is no [`Mark`].
#[derive(Debug, Error)]
#[error("{0:?} is no mark of a disk")]
pub struct NoMark(String);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpt(id) => write!(f, "gpt:{id}"),
            Self::Mbr(id) => write!(f, "mbr:{id:08x}"),
            Self::Volume(id) => write!(f, "volume:{id}"),
            Self::Begun(run) => write!(f, "begun:{run}"),
        }
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.to_string()
    }
}

impl TryFrom<String> for Mark {
    type Error = NoMark;

    fn try_from(text: String) -> Result<Self, NoMark> {
        let read = match text.split_once(':') {
            Some(("gpt", id)) => id.parse().ok().map(Self::Gpt),
            Some(("mbr", id)) => u32::from_str_radix(id, 16).ok().map(Self::Mbr),
            Some(("volume", id)) => Some(Self::Volume(one_line(id, MAX_LINE))),
            Some(("begun", run)) => Some(Self::Begun(one_line(run, MAX_LINE))),
            _ => None,
        };
        read.ok_or(NoMark(text))
    }
}

/// Which disks may be written without a person's word, by what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Overwrite {
    /// Those that hold nothing, or what an own deployment left half written.
    Blank,
    /// Also those that the server knows from a deployment of its own.
    #[default]
    Ours,
    /// All.
    Any,
}

impl fmt::Display for Overwrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "blank",
            Self::Ours => "ours",
            Self::Any => "any",
        })
    }
}

/// A disk, or a partition of one, that a machine is about to overwrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Wanted {
    /// As people know it ("/dev/sda ATA QEMU HARDDISK 8.0 GiB").
    pub name: String,
    /// Which it is.
    #[serde(flatten)]
    pub id: DiskId,
    /// What its orders say.
    pub overwrite: Overwrite,
    /// What is on it.
    pub holds: Holds,
    /// What it will be known by once it is written, where the image says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, example = "mbr:1a2b3c4d"))]
    pub becomes: Option<Mark>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let marks = [
            Mark::Gpt("c12a7328-f81f-11d2-ba4b-00a0c93ec93b".parse().unwrap()),
            Mark::Mbr(0xab),
            Mark::Volume("1234-ABCD".into()),
            Mark::Begun("0123".into()),
        ];
        for mark in marks {
            assert_eq!(Mark::try_from(mark.to_string()).unwrap(), mark);
        }
        for text in ["", "gpt:", "mbr:xyz", "disk:1"] {
            assert!(Mark::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
