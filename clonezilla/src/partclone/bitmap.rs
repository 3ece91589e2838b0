//! The map of the blocks in use.

use std::io::Read;

use ezio_image::extents::{Extent, ExtentMap};

use super::header::{BitmapKind, Header};
use super::{StreamError, fill};

/// Behind a map of bytes.
const END_OF_BYTES: &[u8; 8] = b"BiTmAgIc";
/// Bytes of the map that are read at once.
const CHUNK: u64 = 64 << 10;
const PART: &str = "the map of the blocks in use";

/// Reads the map as runs of bytes.
pub(super) fn read(stream: &mut impl Read, header: &Header) -> Result<ExtentMap, StreamError> {
    let mut runs = Runs { block_size: u64::from(header.block_size), block: 0, list: Vec::new() };
    match header.bitmap {
        BitmapKind::None => runs.add(header.total_blocks, true),
        BitmapKind::Bits => read_bits(stream, header.total_blocks, &mut runs)?,
        BitmapKind::Bytes => read_bytes(stream, header.total_blocks, &mut runs)?,
    }
    if runs.list.is_empty() {
        return Err(StreamError::Bitmap("has no block in use"));
    }
    ExtentMap::new(runs.list).map_err(|_| StreamError::Bitmap("makes no sense"))
}

fn read_bits(stream: &mut impl Read, total: u64, runs: &mut Runs) -> Result<(), StreamError> {
    let mut sum = crc32fast::Hasher::new();
    let mut left = total.div_ceil(8);
    while left > 0 {
        let mut bytes = vec![0; left.min(CHUNK) as usize];
        fill(stream, &mut bytes, PART)?;
        sum.update(&bytes);
        left -= bytes.len() as u64;
        for byte in bytes {
            for bit in 0..8u64.min(total - runs.block) {
                runs.add(1, byte >> bit & 1 == 1);
            }
        }
    }
    let mut told = [0; 4];
    fill(stream, &mut told, PART)?;
    match u32::from_le_bytes(told) == !sum.finalize() {
        true => Ok(()),
        false => Err(StreamError::Bitmap("is damaged: its CRC does not fit")),
    }
}

fn read_bytes(stream: &mut impl Read, total: u64, runs: &mut Runs) -> Result<(), StreamError> {
    let mut left = total;
    while left > 0 {
        let mut bytes = vec![0; left.min(CHUNK) as usize];
        fill(stream, &mut bytes, PART)?;
        left -= bytes.len() as u64;
        bytes.iter().for_each(|byte| runs.add(1, *byte == 1));
    }
    let mut end = [0; END_OF_BYTES.len()];
    fill(stream, &mut end, PART)?;
    match &end == END_OF_BYTES {
        true => Ok(()),
        false => Err(StreamError::Bitmap("is damaged: its end is not where it should be")),
    }
}

/// Runs of bytes in use, as block after block comes.
struct Runs {
    block_size: u64,
    /// The next block.
    block: u64,
    list: Vec<Extent>,
}

impl Runs {
    fn add(&mut self, blocks: u64, used: bool) {
        let (offset, length) = (self.block * self.block_size, blocks * self.block_size);
        self.block += blocks;
        match self.list.last_mut() {
            _ if !used => {}
            Some(last) if last.offset + last.length == offset => last.length += length,
            _ => self.list.push(Extent { offset, length }),
        }
    }
}
