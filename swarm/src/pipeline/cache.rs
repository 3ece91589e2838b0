//! What is kept in memory for upload: pieces not yet written, which must stay, and the most recently
//! used of the others, up to a bound and for as long as they are asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ezio_scheduler::PieceId;

use super::Loaded;
use crate::block::{Chunk, ChunkId};

/// What nobody asks for in so long gives its memory to what comes: a page that was never used costs the kernel more than
/// reading an old piece back. At 40 MiB and full rate the bound comes first; where a link takes a minute for as much, this.
const IDLE: Duration = Duration::from_secs(4);

struct Entry {
    chunk: Arc<Chunk>,
    /// Not on the target yet: must not be read from there.
    unwritten: bool,
    /// Used since it was last considered for eviction.
    used: bool,
}

pub(super) struct Cache {
    entries: HashMap<ChunkId, Entry>,
    /// Written chunks in the order in which they are considered for eviction, each with the time since when it waits.
    clock: VecDeque<(Instant, ChunkId)>,
    bytes: u64,
    limit: u64,
    loading: HashMap<ChunkId, Vec<Loaded>>,
}

impl Cache {
    pub(super) fn new(limit: u64) -> Self {
        Self { entries: HashMap::new(), clock: VecDeque::new(), bytes: 0, limit, loading: HashMap::new() }
    }

    pub(super) fn get(&mut self, id: ChunkId) -> Option<Arc<Chunk>> {
        let entry = self.entries.get_mut(&id)?;
        entry.used = true;
        Some(Arc::clone(&entry.chunk))
    }

    /// Notes who waits for a chunk; whether it is to be read for that.
    pub(super) fn wait(&mut self, id: ChunkId, loaded: Loaded) -> bool {
        let waiters = self.loading.entry(id).or_default();
        waiters.push(loaded);
        waiters.len() == 1
    }

    /// A chunk was read, at `now`; who waits for it.
    pub(super) fn loaded(&mut self, id: ChunkId, chunk: Option<&Arc<Chunk>>, now: Instant) -> Vec<Loaded> {
        if let Some(chunk) = chunk
            && !self.entries.contains_key(&id)
        {
            self.entries.insert(id, Entry { chunk: Arc::clone(chunk), unwritten: false, used: false });
            self.keep(id, chunk.len(), now);
        }
        self.loading.remove(&id).unwrap_or_default()
    }

    /// A verified piece waits to be written.
    pub(super) fn add_unwritten(&mut self, piece: PieceId, chunks: &[Arc<Chunk>]) {
        for (index, chunk) in (0..).zip(chunks) {
            let entry = Entry { chunk: Arc::clone(chunk), unwritten: true, used: false };
            self.entries.insert(ChunkId { piece, index }, entry);
        }
    }

    /// A piece of so many chunks is on the target, since `now`.
    pub(super) fn written(&mut self, piece: PieceId, chunks: u32, now: Instant) {
        for index in 0..chunks {
            let id = ChunkId { piece, index };
            if let Some(entry) = self.entries.get_mut(&id)
                && std::mem::take(&mut entry.unwritten)
            {
                let length = entry.chunk.len();
                self.keep(id, length, now);
            }
        }
    }

    fn keep(&mut self, id: ChunkId, length: u32, now: Instant) {
        self.bytes += u64::from(length);
        self.clock.push_back((now, id));
        while let Some(&(since, oldest)) = self.clock.front()
            && (self.bytes > self.limit || now - since > IDLE)
        {
            self.clock.pop_front();
            match self.entries.get_mut(&oldest) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.clock.push_back((now, oldest));
                }
                Some(entry) => {
                    self.bytes -= u64::from(entry.chunk.len());
                    self.entries.remove(&oldest);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BlockPool;

    /// A cache of `limit` bytes that one piece after the other comes to, each of one chunk of 16 KiB.
    struct Room {
        cache: Cache,
        pool: Arc<BlockPool>,
        now: Instant,
    }

    impl Room {
        fn new(limit: u64) -> Self {
            Self { cache: Cache::new(limit), pool: BlockPool::new(1 << 20), now: Instant::now() }
        }

        fn write(&mut self, piece: u32) {
            self.cache.add_unwritten(PieceId(piece), &[Arc::new(Chunk::blank(16 << 10, &self.pool))]);
            self.cache.written(PieceId(piece), 1, self.now);
        }

        fn has(&mut self, piece: u32) -> bool {
            self.cache.get(ChunkId { piece: PieceId(piece), index: 0 }).is_some()
        }
    }

    #[test]
    fn what_nobody_asks_for_goes_and_what_is_asked_for_stays() {
        let mut room = Room::new(1 << 20);
        room.write(0);
        room.write(1);
        assert!(room.has(0));
        room.now += IDLE + Duration::from_millis(1);
        room.write(2);
        let there: Vec<ChunkId> = room.cache.entries.keys().copied().collect();
        assert!(room.has(0) && room.has(2) && !room.has(1), "{there:?}");
        // It was asked for just now, and then never again.
        for piece in 3..6 {
            room.now += IDLE + Duration::from_millis(1);
            room.write(piece);
        }
        assert!(!room.has(0) && room.has(5));
        assert_eq!(room.cache.bytes, 16 << 10);
    }

    #[test]
    fn the_bound_holds_whatever_is_asked_for() {
        let mut room = Room::new(64 << 10);
        for piece in 0..100 {
            room.write(piece);
            room.has(piece.saturating_sub(2));
            assert_eq!(room.cache.bytes, u64::from(piece + 1).min(4) * (16 << 10));
        }
    }
}
