//! F2FS (`include/linux/f2fs_fs.h`): a superblock, and two checkpoints of which the newer one holds.

use std::io;

use super::{Fields, FileSystem, Volume, power};
use crate::layout::ReadAt;

const UNMOUNTED: u64 = 1;
/// `f2fs_get_device_info` of partclone gives up below this many bytes.
const SMALLEST_MAPPED: u64 = 100 << 20;

fn superblock(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    volume.superblock(1024, 3072, 0, &0xf2f5_2010u32.to_le_bytes())
}

fn block_length(fields: &Fields) -> u64 {
    power(fields.le(16, 4))
}

fn checkpoint(volume: &Volume<'_, impl ReadAt>, fields: &Fields) -> io::Result<Fields> {
    let (first, segment) = (fields.le(76, 4), power(fields.le(20, 4)));
    let read = |block: u64| volume.read(block.saturating_mul(block_length(fields)), 192).map(Fields);
    let (one, other) = (read(first)?, read(first.saturating_add(segment))?);
    Ok(if other.le(0, 8) > one.le(0, 8) { other } else { one })
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let clean = checkpoint(volume, &fields)?.le(132, 4) & UNMOUNTED != 0;
    let size = fields.le(36, 8).saturating_mul(block_length(&fields));
    Ok(Some(FileSystem {
        label: fields.utf16(124, 1024),
        size,
        block: block_length(&fields),
        unclean: (!clean).then(|| "was not cleanly unmounted: run fsck.f2fs on it".to_owned()),
        unmappable: (size < SMALLEST_MAPPED).then_some("partclone cannot map an F2FS of less than 100 MiB"),
    }))
}

/// Blocks of files and folders; the file system's own tables come on top.
pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    Ok(Some(checkpoint(volume, &fields)?.le(16, 8).saturating_mul(block_length(&fields))))
}
