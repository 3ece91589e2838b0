//! Writes a stream of format 0002, as Clonezilla has partclone write them.

use std::io::{self, Write};

use ezio_image::extents::ExtentMap;

use super::checksum::{Checksum, Mode, seeded_crc32};

/// Bytes between two checksums: what Clonezilla tells partclone to read at once.
const CHECKSUM_EVERY: u64 = 10 << 20;
/// Largest block that is chosen, in bytes.
const LARGEST_BLOCK: u64 = 4096;
/// Bytes copied at once.
const CHUNK: u64 = 1 << 20;
/// Version of partclone whose streams these are like.
const VERSION: &[u8; 14] = b"0.3.23\0\0\0\0\0\0\0\0";

/// Writes the head, the map and the blocks of a partition of `size` bytes; `read` fills a buffer from an offset.
///
/// # Errors
/// What cannot be read or written.
pub(crate) fn write(
    out: &mut impl Write,
    filesystem: &str,
    size: u64,
    map: &ExtentMap,
    mut read: impl FnMut(u64, &mut [u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let block = block_size(size, map);
    let per_checksum = CHECKSUM_EVERY / block;
    write_header(out, filesystem, size, map, block, per_checksum)?;
    write_bitmap(out, size.div_ceil(block), map, block)?;
    let fresh = || Checksum::new(Mode::Crc32, block as u32);
    let (mut sum, mut until) = (fresh(), CHECKSUM_EVERY);
    for run in map.extents() {
        let mut position = 0;
        while position < run.length {
            let mut bytes = vec![0; CHUNK.min(until).min(run.length - position) as usize];
            read(run.offset + position, &mut bytes)?;
            out.write_all(&bytes)?;
            sum.update(&bytes);
            position += bytes.len() as u64;
            until -= bytes.len() as u64;
            if until == 0 {
                out.write_all(&sum.value())?;
                (sum, until) = (fresh(), CHECKSUM_EVERY);
            }
        }
    }
    if until < CHECKSUM_EVERY {
        out.write_all(&sum.value())?;
    }
    Ok(())
}

/// The largest block that all runs, and the partition, consist of.
fn block_size(size: u64, map: &ExtentMap) -> u64 {
    let all = map.extents().iter().fold(size, |all, run| all | run.offset | run.length);
    1 << all.trailing_zeros().min(LARGEST_BLOCK.trailing_zeros())
}

fn write_header(
    out: &mut impl Write,
    filesystem: &str,
    size: u64,
    map: &ExtentMap,
    block: u64,
    per_checksum: u64,
) -> io::Result<()> {
    let mut head = b"partclone-image\0".to_vec();
    head.extend(VERSION);
    head.extend(b"0002\xde\xc0");
    let mut name = filesystem.as_bytes().to_vec();
    name.resize(16, 0);
    head.extend(name);
    let used = map.total_length() / block;
    for number in [size, size / block, used, used] {
        head.extend(number.to_le_bytes());
    }
    head.extend((block as u32).to_le_bytes());
    // Bytes of the options, format, bits of the machine, CRC32 of four bytes.
    head.extend([18, 0, 0, 0, 2, 0, 64, 0, 0x20, 0, 4, 0]);
    head.extend((per_checksum as u32).to_le_bytes());
    // Each checksum begins anew; a bit a block.
    head.extend([1, 1]);
    head.extend(seeded_crc32(&head).to_le_bytes());
    out.write_all(&head)
}

fn write_bitmap(out: &mut impl Write, blocks: u64, map: &ExtentMap, block: u64) -> io::Result<()> {
    let mut bits = vec![0u8; blocks.div_ceil(8) as usize];
    for run in map.extents() {
        for used in run.offset / block..(run.offset + run.length) / block {
            bits[(used / 8) as usize] |= 1 << (used % 8);
        }
    }
    out.write_all(&bits)?;
    out.write_all(&seeded_crc32(&bits).to_le_bytes())
}
