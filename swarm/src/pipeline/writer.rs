//! The thread that writes. What goes on where the last write ended is written at once: it costs no seek, and its bytes
//! are still in the processor's cache. Other pieces gather in memory, and go out in one sweep in the order of the target,
//! neighbours in one call. A rotating disk thus moves its heads once a run, not once a piece.
//!
//! Writes go through the page cache, and the kernel is asked at once to write them out (`POSIX_FADV_DONTNEED` on dirty
//! pages starts that and does not wait). ARCHITECTURE.md has the measurements that speak for it, and against O_DIRECT.
//! It also takes runs of any alignment, works on every target, and serves later uploads from memory that is free anyway.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ezio_scheduler::PieceId;

use super::Pipeline;
use crate::block::Chunk;
use crate::storage::StorageError;

/// A piece waits at most so long for company.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Bytes of one run in one call.
const MAX_RUN: u64 = 8 << 20;
/// Zeros of one run: a device that can makes them in no time, and what has arrived waits for one that cannot.
const MAX_ZEROS: u64 = 32 << 20;

type Run = Vec<(PieceId, Vec<Arc<Chunk>>)>;

#[derive(Default)]
struct State {
    pending: BTreeMap<u32, Vec<Arc<Chunk>>>,
    /// Pieces to be made zeros when there is nothing else to write.
    zeros: VecDeque<Range<u32>>,
    bytes: u64,
    oldest: Option<Instant>,
    /// Piece behind the last one that was written.
    head: u32,
    /// Piece from which the sweep goes on; none while there is no sweep.
    sweep: Option<u32>,
    /// Pieces that are being hashed and will come here.
    expected: usize,
    finish: bool,
    closed: bool,
}

pub(super) struct WriteQueue {
    state: Mutex<State>,
    news: Condvar,
    /// Bytes that start a sweep.
    gather: u64,
}

enum Next {
    Run(Run),
    Zeros(Range<u32>),
    Finish,
    Closed,
}

impl WriteQueue {
    pub(super) fn new(gather: u64) -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), gather }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece is about to be hashed: it comes by [`WriteQueue::push`], or not, by [`WriteQueue::forgo`].
    pub(super) fn expect(&self) {
        self.lock().expected += 1;
    }

    pub(super) fn forgo(&self) {
        self.lock().expected -= 1;
        self.news.notify_one();
    }

    pub(super) fn push(&self, piece: PieceId, chunks: Vec<Arc<Chunk>>) {
        let mut state = self.lock();
        state.expected -= 1;
        state.bytes += chunks.iter().map(|c| u64::from(c.len())).sum::<u64>();
        state.pending.insert(piece.0, chunks);
        if state.oldest.is_none() {
            state.oldest = Some(Instant::now());
            self.news.notify_one();
        } else if piece.0 == state.head || state.bytes >= self.gather || state.finish {
            self.news.notify_one();
        }
    }

    pub(super) fn push_zeros(&self, pieces: Range<u32>) {
        self.lock().zeros.push_back(pieces);
        self.news.notify_one();
    }

    pub(super) fn finish(&self) {
        self.lock().finish = true;
        self.news.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    fn next(&self, pipeline: &Pipeline) -> Next {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::Closed;
            }
            if state.pending.is_empty() {
                state.sweep = None;
                state.oldest = None;
                if let Some(zeros) = state.next_zeros(pipeline) {
                    return Next::Zeros(zeros);
                }
                if state.expected == 0 && std::mem::take(&mut state.finish) {
                    return Next::Finish;
                }
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let age = state.oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed());
            if state.sweep.is_none() && (state.bytes >= self.gather || state.finish || age >= MAX_AGE) {
                state.sweep = Some(0);
            }
            if let Some(run) = state.next_run(pipeline) {
                return Next::Run(run);
            }
            if state.finish {
                // Nothing more comes that could join what the sweep has passed.
                continue;
            }
            let wait = MAX_AGE.saturating_sub(age).max(Duration::from_millis(1));
            state = self.news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    /// The next pieces to be made zeros, one behind the other.
    fn next_zeros(&mut self, pipeline: &Pipeline) -> Option<Range<u32>> {
        let run = self.zeros.front_mut()?;
        let most = MAX_ZEROS / u64::from(pipeline.geometry.piece_size(PieceId(run.start)).max(1));
        let end = run.end.min(run.start.saturating_add((most as u32).max(1)));
        let some = run.start..end;
        run.start = end;
        if run.start == run.end {
            self.zeros.pop_front();
        }
        self.head = end;
        Some(some)
    }

    /// The next pieces to write, one behind the other: those at the head, else those of the sweep; none at its end.
    fn next_run(&mut self, pipeline: &Pipeline) -> Option<Run> {
        let from = if self.pending.contains_key(&self.head) { self.head } else { self.sweep? };
        let Some((&first, _)) = self.pending.range(from..).next() else {
            self.sweep = None;
            // What is left came behind the sweep, after it began.
            self.oldest = Some(Instant::now());
            return None;
        };
        let torrent = pipeline.geometry.locate(PieceId(first)).0;
        let (mut run, mut bytes, mut at) = (Vec::new(), 0, first);
        while bytes < MAX_RUN
            && pipeline.geometry.locate(PieceId(at)).0 == torrent
            && let Some(chunks) = self.pending.remove(&at)
        {
            bytes += chunks.iter().map(|c| u64::from(c.len())).sum::<u64>();
            run.push((PieceId(at), chunks));
            at += 1;
        }
        self.bytes -= bytes;
        self.head = at;
        self.sweep = self.sweep.map(|_| at);
        Some(run)
    }
}

