//! Content between the network and the targets: verified in memory, passed on from there while hot,
//! written as large sorted runs, read back only when it has left memory.
//!
//! Writing, reading, hashing large pieces, and packing have threads of their own. The scheduler's memory bound holds for what
//! is arriving and what waits to be written, so the queues here end by it; the cache has a bound of its own.
//!
//! The order of locks: that of the packs, then that of the cache, then the pool's. Those of the queues and of the tools are held by
//! nobody who takes another one, and none of them all while somebody outside is told ([`PipelineEvents`], [`Loaded`]).

mod cache;
mod compare;
mod hasher;
mod packer;
mod packs;
mod queue;
mod reader;
mod writer;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use ezio_image::metainfo::Metainfo;
use ezio_scheduler::{Blocks, Geometry, PieceId};
use ezio_sha1::Method;

use crate::block::{BLOCK, Block, BlockPool, CHUNK, CHUNK_BLOCKS, Chunk, ChunkId};
use crate::pack::Pack;
use crate::storage::{Storage, StorageError};
use crate::threads::Threads;
use crate::zeros::ZeroPieces;
use cache::Cache;
pub(crate) use compare::Fits;
use packer::{PackJob, PackWork, Packing, Tools, UnpackJob};
use packs::Packs;
use queue::Queue;
use reader::Read;
use writer::WriteQueue;

/// What the pipeline tells the engine. Called from the pipeline's threads, and from [`Pipeline::check`].
pub(crate) trait PipelineEvents: Send + Sync {
    /// The piece has the right hash; it can be passed on.
    fn verified(&self, piece: PieceId);
    /// Its hash is wrong; its bytes are gone.
    fn failed(&self, piece: PieceId);
    /// These pieces are written; their memory is free.
    fn stored(&self, pieces: &[PieceId]);
    /// A target failed; nothing more is written.
    fn broken(&self, error: StorageError);
    /// Everything is written and synced, as asked by [`Pipeline::finish`].
    fn finished(&self);
}

pub(crate) use packer::Unpacked;

/// Blocks to be sent.
#[derive(Clone)]
pub(crate) enum Content {
    /// The chunk in which they are.
    Raw(Arc<Chunk>),
    /// Compressed.
    Packed(Arc<Pack>),
}

/// Called with what was read or packed, or with none if that failed.
pub(crate) type Loaded = Box<dyn FnOnce(Option<Content>) + Send>;

struct Torrent {
    metainfo: Arc<Metainfo>,
    storage: Arc<dyn Storage>,
}

impl Torrent {
    /// An error of its storage, by its name and pieces.
    fn named(&self, error: StorageError) -> StorageError {
        error.in_torrent(self.metainfo.name(), self.metainfo.piece_length())
    }
}

struct HashJob {
    piece: PieceId,
    blocks: Vec<Box<Block>>,
    /// In which they came.
    packs: Vec<Arc<Pack>>,
}

/// The pipeline of a job.
pub(crate) struct Pipeline {
    torrents: Vec<Torrent>,
    geometry: Geometry,
    pub(crate) zeros: ZeroPieces,
    pool: Arc<BlockPool>,
    cache: Mutex<Cache>,
    packs: Mutex<Packs>,
    packing: Packing,
    /// Out of use.
    tools: Mutex<Vec<Tools>>,
    to_hash: Queue<HashJob>,
    to_pack: Arc<Queue<PackWork>>,
    to_read: Queue<Read>,
    to_write: WriteQueue,
    events: Arc<dyn PipelineEvents>,
}

/// How much of what there is, in bytes.
pub(crate) struct Bounds {
    /// Kept for upload, at most.
    pub(crate) kept: u64,
    /// Kept compressed beside it, at most.
    pub(crate) packed: u64,
    /// Gathered before it is written.
    pub(crate) gathered: u64,
}

/// Threads that read: two keep a disk busy without making its heads jump.
const READERS: usize = 2;
/// More threads than this do not hash faster than a network brings.
const MAX_HASHERS: usize = 4;
/// Pieces of so many bytes are hashed by whoever brought their last block, and packs of so many made and unpacked by whoever
/// needs them: to wake a thread, and then the connections that wait for it, takes as long.
const DONE_AT_ONCE: u32 = 64 << 10;

