//! Swap as Linux makes it on machines with pages of 4 KiB (`include/linux/swap.h`, `union swap_header`).

use std::io;

use super::{FileSystem, Volume};
use crate::layout::ReadAt;

const PAGE: usize = 4096;

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let magic = b"SWAPSPACE2";
    let Some(fields) = volume.superblock(0, PAGE, PAGE - magic.len(), magic)? else { return Ok(None) };
    let size = (fields.le(1028, 4) + 1) * PAGE as u64;
    Ok(Some(FileSystem { label: fields.text(1052, 16), size, ..FileSystem::default() }))
}
