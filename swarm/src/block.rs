//! Memory for content: blocks of 16 KiB, the unit of a request on the wire.
//!
//! A block is filled straight from the socket, hashed, sent on and written to the target from the same
//! place. Blocks are used again through a pool: a fresh page costs the kernel as much as a copy.

use std::io::{IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, PoisonError};

use ezio_scheduler::PieceId;

use crate::pack_memory::PackMemory;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 16 << 10;
/// Blocks of a chunk.
pub(crate) const CHUNK_BLOCKS: u32 = 64;
/// Bytes of a chunk, the unit of reading ahead and of the cache.
pub(crate) const CHUNK: u32 = CHUNK_BLOCKS * BLOCK as u32;

/// The bytes of a block; aligned to a page, as devices like them.
#[repr(C, align(4096))]
pub(crate) struct Block(pub(crate) [u8; BLOCK]);

/// Blocks out of use, and the memory of packs.
pub(crate) struct BlockPool {
    free: Mutex<Vec<Box<Block>>>,
    keep: usize,
    pub(crate) packs: PackMemory,
}

impl BlockPool {
    /// A pool that keeps at most `keep_bytes` for later.
    pub(crate) fn new(keep_bytes: u64) -> Arc<Self> {
        let keep = usize::try_from(keep_bytes / BLOCK as u64).unwrap_or(usize::MAX);
        Arc::new(Self { free: Mutex::default(), keep, packs: PackMemory::default() })
    }

    /// Puts `count` blocks into `into`. Their bytes are whatever was in them before.
    pub(crate) fn take(&self, count: usize, into: &mut impl Extend<Box<Block>>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let from = free.len() - count.min(free.len());
        let missing = count - (free.len() - from);
        into.extend(free.drain(from..));
        drop(free);
        into.extend((0..missing).map(|_| Box::new(Block([0; BLOCK]))));
    }

    /// Takes blocks back.
    pub(crate) fn give(&self, blocks: impl IntoIterator<Item = Box<Block>>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        for block in blocks {
            if free.len() < self.keep {
                free.push(block);
            }
        }
    }
}

/// Consecutive blocks of one piece, shared by whoever writes, sends or keeps them.
pub(crate) struct Chunk {
    blocks: Vec<Box<Block>>,
    length: u32,
    pool: Arc<BlockPool>,
}

impl Chunk {
    /// `length` bytes in `blocks`; only the last block may be short.
    pub(crate) fn new(blocks: Vec<Box<Block>>, length: u32, pool: Arc<BlockPool>) -> Self {
        Self { blocks, length, pool }
    }

    /// Blocks for `length` bytes, to be filled.
    pub(crate) fn blank(length: u32, pool: &Arc<BlockPool>) -> Self {
        let mut blocks = Vec::with_capacity((length as usize).div_ceil(BLOCK));
        pool.take((length as usize).div_ceil(BLOCK), &mut blocks);
        Self::new(blocks, length, Arc::clone(pool))
    }

    /// `length` zeros.
    pub(crate) fn zeros(length: u32, pool: &Arc<BlockPool>) -> Self {
        let mut chunk = Self::blank(length, pool);
        chunk.blocks.iter_mut().for_each(|block| block.0.fill(0));
        chunk
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> u32 {
        self.length
    }

    fn block_len(&self, index: usize) -> usize {
        (self.length as usize).saturating_sub(index * BLOCK).min(BLOCK)
    }

    /// The bytes of block `index`; none behind the end.
    pub(crate) fn block(&self, index: usize) -> &[u8] {
        let length = self.block_len(index);
        self.blocks.get(index).map_or(&[], |b| &b.0[..length])
    }

    /// The bytes, block by block.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.blocks.len()).map(|i| self.block(i))
    }

    /// The bytes for writing them out.
    pub(crate) fn slices(&self) -> impl Iterator<Item = IoSlice<'_>> {
        self.iter().map(IoSlice::new)
    }

    /// The bytes for filling them.
    pub(crate) fn slices_mut(&mut self) -> Vec<IoSliceMut<'_>> {
        let lengths: Vec<usize> = (0..self.blocks.len()).map(|i| self.block_len(i)).collect();
        self.blocks.iter_mut().zip(lengths).map(|(b, n)| IoSliceMut::new(&mut b.0[..n])).collect()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.give(self.blocks.drain(..));
    }
}

/// Names a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChunkId {
    pub(crate) piece: PieceId,
    /// Chunk of the piece, from 0.
    pub(crate) index: u32,
}
