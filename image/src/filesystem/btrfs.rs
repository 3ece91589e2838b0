//! btrfs (btrfs documentation, "On-disk format", "Superblock").

use std::io;

use super::grow::Resize;
use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

/// Bytes of a superblock.
pub(super) const SUPERBLOCK: usize = 4096;
/// Where it has what tells it.
pub(super) const MAGIC: (usize, &[u8]) = (0x40, b"_BHRfS_M");

pub(super) fn superblock(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    volume.superblock(64 << 10, SUPERBLOCK, MAGIC.0, MAGIC.1)
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let (log_root, devices) = (fields.le(0x60, 8), fields.le(0x88, 8));
    let unclean = if devices > 1 {
        Some(format!("spreads over {devices} devices: use --raw on each of them"))
    } else if log_root != 0 {
        Some("was not cleanly unmounted: mount and unmount it once, which replays its log".to_owned())
    } else {
        None
    };
    // The device's own item, not the sum over all devices.
    let size = fields.le(0xd1, 8);
    let (label, block) = (fields.text(0x12b, 256), fields.le(0x90, 4));
    Ok(Some(FileSystem { label, size, block, unclean, unmappable: None }))
}

/// Of what is there twice, one copy is counted.
pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    Ok(superblock(volume)?.map(|fields| fields.le(0x78, 8)))
}

pub(super) fn resize(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Resize>> {
    Ok(superblock(volume)?.map(|_| Resize::Btrfs))
}