pub(super) fn run(pipeline: &Pipeline) {
    loop {
        match pipeline.to_write.next(pipeline) {
            Next::Closed => return,
            Next::Finish => match pipeline.torrents.iter().try_for_each(|t| t.storage.sync()) {
                Ok(()) => pipeline.events.finished(),
                Err(error) => return pipeline.events.broken(error),
            },
            Next::Zeros(pieces) => {
                if let Err(error) = write_zeros(pipeline, pieces) {
                    return pipeline.events.broken(error);
                }
            }
            Next::Run(run) => {
                if let Err(error) = write(pipeline, &run) {
                    return pipeline.events.broken(error);
                }
                let pieces: Vec<PieceId> = run.iter().map(|(piece, _)| *piece).collect();
                let (mut cache, now) = (pipeline.cache(), Instant::now());
                for (piece, chunks) in &run {
                    cache.written(*piece, u32::try_from(chunks.len()).unwrap_or(u32::MAX), now);
                }
                drop(cache);
                drop(run);
                pipeline.events.stored(&pieces);
            }
        }
    }
}

fn write(pipeline: &Pipeline, run: &Run) -> Result<(), StorageError> {
    let Some((first, _)) = run.first() else { return Ok(()) };
    let (torrent, offset) = pipeline.offset_of(*first);
    let slices: Vec<IoSlice<'_>> =
        run.iter().flat_map(|(_, chunks)| chunks.iter().flat_map(|c| c.slices())).collect();
    let length = slices.iter().map(|s| s.len() as u64).sum();
    torrent.storage.write_vectored_at(offset, &slices).map_err(|e| torrent.named(e))?;
    torrent.storage.begin_writeback(offset, length);
    Ok(())
}

fn write_zeros(pipeline: &Pipeline, pieces: Range<u32>) -> Result<(), StorageError> {
    let (torrent, offset) = pipeline.offset_of(PieceId(pieces.start));
    let length = pieces.map(|piece| u64::from(pipeline.geometry.piece_size(PieceId(piece)))).sum();
    torrent.storage.write_zeros_at(offset, length).map_err(|e| torrent.named(e))
}
