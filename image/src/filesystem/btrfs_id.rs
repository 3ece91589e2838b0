//! Another id for btrfs, as `btrfstune -m` gives it: the superblocks name it, and what every block bears becomes the id of the
//! metadata (btrfs documentation, "On-disk format", "Superblock").

use std::io;

use uuid::Uuid;

use super::btrfs::{MAGIC, SUPERBLOCK, superblock};
use super::crc32c::crc32c;
use super::volume_id::patch;
use super::{Fields, Patch, Volume};
use crate::layout::ReadAt;

/// Offsets of the superblock and its copies on the device.
const COPIES: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
/// Bytes of a sum; it covers all behind it.
const SUM: usize = 32;
const ID: usize = 0x20;
const OWN_OFFSET: usize = 0x30;
const INCOMPATIBLE: usize = 0xbc;
const SUM_KIND: usize = 0xc4;
const METADATA_ID: usize = 0x23b;
/// Bit of what is incompatible: the blocks bear the id of the metadata.
const HAS_METADATA_ID: u64 = 1 << 10;

fn uuid(fields: &Fields, at: usize) -> Uuid {
    Uuid::from_slice(fields.bytes(at, 16)).unwrap_or_default()
}

/// Its id, and why it gets no other, if it does not.
pub(super) fn id(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<(Uuid, Option<&'static str>)>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let bound = match fields.le(SUM_KIND, 2) {
        0 => None,
        _ => Some("its checksums are of another kind than CRC-32C: btrfstune -m on the golden machine"),
    };
    Ok(Some((uuid(&fields, ID), bound)))
}

/// What gives it the id `fresh` on a device of `size` bytes; the first superblock comes last.
pub(super) fn renewed(
    volume: &Volume<'_, impl ReadAt>,
    size: u64,
    fresh: Uuid,
) -> io::Result<Option<Vec<Patch>>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let has_one = fields.le(INCOMPATIBLE, 8) & HAS_METADATA_ID != 0;
    let metadata = uuid(&fields, if has_one { METADATA_ID } else { ID });
    let mut patches = Vec::new();
    for at in COPIES.into_iter().filter(|at| at + SUPERBLOCK as u64 <= size).rev() {
        let Some(Fields(mut bytes)) = volume.superblock(at, SUPERBLOCK, MAGIC.0, MAGIC.1)? else { continue };
        let own = Fields(bytes.clone());
        if own.le(OWN_OFFSET, 8) != at {
            continue;
        }
        let incompatible = own.le(INCOMPATIBLE, 8) | HAS_METADATA_ID;
        bytes[ID..ID + 16].copy_from_slice(fresh.as_bytes());
        bytes[INCOMPATIBLE..INCOMPATIBLE + 8].copy_from_slice(&incompatible.to_le_bytes());
        bytes[METADATA_ID..METADATA_ID + 16].copy_from_slice(metadata.as_bytes());
        let sum = crc32c(&[&bytes[SUM..]]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        patches.push(patch(at, bytes));
    }
    Ok(Some(patches))
}
