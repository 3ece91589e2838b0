//! ext2, ext3 and ext4 (kernel documentation, "ext4 Data Structures and Algorithms", "Super Block").

use std::io;

use uuid::Uuid;

use super::grow::Resize;
use super::{Fields, FileSystem, Volume, power};
use crate::layout::ReadAt;

const NEEDS_RECOVERY: u64 = 0x4;
const HAS_64_BIT_COUNTS: u64 = 0x80;
const BIGALLOC: u64 = 0x200;
const CHECKSUM_SEED: u64 = 0x2000;
/// Bits of what is compatible and of what is so for readers.
const STABLE_INODES: u64 = 0x800;
const CHECKSUMS: u64 = 0x10 | 0x400;
/// Bits of `s_state`.
const CLEAN: u64 = 1;
const HAS_ERRORS: u64 = 2;

fn superblock(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    volume.superblock(1024, 1024, 0x38, &[0x53, 0xef])
}

fn block_length(fields: &Fields) -> u64 {
    power(fields.le(0x18, 4)).saturating_mul(1024)
}

/// A count of blocks in bytes, from its lower and its upper half.
fn blocks(fields: &Fields, low: usize, high: usize) -> u64 {
    let high = if fields.le(0x60, 4) & HAS_64_BIT_COUNTS == 0 { 0 } else { fields.le(high, 4) };
    (high << 32 | fields.le(low, 4)).saturating_mul(block_length(fields))
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let (state, incompatible, read_only) = (fields.le(0x3a, 2), fields.le(0x60, 4), fields.le(0x64, 4));
    let unclean = if incompatible & NEEDS_RECOVERY != 0 || state & CLEAN == 0 {
        Some("was not cleanly unmounted: start the machine and shut it down properly, or run e2fsck -p on it")
    } else if state & HAS_ERRORS != 0 {
        Some("has errors: run e2fsck on it")
    } else {
        None
    };
    Ok(Some(FileSystem {
        label: fields.text(0x78, 16),
        size: blocks(&fields, 0x4, 0x150),
        block: block_length(&fields),
        unclean: unclean.map(str::to_owned),
        unmappable: (read_only & BIGALLOC != 0).then_some("partclone cannot map ext4 with bigalloc"),
    }))
}

pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    Ok(Some(blocks(&fields, 0x4, 0x150).saturating_sub(blocks(&fields, 0xc, 0x158))))
}

/// Was it mounted at `/` last?
pub(super) fn is_root(volume: &Volume<'_, impl ReadAt>) -> io::Result<bool> {
    Ok(superblock(volume)?.and_then(|fields| fields.text(0x88, 64)).as_deref() == Some("/"))
}

/// To as many whole blocks as `size` bytes hold.
pub(super) fn resize(volume: &Volume<'_, impl ReadAt>, size: u64) -> io::Result<Option<Resize>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    Ok(size.checked_div(block_length(&fields)).map(|blocks| Resize::Ext { blocks }))
}

/// Its id, and why the kernel gives it no other, if it does not.
pub(super) fn id(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<(Uuid, Option<&'static str>)>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let Ok(id) = Uuid::from_slice(fields.bytes(0x68, 16)) else { return Ok(None) };
    let (compatible, incompatible, read_only) = (fields.le(0x5c, 4), fields.le(0x60, 4), fields.le(0x64, 4));
    let bound = if compatible & STABLE_INODES != 0 {
        Some("its files are encrypted by keys that are made of it (stable_inodes)")
    } else if read_only & CHECKSUMS != 0 && incompatible & CHECKSUM_SEED == 0 {
        Some(
            "its checksums begin with it: \"tune2fs -O metadata_csum_seed\" on the golden machine parts them, where the \
             loader reads that (GRUB of Debian 12 and later)",
        )
    } else {
        None
    };
    Ok(Some((id, bound)))
}
