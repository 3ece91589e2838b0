//! JFS (`fs/jfs/jfs_superblock.h`). Its log and the space that fsck works in lie behind the blocks that it counts.

use std::io;

use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

/// Block behind a run: 24 bits of length, 40 of address.
fn end_of_run(fields: &Fields, at: usize) -> u64 {
    let (length, address) = (fields.le(at, 3), fields.le(at + 3, 1) << 32 | fields.le(at + 4, 4));
    length + address
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = volume.superblock(32 << 10, 184, 0, b"JFS1")? else { return Ok(None) };
    let counted = fields.le(8, 8).saturating_mul(fields.le(24, 4));
    let behind = end_of_run(&fields, 72).max(end_of_run(&fields, 80)).saturating_mul(fields.le(16, 4));
    let clean = fields.le(40, 4) == 0;
    Ok(Some(FileSystem {
        label: fields.text(152, 16),
        size: counted.max(behind),
        block: fields.le(16, 4),
        unclean: (!clean).then(|| "was not cleanly unmounted: run fsck.jfs on it".to_owned()),
        unmappable: None,
    }))
}
