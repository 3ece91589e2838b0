//! What a partition, or all of a disk, holds, in a few words: `NTFS "Daten", 412.0 GiB used of 500.0 GiB`.

use std::fmt;
use std::ops::Range;

use super::blank::is_blank;
use crate::conf::units::human_size;
use crate::filesystem::{Kind, bytes_in_use, inspect, is_root, kind, ntfs_in_use};
use crate::layout::ReadAt;

/// More that is told by a few bytes, for its name alone.
const NAMES: &[(&str, u64, &[u8])] = &[
    ("swap", 4086, b"SWAPSPACE2"),
    ("exFAT", 3, b"EXFAT   "),
    ("ReFS", 3, b"ReFS"),
    ("F2FS", 1024, b"\x10\x20\xf5\xf2"),
    ("HFS+", 1024, b"H+"),
    ("HFS+", 1024, b"HX"),
    ("APFS", 32, b"NXSB"),
    ("JFS", 0x8000, b"JFS1"),
    ("ISO 9660", 0x8001, b"CD001"),
    ("Linux RAID", 4096, b"\xfc\x4e\x2b\xa9"),
];

/// What lies in a stretch of a disk.
pub(super) struct Volume {
    name: &'static str,
    label: Option<String>,
    /// Of the stretch, in bytes.
    size: u64,
    used: Option<u64>,
    /// It was mounted at `/` last.
    pub(super) is_root: bool,
}

impl Volume {
    /// None where there is nothing. What cannot be read is not known.
    pub(super) fn find(disk: &impl ReadAt, stretch: Range<u64>) -> Option<Self> {
        let (offset, size) = (stretch.start, stretch.end.saturating_sub(stretch.start));
        let part = Part { disk, offset };
        if is_blank(&part, size).unwrap_or(false) {
            return None;
        }
        let known = kind(disk, offset).ok().flatten();
        let filesystem = inspect(disk, offset).ok().flatten();
        let has = |at: u64, magic: &[u8]| part.read_vec(at, magic.len()).is_ok_and(|bytes| bytes == magic);
        let named = || NAMES.iter().find(|(_, at, magic)| has(*at, magic)).map(|(name, ..)| *name);
        let name = match known {
            Some(kind) => kind.name(),
            None => {
                named().unwrap_or(if filesystem.is_some() { "a file system" } else { "something unknown" })
            }
        };
        let used = match known {
            Some(Kind::Ntfs) => ntfs_in_use(disk, offset),
            _ => bytes_in_use(disk, offset),
        };
        Some(Self {
            name,
            label: filesystem.and_then(|filesystem| filesystem.label),
            size,
            used: used.ok().flatten().filter(|used| *used <= size),
            is_root: is_root(disk, offset).unwrap_or(false),
        })
    }

    pub(super) fn is_ntfs(&self) -> bool {
        self.name == Kind::Ntfs.name()
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(label) = &self.label {
            write!(f, " {label:?}")?;
        }
        let size = human_size(self.size);
        match self.used {
            Some(used) => write!(f, " {} used of {size}", human_size(used)),
            None => write!(f, " {size}"),
        }
    }
}

/// A stretch of a disk, counted from its own beginning.
struct Part<'a, D> {
    disk: &'a D,
    offset: u64,
}

impl<D: ReadAt> ReadAt for Part<'_, D> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        let offset = self.offset.checked_add(offset).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        self.disk.read_exact_at(offset, buffer)
    }
}
