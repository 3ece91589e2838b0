//! The checksums between the blocks.

use std::hash::Hasher as _;

use crc32fast::Hasher as Crc32;
use twox_hash::XxHash64 as Xxh64;
use twox_hash::xxhash3_128::Hasher as Xxh128;

/// Kind of checksum (`checksum_mode_enum` of partclone's `checksum.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// No checksums.
    None,
    /// CRC32 without the inversion at its end.
    Crc32,
    /// What format 0001 took for it: of each block only the first byte counts, once for each of its bytes.
    FirstCrc32,
    /// xxHash of 64 bits.
    Xxh64,
    /// xxHash 3 of 128 bits.
    Xxh128,
}

impl Mode {
    /// By its number in format 0002.
    pub(super) fn of(number: u16) -> Option<Self> {
        match number {
            0x00 => Some(Self::None),
            0x20 => Some(Self::Crc32),
            0x30 => Some(Self::Xxh64),
            0x31 => Some(Self::Xxh128),
            _ => None,
        }
    }

    /// Bytes of one checksum.
    pub(super) fn length(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc32 | Self::FirstCrc32 => 4,
            Self::Xxh64 => 8,
            Self::Xxh128 => 16,
        }
    }
}

/// CRC32 as partclone has it: not inverted at its end.
pub(super) fn seeded_crc32(bytes: &[u8]) -> u32 {
    !crc32fast::hash(bytes)
}

/// A checksum that takes the blocks as they come.
pub(super) enum Checksum {
    None,
    Crc32(Crc32),
    FirstCrc32 {
        sum: Crc32,
        block_size: usize,
        /// Bytes of the current block that are still to come.
        left: usize,
    },
    Xxh64(Xxh64),
    Xxh128(Box<Xxh128>),
}

impl Checksum {
    pub(super) fn new(mode: Mode, block_size: u32) -> Self {
        match mode {
            Mode::None => Self::None,
            Mode::Crc32 => Self::Crc32(Crc32::new()),
            Mode::FirstCrc32 => {
                Self::FirstCrc32 { sum: Crc32::new(), block_size: block_size as usize, left: 0 }
            }
            Mode::Xxh64 => Self::Xxh64(Xxh64::with_seed(0)),
            Mode::Xxh128 => Self::Xxh128(Box::new(Xxh128::new())),
        }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(sum) => sum.update(bytes),
            Self::Xxh64(sum) => sum.write(bytes),
            Self::Xxh128(sum) => sum.write(bytes),
            Self::FirstCrc32 { sum, block_size, left } => {
                while let Some(first) = bytes.first() {
                    if *left == 0 {
                        sum.update(&vec![*first; *block_size]);
                        *left = *block_size;
                    }
                    let now = bytes.len().min(*left);
                    *left -= now;
                    bytes = &bytes[now..];
                }
            }
        }
    }

    /// The checksum of what came since it began, as it stands in the stream.
    pub(super) fn value(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Crc32(sum) | Self::FirstCrc32 { sum, .. } => {
                (!sum.clone().finalize()).to_le_bytes().to_vec()
            }
            Self::Xxh64(sum) => sum.finish().to_le_bytes().to_vec(),
            Self::Xxh128(sum) => sum.finish_128().to_le_bytes().to_vec(),
        }
    }
}
