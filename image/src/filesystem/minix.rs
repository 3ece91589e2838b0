//! The minix file systems (`include/linux/minix_fs.h`). None has a label.

use std::io;

use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

/// Zones of the first two versions, in bytes. The driver reads the superblock of all of them by as much.
const ZONE: u64 = 1024;

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let fields = Fields(volume.read(1024, 512)?);
    let third = fields.le(24, 2) == 0x4d5a;
    let size = match fields.le(16, 2) {
        _ if third => fields.le(20, 4).saturating_mul(fields.le(28, 2)),
        0x137f | 0x138f => fields.le(2, 2) * ZONE,
        0x2468 | 0x2478 => fields.le(20, 4) * ZONE,
        _ => return Ok(None),
    };
    let unmappable = third.then_some("partclone cannot map the third version of minix");
    Ok(Some(FileSystem { size, block: ZONE, unmappable, ..FileSystem::default() }))
}
