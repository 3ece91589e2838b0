//! Blocks compressed, as they travel between our own programs: one zstd frame for a run of blocks.
//!
//! What comes from a peer is unpacked into a buffer of the length that the blocks have, in one call: no claim of the sender
//! makes that take more memory, or more time than the bytes that it sent and those that it was asked for.

use std::sync::Arc;

use ezio_scheduler::{Blocks, PACK_BLOCKS};
use zstd_safe::{CCtx, DCtx};

use crate::block::{BLOCK, Block, BlockPool};
use crate::pack_memory::PackMemory;

/// The most that a run of blocks has.
const MOST: usize = PACK_BLOCKS as usize * BLOCK;
/// Level at which machines compress: the fastest that finds matches.
const LEVEL: i32 = 1;

/// The longest frame that is worth more than the `raw` bytes that it stands for: it saves an eighth.
pub(crate) fn longest(raw: usize) -> usize {
    raw / 8 * 7
}

/// Blocks of a piece as one zstd frame.
pub(crate) struct Pack {
    run: Blocks,
    raw: u32,
    bytes: Vec<u8>,
    pool: Arc<BlockPool>,
}

impl Pack {
    /// `bytes` stand for the `raw` bytes of `run`; their memory goes to `pool` in the end.
    pub(crate) fn new(run: Blocks, raw: u32, bytes: Vec<u8>, pool: &Arc<BlockPool>) -> Self {
        pool.packs.hold(&bytes);
        Self { run, raw, bytes, pool: Arc::clone(pool) }
    }

    /// What it stands for.
    pub(crate) fn run(&self) -> Blocks {
        self.run
    }

    /// Bytes that it stands for.
    pub(crate) fn raw(&self) -> usize {
        self.raw as usize
    }

    /// The frame.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        self.pool.packs.give(std::mem::take(&mut self.bytes));
    }
}

/// Makes packs.
pub(crate) struct Packer {
    context: CCtx<'static>,
    raw: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> Self {
        Self { context: CCtx::create(), raw: Vec::with_capacity(MOST), packed: vec![0; MOST] }
    }

    /// The frame for these blocks; none where it would not save an eighth.
    pub(crate) fn pack<'a>(
        &mut self,
        blocks: impl Iterator<Item = &'a [u8]>,
        memory: &PackMemory,
    ) -> Option<Vec<u8>> {
        self.raw.clear();
        blocks.for_each(|block| self.raw.extend_from_slice(block));
        let most = longest(self.raw.len()).min(self.packed.len());
        let length = self.context.compress(&mut self.packed[..most], &self.raw, LEVEL).ok()?;
        let mut packed = memory.take(length);
        packed.copy_from_slice(&self.packed[..length]);
        Some(packed)
    }
}

/// Opens packs.
pub(crate) struct Unpacker {
    context: DCtx<'static>,
    raw: Vec<u8>,
}

impl Unpacker {
    pub(crate) fn new() -> Self {
        Self { context: DCtx::create(), raw: vec![0; MOST] }
    }

    /// The `length` bytes that `frame` stands for; none if it is anything but one frame of exactly these.
    fn unpack(&mut self, frame: &[u8], length: usize) -> Option<&[u8]> {
        let room = self.raw.get_mut(..length)?;
        ezio_frames::unpack(&mut self.context, frame, room).ok()?;
        Some(room)
    }

    /// The blocks of a pack. What does not unpack becomes zeros: the hash of the piece will say that they are wrong, and whose.
    pub(crate) fn blocks(&mut self, pack: &Pack, pool: &BlockPool) -> Vec<Box<Block>> {
        let mut blocks = Vec::with_capacity(pack.run.count as usize);
        pool.take(pack.run.count as usize, &mut blocks);
        match self.unpack(&pack.bytes, pack.raw()) {
            Some(raw) => blocks.iter_mut().zip(raw.chunks(BLOCK)).for_each(|(block, bytes)| {
                block.0[..bytes.len()].copy_from_slice(bytes);
            }),
            None => {
                tracing::warn!(piece = pack.run.piece.0, "a pack that cannot be unpacked");
                blocks.iter_mut().for_each(|block| block.0.fill(0));
            }
        }
        blocks
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
