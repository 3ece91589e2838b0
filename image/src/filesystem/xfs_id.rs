//! Another id for XFS, as `xfs_admin -U` gives it: superblocks and records of the log name it, and what every block bears
//! becomes the id of the metadata (XFS Algorithms & Data Structures, "Superblocks", "Journaling Log").

use std::io;

use uuid::Uuid;

use super::crc32c::crc32c;
use super::volume_id::patch;
use super::xfs::superblock;
use super::{Fields, Patch, Volume};
use crate::layout::ReadAt;

const ID: usize = 32;
const INCOMPATIBLE: usize = 216;
const SUM: usize = 224;
const METADATA_ID: usize = 248;
/// Bits of what is incompatible: the blocks bear the id of the metadata.
const HAS_METADATA_ID: u64 = 1 << 2;
/// And all others that change nothing about ids: names with types, sparse inodes, large times, large counts of extents,
/// exchanged ranges, pointers to parents.
const HARMLESS: u64 = 0b1110_1011;

/// A block of the log, in bytes.
const BLOCK: usize = 512;
/// What a block with the header of a record begins with; any other begins with the number of its cycle.
const RECORD: [u8; 4] = [0xfe, 0xed, 0xba, 0xbe];
const RECORD_SUM: usize = 32;
const RECORD_ID: usize = 304;
/// Bytes of a header that its sum covers: C's structure ends with padding where numbers of 64 bits are aligned to 8.
const HEADERS: [usize; 2] = [328, 324];
/// Bytes of the further headers of a long record that its sum covers.
const NEXT_HEADER: usize = 260;
/// Bytes of content that one header describes.
const PER_HEADER: u64 = 32 << 10;
/// Longest record that is summed, in bytes; the kernel's have 256 KiB at most.
const LONGEST: u64 = 1 << 20;
/// Bytes of the log that are read at a time.
const CHUNK: u64 = 1 << 20;

/// Its id, and why it gets no other, if it does not.
pub(super) fn id(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<(Uuid, Option<&'static str>)>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let bound = if fields.be(100, 2) & 0xf != 5 {
        Some(
            "every block of an XFS before version 5 bears it (xfs_admin -U on the golden machine changes them)",
        )
    } else if fields.be(INCOMPATIBLE, 4) & !(HARMLESS | HAS_METADATA_ID) != 0 {
        Some("its XFS has features that are not known here: xfs_admin -U on the golden machine")
    } else if fields.be(48, 8) == 0 {
        Some("its log lies on another device")
    } else {
        None
    };
    Ok(Some((Uuid::from_slice(fields.bytes(ID, 16)).unwrap_or_default(), bound)))
}

/// What gives it the id `fresh`; its log has nothing in it that waits. The first superblock comes last.
pub(super) fn renewed(volume: &Volume<'_, impl ReadAt>, fresh: Uuid) -> io::Result<Option<Vec<Patch>>> {
    let Some(fields) = superblock(volume)? else { return Ok(None) };
    let block = fields.be(4, 4);
    let log = Log { volume, start: byte_of(&fields, fields.be(48, 8)), length: fields.be(96, 4) * block };
    let mut patches = log.renewed(fields.bytes(ID, 16), fresh)?;
    let has_one = fields.be(INCOMPATIBLE, 4) & HAS_METADATA_ID != 0;
    let metadata = fields.bytes(if has_one { METADATA_ID } else { ID }, 16);
    let (group, sector) = (fields.be(84, 4) * block, fields.be(102, 2) as usize);
    for number in (0..fields.be(88, 4)).rev() {
        let Some(Fields(mut bytes)) = volume.superblock(number * group, sector, 0, b"XFSB")? else {
            return Err(io::Error::other(format!(
                "group {number} of the XFS has no superblock: run xfs_repair"
            )));
        };
        let incompatible = Fields(bytes.clone()).be(INCOMPATIBLE, 4) | HAS_METADATA_ID;
        bytes[ID..ID + 16].copy_from_slice(fresh.as_bytes());
        bytes[INCOMPATIBLE..INCOMPATIBLE + 4].copy_from_slice(&(incompatible as u32).to_be_bytes());
        bytes[METADATA_ID..METADATA_ID + 16].copy_from_slice(metadata);
        let sum = crc32c(&[&bytes[..SUM], &[0; 4], &bytes[SUM + 4..]]);
        bytes[SUM..SUM + 4].copy_from_slice(&sum.to_le_bytes());
        patches.push(patch(number * group, bytes));
    }
    Ok(Some(patches))
}

