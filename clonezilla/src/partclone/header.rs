//! The header: what was saved, and how.

use std::io::Read;

use super::checksum::{Mode, seeded_crc32};
use super::{StreamError, fill};

/// How every stream begins.
const MAGIC: &[u8; 15] = b"partclone-image";
/// Bytes of the header of format 0002, its CRC included.
const LENGTH_2: usize = 110;
/// Bytes of the header of format 0001: of the same beginning, and 4096 that are not used.
const LENGTH_1: usize = 4160;
/// Largest block that partclone knows, in bytes (`MAX_BLOCK_SIZE`).
const MAX_BLOCK_SIZE: u32 = 64 << 20;
/// How format 0002 says little-endian.
const LITTLE_ENDIAN: u16 = 0xc0de;

/// What a stream of partclone's says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes a block.
    pub(crate) block_size: u32,
    /// Blocks of the file system.
    pub(crate) total_blocks: u64,
    /// Is it of format 0001?
    pub(super) first_format: bool,
    pub(super) bitmap: BitmapKind,
    pub(super) checksum: Mode,
    /// Blocks between two checksums; never 0 where there are checksums.
    pub(super) blocks_per_checksum: u32,
    /// Does each checksum begin anew, or go on?
    pub(super) reseed: bool,
}

/// How the map of the blocks in use is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BitmapKind {
    /// Not at all: all are in use.
    None,
    /// A bit a block, and a CRC32.
    Bits,
    /// A byte a block, and a word that ends them.
    Bytes,
}

impl Header {
    /// Reads and checks a header. A file system may have `limit` bytes.
    pub(super) fn read(stream: &mut impl Read, limit: u64) -> Result<Self, StreamError> {
        let mut bytes = vec![0; LENGTH_2];
        fill(stream, &mut bytes[..MAGIC.len()], "the header").map_err(|error| match error {
            StreamError::CutShort(_) => StreamError::NotPartclone,
            other => other,
        })?;
        if !bytes.starts_with(MAGIC) {
            return Err(StreamError::NotPartclone);
        }
        fill(stream, &mut bytes[MAGIC.len()..], "the header")?;
        let header = match field(&bytes, 30, 4) {
            b"0001" => {
                bytes.resize(LENGTH_1, 0);
                fill(stream, &mut bytes[LENGTH_2..], "the header")?;
                Self::first(&bytes)
            }
            b"0002" => Self::second(&bytes)?,
            other => return Err(StreamError::Version(String::from_utf8_lossy(other).into_owned())),
        };
        header.check(limit)?;
        Ok(header)
    }

    fn first(bytes: &[u8]) -> Self {
        Self {
            block_size: number(bytes, 36, 4) as u32,
            total_blocks: number(bytes, 48, 8),
            first_format: true,
            bitmap: BitmapKind::Bytes,
            checksum: Mode::FirstCrc32,
            blocks_per_checksum: 1,
            reseed: false,
        }
    }

    fn second(bytes: &[u8]) -> Result<Self, StreamError> {
        let refuse = |what: String| Err(StreamError::Header(what));
        if number(bytes, 34, 2) as u16 != LITTLE_ENDIAN {
            return refuse("is not of a little-endian machine".to_owned());
        }
        if number(bytes, 106, 4) as u32 != seeded_crc32(&bytes[..106]) {
            return refuse("is damaged: its CRC does not fit".to_owned());
        }
        let bitmap = match bytes[105] {
            0 => BitmapKind::None,
            1 => BitmapKind::Bits,
            8 => BitmapKind::Bytes,
            other => return refuse(format!("has a map of the unknown kind {other}")),
        };
        let (mode, length) = (number(bytes, 96, 2) as u16, number(bytes, 98, 2) as usize);
        let Some(checksum) = Mode::of(mode).filter(|mode| mode.length() == length) else {
            return refuse(format!("has checksums of the unknown kind {mode:#x} with {length} bytes"));
        };
        Ok(Self {
            total_blocks: number(bytes, 60, 8),
            block_size: number(bytes, 84, 4) as u32,
            first_format: false,
            bitmap,
            checksum,
            blocks_per_checksum: number(bytes, 100, 4) as u32,
            reseed: bytes[104] != 0,
        })
    }

    fn check(&self, limit: u64) -> Result<(), StreamError> {
        let refuse = |what: String| Err(StreamError::Header(what));
        if self.block_size == 0 || self.block_size > MAX_BLOCK_SIZE {
            return refuse(format!("has blocks of {} bytes", self.block_size));
        }
        if self.checksum != Mode::None && self.blocks_per_checksum == 0 {
            return refuse("has checksums of no blocks".to_owned());
        }
        match self.total_blocks.checked_mul(u64::from(self.block_size)) {
            Some(0) | None => {
                refuse(format!("has {} blocks of {} bytes", self.total_blocks, self.block_size))
            }
            Some(size) if size > limit => {
                refuse(format!("tells of a file system of {size} bytes, and the partition has {limit}"))
            }
            Some(_) => Ok(()),
        }
    }
}

fn field(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    bytes.get(at..at + length).unwrap_or_default()
}

/// Little-endian number of up to eight bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    field(bytes, at, length).iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
}
