//! XFS (XFS Algorithms & Data Structures, "Superblocks"). Whether its log is clean, only the log tells.

use std::io;

use super::grow::Resize;
use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

pub(super) fn superblock(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    volume.superblock(0, 512, 0, b"XFSB")
}

/// A count of blocks in bytes.
fn blocks(fields: &Fields, at: usize) -> u64 {
    fields.be(at, 8).saturating_mul(fields.be(4, 4))
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let log_is_elsewhere = fields.be(48, 8) == 0;
    Ok(Some(FileSystem {
        label: fields.text(108, 12),
        size: blocks(&fields, 8),
        // Of its sectors, not of its blocks: superblocks and log are written by these.
        block: fields.be(102, 2),
        unclean: None,
        unmappable: log_is_elsewhere.then_some(
            "its log lies on another device, which is not part of it, and partclone cannot map it so",
        ),
    }))
}

pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    Ok(Some(blocks(&fields, 8).saturating_sub(blocks(&fields, 144))))
}

/// To as many whole blocks as `size` bytes hold.
pub(super) fn resize(volume: &Volume<'_, impl ReadAt>, size: u64) -> io::Result<Option<Resize>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let inode_percentage = fields.be(127, 1) as u32;
    Ok(size.checked_div(fields.be(4, 4)).map(|blocks| Resize::Xfs { blocks, inode_percentage }))
}
