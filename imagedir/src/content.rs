//! The content of one partition: where it comes from, which of it is kept, and how.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use anyhow::Result;
use ezio_image::extents::ExtentMap;
use ezio_image::manifest::Store;

use crate::pieces::PieceHasher;

/// How short a content may become in frames: what is known of it beforehand. Most become a quarter to a half.
const BEST_RATIO: u64 = 8;

/// What a partition holds.
pub trait Content: Send {
    /// Fills `buffer` with the bytes from `offset` of the partition on. It is asked for what is in use, once, in order.
    ///
    /// # Errors
    /// What cannot be read, and where.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// A file that holds just the run of this index, if the image is to share it: it is linked, not written. An image that
    /// keeps its data in frames shares nothing.
    fn existing(&self, _run: usize) -> Option<&Path> {
        None
    }
}

/// Told of the bytes that are done, as they are; its error ends the copying.
pub type Watch<'a> = dyn FnMut(u64) -> Result<()> + 'a;

/// How an image keeps the data of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// In the files that the torrents name.
    Files,
    /// In frames of zstd, of this level; none: as hard as can be while the disk that is read sets the pace.
    Zstd {
        /// From 1 to [`ezio_frames::MAX_LEVEL`].
        level: Option<i32>,
    },
}

impl Keep {
    /// What the manifest says of it.
    #[must_use]
    pub fn store(self) -> Store {
        match self {
            Self::Files => Store::Files,
            Self::Zstd { .. } => Store::Zstd,
        }
    }

    /// Room that contents of so many bytes take at least.
    #[must_use]
    pub fn room(self, length: u64) -> u64 {
        match self {
            Self::Files => length,
            Self::Zstd { .. } => length / BEST_RATIO,
        }
    }
}

/// Which bytes of a partition are kept, and under which name.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// These runs, a file each in the torrent.
    Runs {
        /// Name of the partition in the image.
        name: &'a str,
        /// The runs, in order of their offsets.
        map: &'a ExtentMap,
    },
    /// Every byte, one file in the torrent.
    Whole {
        /// Name of the partition in the image.
        name: &'a str,
        /// Bytes of the partition.
        size: u64,
    },
}

impl Part<'_> {
    /// Name of the partition in the image.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Runs { name, .. } | Self::Whole { name, .. } => name,
        }
    }

    /// Bytes of content.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Runs { map, .. } => map.total_length(),
            Self::Whole { size, .. } => *size,
        }
    }
}

/// The hashes of all pieces of what comes, 20 bytes each.
pub(crate) fn hash_all(blocks: Receiver<Arc<Vec<u8>>>, piece_length: u32) -> Vec<u8> {
    let mut hasher = PieceHasher::new(piece_length);
    let mut hashes = Vec::new();
    for block in blocks {
        hasher.update(&block, |hash| hashes.extend(hash));
    }
    hasher.finish(|hash| hashes.extend(hash));
    hashes
}
