//! How a file system is made as long as its partition.

use std::io;

use super::ntfs_grow::{self, Patch};
use super::{Kind, Volume, btrfs, ext, xfs};
use crate::layout::ReadAt;

/// How a file system is made longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growing {
    /// By the kernel.
    Mounted(Resize),
    /// By writing to the device: NTFS.
    Written(Vec<Patch>),
}

/// What the kernel is asked for while it has the file system mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// ext2, ext3, ext4: to so many blocks in all.
    Ext {
        /// Blocks.
        blocks: u64,
    },
    /// XFS: to so many blocks in all.
    Xfs {
        /// Blocks.
        blocks: u64,
        /// Percentage of them that inodes may take, as it is now.
        inode_percentage: u32,
    },
    /// btrfs with one device: to the end of that.
    Btrfs,
}

impl Resize {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Ext { .. } => Kind::Ext,
            Self::Xfs { .. } => Kind::Xfs,
            Self::Btrfs => Kind::Btrfs,
        }
    }
}

/// Why this file system, as blkid names it, is never grown.
#[must_use]
pub fn refuses_to_grow(filesystem: &str) -> Option<String> {
    match filesystem {
        "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "ntfs" => None,
        "vfat" | "exfat" => Some(
            "FAT and exFAT are as long as they were made: no dependable tool makes them longer".to_owned(),
        ),
        "" => Some("what is on it is not known".to_owned()),
        other => Some(format!("{other} is not made longer here; ext2/3/4, XFS, btrfs and NTFS are")),
    }
}

/// What makes the file system that begins at `offset` as long as its partition of `size` bytes; `None` where it is none
/// that can be grown.
///
/// # Errors
/// What the device says, or what is wrong with an NTFS.
pub fn growing(device: &impl ReadAt, offset: u64, size: u64) -> io::Result<Option<Growing>> {
    let volume = Volume { device, offset };
    if let Some(patches) = ntfs_grow::patches(&volume, size)? {
        return Ok(Some(Growing::Written(patches)));
    }
    let resize = match ext::resize(&volume, size)? {
        None => xfs::resize(&volume, size)?.or(btrfs::resize(&volume)?),
        found => found,
    };
    Ok(resize.map(Growing::Mounted))
}
