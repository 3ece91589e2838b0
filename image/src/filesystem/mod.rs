//! What a file system says of itself in its superblock: its label, how long it is, how much of it is in use, and whether
//! it was properly unmounted. One family a file. Only what lies on the medium counts; nothing is mounted.

use std::io;

use crate::layout::ReadAt;

mod beginning;
mod btrfs;
mod btrfs_id;
mod crc32c;
mod exfat;
mod ext;
mod f2fs;
mod fat;
mod fat_clusters;
mod fat_names;
mod grow;
mod hfsplus;
mod jfs;
mod kind;
mod minix;
mod ntfs;
mod ntfs_copy;
mod ntfs_grow;
mod ntfs_record;
mod swap;
mod volume_id;
mod xfs;
mod xfs_id;

#[cfg(test)]
mod tests;

pub use beginning::{Moved, moved};
pub use grow::{Growing, Resize, growing, refuses_to_grow};
pub use kind::{Kind, kind};
pub use ntfs_copy::with_boot_copy;
pub use ntfs_grow::{Patch, PatchContent};
pub use volume_id::{NewVolumeId, Renewal, new_volume_id, refuses_new_id, replayed_id, volume_id};

/// A file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Its label, where it has one that can be read without effort.
    pub label: Option<String>,
    /// Bytes from its beginning to the end of all that it may ever use.
    pub size: u64,
    /// Bytes of the smallest block that it is read and written by: a disk with longer sectors cannot hold it.
    pub block: u64,
    /// Why it should not be copied as it is ("was not cleanly unmounted: …"), and what to do.
    pub unclean: Option<String>,
    /// Why partclone has no map of it, or a wrong one.
    pub unmappable: Option<&'static str>,
}

/// Looks at what begins at the byte `offset`; `None` where there is no file system (or swap) that we know: ext2/3/4, XFS,
/// btrfs, F2FS, JFS, minix, NTFS, FAT, exFAT, HFS+.
///
/// # Errors
/// What the device says. What ends before a superblock could is no error: there is none.
pub fn inspect(device: &impl ReadAt, offset: u64) -> io::Result<Option<FileSystem>> {
    let volume = Volume { device, offset };
    // A boot sector of FAT may be left below a newer file system, never the other way round.
    let readers: [Look<_, FileSystem>; 11] = [
        ntfs::read,
        exfat::read,
        ext::read,
        xfs::read,
        btrfs::read,
        f2fs::read,
        jfs::read,
        hfsplus::read,
        swap::read,
        // Two bytes tell it: last but for FAT, or a UUID of swap passes for it once in ten thousand.
        minix::read,
        fat::read,
    ];
    for read in readers {
        match read(&volume) {
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            other => return other,
        }
    }
    Ok(None)
}

/// Bytes in use by the file system's own account: a map of its used blocks holds no less. `None` where it keeps no
/// account that can be read here.
///
/// # Errors
/// What the device says.
pub fn bytes_in_use(device: &impl ReadAt, offset: u64) -> io::Result<Option<u64>> {
    let volume = Volume { device, offset };
    let accounts: [Look<_, u64>; 7] =
        [exfat::in_use, ext::in_use, xfs::in_use, btrfs::in_use, f2fs::in_use, hfsplus::in_use, fat::in_use];
    for account in accounts {
        match account(&volume) {
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            other => return other,
        }
    }
    Ok(None)
}

/// Bytes in use of NTFS, by its map of clusters; `None` where there is no NTFS. The map is read whole.
///
/// # Errors
/// What the device says, or what of the file system is damaged.
pub fn ntfs_in_use(device: &impl ReadAt, offset: u64) -> io::Result<Option<u64>> {
    ntfs::in_use(&Volume { device, offset })
}

/// Was it mounted at `/` last, as far as it says that: ext2/3/4?
///
/// # Errors
/// What the device says.
pub fn is_root(device: &impl ReadAt, offset: u64) -> io::Result<bool> {
    ext::is_root(&Volume { device, offset })
}

/// The names in a folder of FAT; `path` names it from the root on, in upper or lower case. None where there is no FAT, or no
/// such folder.
///
/// # Errors
/// What the device says.
pub fn fat_folder(device: &impl ReadAt, offset: u64, path: &[&str]) -> io::Result<Vec<String>> {
    match fat::list(&Volume { device, offset }, path) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        names => Ok(names?.unwrap_or_default()),
    }
}

/// Finds something of one file system, if it is that.
type Look<D, T> = fn(&Volume<'_, D>) -> io::Result<Option<T>>;

/// Bytes of a file system: its beginning on the device, in bytes.
struct Volume<'a, D> {
    device: &'a D,
    offset: u64,
}

impl<D: ReadAt> Volume<'_, D> {
    fn read(&self, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let from = self.offset.checked_add(from).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.device.read_vec(from, length)
    }

    /// A superblock that begins at `from`, if it has this at `at`.
    fn superblock(&self, from: u64, length: usize, at: usize, magic: &[u8]) -> io::Result<Option<Fields>> {
        let bytes = self.read(from, length)?;
        Ok((bytes.get(at..at + magic.len()) == Some(magic)).then_some(Fields(bytes)))
    }
}

/// The fields of a superblock. What lies behind its end is zero.
struct Fields(Vec<u8>);

impl Fields {
    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        let end = at.saturating_add(length).min(self.0.len());
        self.0.get(at..end).unwrap_or_default()
    }

    /// Little-endian number of up to eight bytes.
    fn le(&self, at: usize, length: usize) -> u64 {
        self.bytes(at, length).iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    /// Big-endian number of up to eight bytes.
    fn be(&self, at: usize, length: usize) -> u64 {
        self.bytes(at, length).iter().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    /// Text up to the first zero, without blanks at the end.
    fn text(&self, at: usize, length: usize) -> Option<String> {
        let bytes = self.bytes(at, length);
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Text of little-endian UTF-16 up to the first zero.
    fn utf16(&self, at: usize, length: usize) -> Option<String> {
        let units = self.bytes(at, length).as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
        let text = String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>());
        (!text.is_empty()).then_some(text)
    }
}

/// Two to the power of a field that says so; 0 for what is too large to be true.
fn power(exponent: u64) -> u64 {
    u32::try_from(exponent).ok().and_then(|e| 1u64.checked_shl(e)).unwrap_or(0)
}
