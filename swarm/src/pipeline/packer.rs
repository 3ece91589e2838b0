//! Threads that pack and unpack blocks; and a judge of whether packing is worth its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ezio_scheduler::Blocks;

use super::{Content, Pipeline};
use crate::block::{Block, CHUNK_BLOCKS, Chunk};
use crate::pack::{Pack, Packer, Unpacker};

/// Called with a pack that was opened and its blocks.
pub(crate) type Unpacked = Box<dyn FnOnce(Pack, Vec<Box<Block>>) + Send>;

/// A pack that came.
pub(super) struct UnpackJob {
    pub(super) pack: Pack,
    pub(super) done: Unpacked,
}

/// Blocks that somebody waits for.
pub(super) struct PackJob {
    pub(super) run: Blocks,
    pub(super) chunk: Arc<Chunk>,
    pub(super) ordered: Instant,
}

/// What the threads do.
pub(super) enum PackWork {
    Unpack(UnpackJob),
    Pack(PackJob),
    /// Blocks that were to be packed could not be read.
    Unreadable(Blocks),
}

/// What it takes.
pub(super) struct Tools {
    packer: Packer,
    unpacker: Unpacker,
}

impl Tools {
    pub(super) fn new() -> Self {
        Self { packer: Packer::new(), unpacker: Unpacker::new() }
    }
}

pub(super) fn run(pipeline: &Pipeline) {
    let mut tools = Tools::new();
    while let Some(work) = pipeline.to_pack.pop() {
        match work {
            PackWork::Unpack(job) => unpack(pipeline, &mut tools, job),
            PackWork::Pack(job) => {
                let run = job.run;
                let content = pack(pipeline, &mut tools, job);
                pipeline.loaded(run, Some(&content));
            }
            PackWork::Unreadable(run) => pipeline.loaded(run, None),
        }
    }
}

pub(super) fn unpack(pipeline: &Pipeline, tools: &mut Tools, UnpackJob { pack, done }: UnpackJob) {
    let blocks = tools.unpacker.blocks(&pack, &pipeline.pool);
    done(pack, blocks);
}

/// The blocks as a pack, if that saves something.
pub(super) fn pack(
    pipeline: &Pipeline,
    tools: &mut Tools,
    PackJob { run, chunk, ordered }: PackJob,
) -> Content {
    let first = (run.first % CHUNK_BLOCKS) as usize;
    let blocks = (first..first + run.count as usize).map(|at| chunk.block(at));
    let bytes = tools.packer.pack(blocks, &pipeline.pool.packs);
    pipeline.packing.took(pipeline.geometry.bytes_of(run), ordered.elapsed(), bytes.is_some());
    bytes.map_or(Content::Raw(chunk), |bytes| pipeline.keep(run, bytes))
}

/// Once in so many times it is tried whether what did not pay does now.
const TRIAL: u32 = 32;
/// So many in a row that do not compress: the next do not either.
const STREAK: u32 = 4;

/// Whether packing pays.
pub(super) struct Packing {
    /// How long one KiB takes from the order on, in ns. What waits for a thread counts: it is the same to who waits for it.
    pace: AtomicU64,
    /// Runs in a row that did not compress.
    streak: AtomicU32,
    skipped: AtomicU32,
}

impl Packing {
    pub(super) fn new() -> Self {
        Self { pace: AtomicU64::new(2000), streak: AtomicU32::new(0), skipped: AtomicU32::new(0) }
    }

    /// Whether `bytes` are to be packed, when to send them as they are takes `raw`: packing has to be done in half of that, or
    /// what it saves is not worth the wait.
    pub(super) fn pays(&self, bytes: u32, raw: Duration) -> bool {
        let pace = Duration::from_nanos(self.pace.load(Ordering::Relaxed) * u64::from(bytes >> 10));
        let pays = pace.saturating_mul(2) <= raw && self.streak.load(Ordering::Relaxed) < STREAK;
        pays || self.skipped.fetch_add(1, Ordering::Relaxed) % TRIAL == TRIAL - 1
    }

    fn took(&self, bytes: u32, time: Duration, saved: bool) {
        let pace = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / u64::from((bytes >> 10).max(1));
        let mean = self.pace.load(Ordering::Relaxed);
        self.pace.store(mean - mean / 8 + pace / 8, Ordering::Relaxed);
        let streak = if saved { 0 } else { self.streak.load(Ordering::Relaxed).saturating_add(1) };
        self.streak.store(streak, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u32 = 256 << 10;

    fn times(packing: &Packing, raw: Duration) -> usize {
        (0..4 * TRIAL).filter(|_| packing.pays(RUN, raw)).count()
    }

    #[test]
    fn a_slow_link_is_worth_the_time_and_a_fast_one_is_not() {
        let packing = Packing::new();
        (0..100).for_each(|_| packing.took(RUN, Duration::from_micros(600), true));
        assert_eq!(times(&packing, Duration::from_millis(100)), 4 * TRIAL as usize);
        assert_eq!(times(&packing, Duration::from_micros(300)), 4);
        // A queue before the threads: then a part goes raw, until there is none.
        (0..100).for_each(|_| packing.took(RUN, Duration::from_millis(80), true));
        assert_eq!(times(&packing, Duration::from_millis(100)), 4);
        (0..100).for_each(|_| packing.took(RUN, Duration::from_micros(600), true));
        assert_eq!(times(&packing, Duration::from_millis(100)), 4 * TRIAL as usize);
    }

    #[test]
    fn what_does_not_compress_is_tried_now_and_then() {
        let packing = Packing::new();
        (0..STREAK).for_each(|_| packing.took(RUN, Duration::from_micros(100), false));
        assert_eq!(times(&packing, Duration::MAX), 4);
        packing.took(RUN, Duration::from_micros(100), true);
        assert_eq!(times(&packing, Duration::MAX), 4 * TRIAL as usize);
    }
}