/// Where a block of the file system lies, by its number, which has that of its group in front.
fn byte_of(fields: &Fields, number: u64) -> u64 {
    let bits = fields.be(124, 1).min(63);
    let (group, within) = (number >> bits, number & ((1 << bits) - 1));
    group.saturating_mul(fields.be(84, 4)).saturating_add(within).saturating_mul(fields.be(4, 4))
}

/// The log, a ring.
struct Log<'a, D> {
    volume: &'a Volume<'a, D>,
    start: u64,
    length: u64,
}

impl<D: ReadAt> Log<'_, D> {
    /// All headers of records with another id in place of `old`.
    fn renewed(&self, old: &[u8], fresh: Uuid) -> io::Result<Vec<Patch>> {
        let mut patches = Vec::new();
        for at in (0..self.length).step_by(CHUNK as usize) {
            let chunk = self.read(at, CHUNK.min(self.length - at))?;
            for (block, number) in chunk.chunks_exact(BLOCK).zip(0..) {
                if block[..4] == RECORD && block[RECORD_ID..RECORD_ID + 16] == *old {
                    let at = at + number * BLOCK as u64;
                    patches.push(patch(self.start + at, self.header(at, block, fresh)?));
                }
            }
        }
        Ok(patches)
    }

    /// The header at this place with another id, and with a sum that fits where there was one.
    fn header(&self, at: u64, old: &[u8], fresh: Uuid) -> io::Result<Vec<u8>> {
        let mut new = old.to_vec();
        new[RECORD_ID..RECORD_ID + 16].copy_from_slice(fresh.as_bytes());
        let fields = Fields(old.to_vec());
        let (length, largest) = (fields.be(12, 4), fields.be(320, 4));
        if length > LONGEST || largest > LONGEST {
            return Ok(new);
        }
        let headers = largest.div_ceil(PER_HEADER).max(1);
        let rest = self.read(at + BLOCK as u64, (headers - 1) * BLOCK as u64 + length)?;
        let (further, content) = rest.split_at((headers - 1) as usize * BLOCK);
        let further =
            further.chunks_exact(BLOCK).take((length.div_ceil(PER_HEADER) as usize).saturating_sub(1));
        let further: Vec<u8> = further.flat_map(|header| &header[..NEXT_HEADER]).copied().collect();
        let sum = |header: &[u8], length: usize| {
            let (before, behind) = (&header[..RECORD_SUM], &header[RECORD_SUM + 4..length]);
            crc32c(&[before, &[0; 4], behind, &further, content])
        };
        let fits = |length: &&usize| fields.le(RECORD_SUM, 4) == u64::from(sum(old, **length));
        // A record that was overwritten in part has none.
        if let Some(length) = HEADERS.iter().find(fits) {
            let sum = sum(&new, *length);
            new[RECORD_SUM..RECORD_SUM + 4].copy_from_slice(&sum.to_le_bytes());
        }
        Ok(new)
    }

    /// Bytes from this place on; behind the end comes the beginning.
    fn read(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let at = at % self.length.max(1);
        let first = length.min(self.length - at);
        let mut bytes = self.volume.read(self.start + at, first as usize)?;
        bytes.extend(self.volume.read(self.start, (length - first) as usize)?);
        Ok(bytes)
    }
}
