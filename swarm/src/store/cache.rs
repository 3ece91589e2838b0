//! What is kept in memory for upload: pieces not yet written, which must stay, and the most recently
//! used of the others, up to a bound.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Loaded;
use crate::block::{Chunk, ChunkId};

struct Entry {
    chunk: Arc<Chunk>,
    /// Not on the target yet: must not be read from there.
    unwritten: bool,
    /// Used since it was last considered for eviction.
    used: bool,
}

pub(super) struct Cache {
    entries: HashMap<ChunkId, Entry>,
    /// Written chunks in the order in which they are considered for eviction.
    clock: VecDeque<ChunkId>,
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

    /// A chunk was read; who waits for it.
    pub(super) fn loaded(&mut self, id: ChunkId, chunk: Option<&Arc<Chunk>>) -> Vec<Loaded> {
        if let Some(chunk) = chunk
            && !self.entries.contains_key(&id)
        {
            self.entries.insert(id, Entry { chunk: Arc::clone(chunk), unwritten: false, used: false });
            self.keep(id, chunk.len());
        }
        self.loading.remove(&id).unwrap_or_default()
    }

    /// A verified piece waits to be written.
    pub(super) fn add_unwritten(&mut self, piece: u32, chunks: &[Arc<Chunk>]) {
        for (index, chunk) in (0..).zip(chunks) {
            let entry = Entry { chunk: Arc::clone(chunk), unwritten: true, used: false };
            self.entries.insert(ChunkId { piece, index }, entry);
        }
    }

    /// A piece of so many chunks is on the target.
    pub(super) fn written(&mut self, piece: u32, chunks: u32) {
        for index in 0..chunks {
            let id = ChunkId { piece, index };
            if let Some(entry) = self.entries.get_mut(&id)
                && std::mem::take(&mut entry.unwritten)
            {
                let length = entry.chunk.len();
                self.keep(id, length);
            }
        }
    }

    fn keep(&mut self, id: ChunkId, length: u32) {
        self.bytes += u64::from(length);
        self.clock.push_back(id);
        while self.bytes > self.limit
            && let Some(oldest) = self.clock.pop_front()
        {
            match self.entries.get_mut(&oldest) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.clock.push_back(oldest);
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
