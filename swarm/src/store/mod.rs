//! Content between the network and the targets: verified in memory, passed on from there while hot,
//! written as large sorted runs, read back only when it has left memory.
//!
//! Writing, reading, and hashing large pieces have threads of their own. The scheduler's memory bound holds for what
//! is arriving and what waits to be written, so the queues here end by it; the cache has a bound of its own.

mod cache;
mod compare;
mod hasher;
mod queue;
mod reader;
mod writer;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use ezio_image::metainfo::Metainfo;
use ezio_sha1::Method;

use crate::block::{BLOCK, Block, BlockPool, CHUNK, CHUNK_BLOCKS, Chunk, ChunkId};
use crate::scheduler::{Geometry, PieceId};
use crate::storage::{Storage, StorageError};
use crate::zeros::ZeroPieces;
use cache::Cache;
pub(crate) use compare::Fits;
use queue::Queue;
use writer::WriteQueue;

/// What the store tells the engine. Called from the store's threads, and from [`Store::check`].
pub(crate) trait StoreEvents: Send + Sync {
    /// The piece has the right hash; it can be passed on.
    fn verified(&self, piece: PieceId);
    /// Its hash is wrong; its bytes are gone.
    fn failed(&self, piece: PieceId);
    /// These pieces are written; their memory is free.
    fn stored(&self, pieces: &[PieceId]);
    /// A target failed; nothing more is written.
    fn broken(&self, error: StorageError);
    /// Everything is written and synced, as asked by [`Store::finish`].
    fn finished(&self);
}

/// Called with a chunk that was read, or with none if that failed.
pub(crate) type Loaded = Box<dyn FnOnce(ChunkId, Option<Arc<Chunk>>) + Send>;

struct Torrent {
    metainfo: Arc<Metainfo>,
    storage: Arc<dyn Storage>,
}

struct HashJob {
    piece: PieceId,
    blocks: Vec<Box<Block>>,
}

/// The store of a job.
pub(crate) struct Store {
    torrents: Vec<Torrent>,
    geometry: Geometry,
    pub(crate) zeros: ZeroPieces,
    pool: Arc<BlockPool>,
    cache: Mutex<Cache>,
    to_hash: Queue<HashJob>,
    to_read: Queue<ChunkId>,
    to_write: WriteQueue,
    events: Arc<dyn StoreEvents>,
}

/// Threads that read: two keep a disk busy without making its heads jump.
const READERS: usize = 2;
/// More threads than this do not hash faster than a network brings.
const MAX_HASHERS: usize = 4;
/// Pieces of so many bytes are hashed by whoever brought their last block: to wake a thread, and then the connections that wait
/// for it, takes as long.
const HASHED_AT_ONCE: u32 = 64 << 10;

impl Store {
    /// `cache_bytes` bounds what is kept for upload; `write_bytes` is how much gathers before it is written.
    pub(crate) fn new(
        torrents: Vec<(Arc<Metainfo>, Arc<dyn Storage>)>,
        geometry: Geometry,
        zeros: ZeroPieces,
        pool: Arc<BlockPool>,
        cache_bytes: u64,
        write_bytes: u64,
        events: Arc<dyn StoreEvents>,
    ) -> Self {
        let torrents =
            torrents.into_iter().map(|(metainfo, storage)| Torrent { metainfo, storage }).collect();
        Self {
            torrents,
            geometry,
            zeros,
            pool,
            cache: Mutex::new(Cache::new(cache_bytes)),
            to_hash: Queue::default(),
            to_read: Queue::default(),
            to_write: WriteQueue::new(write_bytes),
            events,
        }
    }

    /// Starts the threads, which hash by this method; they end after [`Store::close`].
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn run(self: &Arc<Self>, hashing: Method) -> io::Result<()> {
        let hashers = thread::available_parallelism().map_or(1, usize::from).min(MAX_HASHERS);
        let spawn = |name: &str, run: fn(&Self, Method)| {
            let store = Arc::clone(self);
            thread::Builder::new().name(name.to_owned()).spawn(move || run(&store, hashing)).map(drop)
        };
        for _ in 0..hashers {
            spawn("ezio-hash", hasher::run)?;
        }
        for _ in 0..READERS {
            spawn("ezio-read", |store, _| reader::run(store))?;
        }
        spawn("ezio-write", |store, _| writer::run(store))
    }

    /// Ends the threads once they have done what they are at.
    pub(crate) fn close(&self) {
        self.to_hash.close();
        self.to_read.close();
        self.to_write.close();
    }

    /// All blocks of a piece are there: it is hashed, now or by a thread, and then written.
    pub(crate) fn check(&self, piece: PieceId, blocks: Vec<Box<Block>>) {
        self.to_write.expect();
        let job = HashJob { piece, blocks };
        if self.geometry.piece_size(piece) <= HASHED_AT_ONCE {
            hasher::check(self, Method::ONE_BY_ONE, vec![job]);
        } else {
            self.to_hash.push(job);
        }
    }

    /// [`Store::write_zeros`] may still be called: the job is not finished before [`Store::forgo`].
    pub(crate) fn expect(&self) {
        self.to_write.expect();
    }

    /// It will not be called any more.
    pub(crate) fn forgo(&self) {
        self.to_write.forgo();
    }

    /// These pieces, all of one torrent, are to be zeros on the target.
    pub(crate) fn write_zeros(&self, pieces: Range<u32>) {
        self.to_write.push_zeros(pieces);
    }

    /// No more pieces will come: what is left is written, and all is synced.
    pub(crate) fn finish(&self) {
        self.to_write.finish();
    }

    /// The chunk with a block of a piece that we have: at once if it is in memory, else it is read and given
    /// to what `loaded` makes.
    pub(crate) fn chunk(&self, id: ChunkId, loaded: impl FnOnce() -> Loaded) -> Option<Arc<Chunk>> {
        if self.zeros.holds(PieceId(id.piece)) {
            let size = self.geometry.piece_size(PieceId(id.piece));
            let length = size.saturating_sub(id.index * CHUNK).min(CHUNK);
            return Some(Arc::new(Chunk::zeros(length, &self.pool)));
        }
        let mut cache = self.cache();
        if let Some(chunk) = cache.get(id) {
            return Some(chunk);
        }
        if cache.wait(id, loaded()) {
            drop(cache);
            self.to_read.push(id);
        }
        None
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn torrent_of(&self, piece: PieceId) -> (&Torrent, u32) {
        let (torrent, index) = self.geometry.locate(piece);
        (&self.torrents[usize::from(torrent.0)], index)
    }

    /// Cuts the blocks of a piece into chunks.
    fn chunks(&self, piece: PieceId, blocks: Vec<Box<Block>>) -> Vec<Arc<Chunk>> {
        let mut left = self.geometry.piece_size(piece);
        let mut blocks = blocks.into_iter();
        let mut chunks = Vec::with_capacity((left as usize).div_ceil(CHUNK as usize));
        while left > 0 {
            let length = left.min(CHUNK);
            let some: Vec<_> = blocks.by_ref().take(CHUNK_BLOCKS as usize).collect();
            chunks.push(Arc::new(Chunk::new(some, length, Arc::clone(&self.pool))));
            left -= length;
        }
        chunks
    }
}

/// Bytes of a block of a piece of `size` bytes.
pub(crate) fn block_length(size: u32, block: u32) -> usize {
    (size as usize).saturating_sub(block as usize * BLOCK).min(BLOCK)
}

#[cfg(test)]
mod tests;