impl Pipeline {
    /// A pipeline of these torrents, which has no threads yet.
    pub(crate) fn new(
        torrents: Vec<(Arc<Metainfo>, Arc<dyn Storage>)>,
        geometry: Geometry,
        zeros: ZeroPieces,
        pool: Arc<BlockPool>,
        bytes: Bounds,
        events: Arc<dyn PipelineEvents>,
    ) -> Self {
        let torrents =
            torrents.into_iter().map(|(metainfo, storage)| Torrent { metainfo, storage }).collect();
        Self {
            torrents,
            geometry,
            zeros,
            cache: Mutex::new(Cache::new(bytes.kept)),
            packs: Mutex::new(Packs::new(bytes.packed, Arc::clone(&pool))),
            pool,
            packing: Packing::new(),
            tools: Mutex::default(),
            to_hash: Queue::default(),
            to_pack: Arc::default(),
            to_read: Queue::default(),
            to_write: WriteQueue::new(bytes.gathered),
            events,
        }
    }

    /// Starts the threads, which hash by this method; they end after [`Pipeline::close`].
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn run(self: &Arc<Self>, hashing: Method, threads: &Threads) -> io::Result<()> {
        let hashers = available_parallelism().map_or(1, usize::from).min(MAX_HASHERS);
        let spawn = |name: &str, run: fn(&Self, Method)| {
            let pipeline = Arc::clone(self);
            threads.spawn(name, move || run(&pipeline, hashing))
        };
        for _ in 0..hashers {
            spawn("ezio-hash", hasher::run)?;
            spawn("ezio-pack", |pipeline, _| packer::run(pipeline))?;
        }
        for _ in 0..READERS {
            spawn("ezio-read", |pipeline, _| reader::run(pipeline))?;
        }
        spawn("ezio-write", |pipeline, _| writer::run(pipeline))
    }

    /// Ends the threads once they have done what they are at.
    pub(crate) fn close(&self) {
        self.to_hash.close();
        self.to_pack.close();
        self.to_read.close();
        self.to_write.close();
    }

    /// All blocks of a piece are there, of which some came in `packs`: it is hashed, now or by a thread, and then written.
    pub(crate) fn check(&self, piece: PieceId, blocks: Vec<Box<Block>>, packs: Vec<Arc<Pack>>) {
        self.to_write.expect();
        let job = HashJob { piece, blocks, packs };
        if self.geometry.piece_size(piece) <= DONE_AT_ONCE {
            hasher::check(self, Method::ONE_BY_ONE, vec![job]);
        } else {
            self.to_hash.push(job);
        }
    }

    /// [`Pipeline::write_zeros`] may still be called: the job is not finished before [`Pipeline::forgo`].
    pub(crate) fn expect(&self) {
        self.to_write.expect();
    }

    /// It will not be called any more.
    pub(crate) fn forgo(&self) {
        self.to_write.forgo();
    }

    /// A pack for blocks that exist.
    pub(crate) fn pack(&self, run: Blocks, bytes: Vec<u8>) -> Pack {
        Pack::new(run, self.geometry.bytes_of(run), bytes, &self.pool)
    }

    /// Opens a pack, now or by a thread.
    pub(crate) fn unpack(&self, pack: Pack, done: Unpacked) {
        let now = pack.raw() <= DONE_AT_ONCE as usize;
        let job = UnpackJob { pack, done };
        if now {
            self.with_tools(|tools| packer::unpack(self, tools, job));
        } else {
            self.to_pack.push(PackWork::Unpack(job));
        }
    }

    /// These pieces, all of one torrent, are to be zeros on the target.
    pub(crate) fn write_zeros(&self, pieces: Range<u32>) {
        self.to_write.push_zeros(pieces);
    }

    /// No more pieces will come: what is left is written, and all is synced.
    pub(crate) fn finish(&self) {
        self.to_write.finish();
    }

