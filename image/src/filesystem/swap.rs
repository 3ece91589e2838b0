//! Swap as Linux makes it on machines with pages of 4 KiB (`include/linux/swap.h`, `union swap_header`).

use std::io;

use uuid::Uuid;

use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

const PAGE: usize = 4096;
/// Where its id is.
pub(super) const UUID: u64 = 1036;

fn header(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    let magic = b"SWAPSPACE2";
    volume.superblock(0, PAGE, PAGE - magic.len(), magic)
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = header(volume)? else { return Ok(None) };
    let size = (fields.le(1028, 4) + 1) * PAGE as u64;
    Ok(Some(FileSystem { label: fields.text(1052, 16), size, block: PAGE as u64, ..FileSystem::default() }))
}

pub(super) fn id(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Uuid>> {
    let header = header(volume)?;
    Ok(header.and_then(|header| Uuid::from_slice(header.bytes(UUID as usize, 16)).ok()))
}