    /// Blocks of one chunk of a piece that we have: at once if they are in memory, else they are read and given to what `loaded`
    /// makes. They come as a pack, perhaps of their beginning only, where `raw` says how long it takes to send them as they are
    /// and that is longer than it takes to pack them.
    pub(crate) fn content(
        &self,
        run: Blocks,
        raw: Option<Duration>,
        loaded: impl FnOnce() -> Loaded,
    ) -> Option<Content> {
        let Some(raw) = raw else { return self.chunk(run, loaded) };
        let mut packs = self.packs();
        if let Some(pack) = packs.get(run) {
            return Some(Content::Packed(pack));
        }
        let (torrent, _) = self.torrent_of(run.piece);
        let lies_packed = torrent.storage.has_frames();
        let bytes = self.geometry.bytes_of(run);
        if !lies_packed && !self.packing.pays(bytes, raw) {
            drop(packs);
            return self.chunk(run, loaded);
        }
        let hot = (bytes <= DONE_AT_ONCE && !lies_packed).then(|| self.cache().get(chunk_of(run))).flatten();
        if let Some(chunk) = hot {
            drop(packs);
            let job = PackJob { run, chunk, ordered: Instant::now() };
            return Some(self.with_tools(|tools| packer::pack(self, tools, job)));
        }
        let first = packs.wait(run, loaded());
        drop(packs);
        match first {
            true if lies_packed => self.to_read.push(Read::Frame(run)),
            true => self.order_pack(run),
            false => {}
        }
        None
    }

    fn with_tools<T>(&self, act: impl FnOnce(&mut Tools) -> T) -> T {
        let idle = || self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = idle().pop();
        let mut tools = tools.unwrap_or_else(Tools::new);
        let result = act(&mut tools);
        idle().push(tools);
        result
    }

    /// The chunk in which a run is.
    fn chunk(&self, run: Blocks, loaded: impl FnOnce() -> Loaded) -> Option<Content> {
        let id = chunk_of(run);
        if self.zeros.holds(run.piece) {
            let size = self.geometry.piece_size(run.piece);
            let length = size.saturating_sub(id.index * CHUNK).min(CHUNK);
            return Some(Content::Raw(Arc::new(Chunk::zeros(length, &self.pool))));
        }
        let mut cache = self.cache();
        if let Some(chunk) = cache.get(id) {
            return Some(Content::Raw(chunk));
        }
        if cache.wait(id, loaded()) {
            drop(cache);
            self.to_read.push(Read::Chunk(id));
        }
        None
    }

    /// Packs blocks that somebody waits for, once they are in memory.
    fn order_pack(&self, run: Blocks) {
        let work = Arc::clone(&self.to_pack);
        let ordered = Instant::now();
        let order = move |content| match content {
            Some(Content::Raw(chunk)) => work.push(PackWork::Pack(PackJob { run, chunk, ordered })),
            _ => work.push(PackWork::Unreadable(run)),
        };
        let later = order.clone();
        if let Some(content) = self.chunk(run, || Box::new(later)) {
            order(Some(content));
        }
    }

    /// Keeps the frame of these blocks, whose bytes are known to be right.
    fn keep(&self, run: Blocks, frame: Vec<u8>) -> Content {
        let pack = Arc::new(self.pack(run, frame));
        self.packs().keep(Arc::clone(&pack));
        Content::Packed(pack)
    }

    /// Tells who waits for these blocks.
    fn loaded(&self, run: Blocks, content: Option<&Content>) {
        let waiters = self.packs().end_wait(run);
        waiters.into_iter().for_each(|waiter| waiter(content.cloned()));
    }

    fn packs(&self) -> MutexGuard<'_, Packs> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn torrent_of(&self, piece: PieceId) -> (&Torrent, u32) {
        let (torrent, index) = self.geometry.locate(piece);
        (&self.torrents[usize::from(torrent.0)], index)
    }

    /// The torrent of a piece, and the byte of its content at which the piece begins.
    fn offset_of(&self, piece: PieceId) -> (&Torrent, u64) {
        let (torrent, index) = self.torrent_of(piece);
        (torrent, u64::from(index) * u64::from(torrent.metainfo.piece_length()))
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

/// The chunk in which a run is.
fn chunk_of(run: Blocks) -> ChunkId {
    ChunkId { piece: run.piece, index: run.first / CHUNK_BLOCKS }
}

/// Bytes of a block of a piece of `size` bytes.
pub(crate) fn block_length(size: u32, block: u32) -> usize {
    (size as usize).saturating_sub(block as usize * BLOCK).min(BLOCK)
}

#[cfg(test)]
mod tests;
