//! Puts messages and blocks on a socket. Blocks go from where they lie in memory, many in one system call; ordinary
//! messages overtake blocks that have not begun.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::block::{BLOCK, CHUNK_BLOCKS, Chunk, ChunkId};
use crate::scheduler::{Blocks, PieceId};
use crate::wire::{BLOCK_HEADER, block_header};

/// Blocks in one system call, at most.
const BATCH: usize = 64;

/// Blocks of one chunk.
struct Run {
    id: ChunkId,
    /// Piece number on the wire.
    piece: u32,
    first: u32,
    end: u32,
    chunk: Option<Arc<Chunk>>,
}

#[derive(Default)]
pub(super) struct Transmitter {
    control: Vec<u8>,
    control_sent: usize,
    runs: VecDeque<Run>,
    /// Bytes of the front block, its header included, that have gone.
    front_sent: usize,
}

/// What goes out in one system call. On the stack: a slow link takes little at a time, and what is allocated for each costs more.
struct Slices<'a> {
    slices: [IoSlice<'a>; 1 + 2 * BATCH],
    count: usize,
}

impl Default for Slices<'_> {
    fn default() -> Self {
        Self { slices: [IoSlice::new(&[]); 1 + 2 * BATCH], count: 0 }
    }
}

impl<'a> Slices<'a> {
    fn add(&mut self, bytes: &'a [u8]) {
        self.slices[self.count] = IoSlice::new(bytes);
        self.count += 1;
    }

    fn all(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }
}

/// What one write has moved.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Written {
    /// Bytes in all.
    pub(super) bytes: usize,
    /// Those of them that are payload.
    pub(super) payload: usize,
}

impl Transmitter {
    /// Messages other than blocks, encoded.
    pub(super) fn add_control(&mut self, messages: &mut Vec<u8>) {
        if self.control_sent == self.control.len() {
            self.control.clear();
            self.control_sent = 0;
            std::mem::swap(&mut self.control, messages);
        } else {
            self.control.append(messages);
        }
    }

    /// Blocks to send; `piece` is their number on the wire. `chunk` finds their bytes, or orders them.
    pub(super) fn add_blocks(
        &mut self,
        blocks: Blocks,
        piece: u32,
        mut chunk: impl FnMut(ChunkId) -> Option<Arc<Chunk>>,
    ) {
        let end = blocks.first + blocks.count;
        let mut first = blocks.first;
        while first < end {
            let id = ChunkId { piece: blocks.piece.0, index: first / CHUNK_BLOCKS };
            let base = id.index * CHUNK_BLOCKS;
            let stop = end.min(base + CHUNK_BLOCKS);
            let found = self.runs.iter().find(|r| r.id == id).and_then(|r| r.chunk.clone());
            let chunk = found.or_else(|| chunk(id));
            self.runs.push_back(Run { id, piece, first: first - base, end: stop - base, chunk });
            first = stop;
        }
    }

    /// A chunk that was ordered is there.
    pub(super) fn loaded(&mut self, id: ChunkId, chunk: &Arc<Chunk>) {
        for run in self.runs.iter_mut().filter(|r| r.id == id) {
            run.chunk.get_or_insert_with(|| Arc::clone(chunk));
        }
    }

    /// Is there something that can be sent now?
    pub(super) fn ready(&self) -> bool {
        self.control_ready() || self.payload_ready()
    }

    /// Is there a message that can be sent without going on with a block?
    pub(super) fn control_ready(&self) -> bool {
        self.control_sent < self.control.len() && self.front_sent == 0
    }

    /// Is there a block that can be sent now?
    pub(super) fn payload_ready(&self) -> bool {
        self.runs.front().is_some_and(|r| r.chunk.is_some())
    }

    /// Writes once, at most about `most` bytes of payload.
    pub(super) fn write(&mut self, stream: &TcpStream, most: usize) -> io::Result<Written> {
        let control = &self.control[self.control_sent..];
        let mut headers = [[0u8; BLOCK_HEADER]; BATCH];
        let mut headers = headers.iter_mut();
        let mut slices = Slices::default();
        // A frame that has begun goes on; only one can have.
        let begun = self.front_sent > 0;
        if !begun {
            slices.add(control);
        }
        let mut front = true;
        let mut payload = 0;
        let limit = if self.control_sent > 0 && !control.is_empty() { 0 } else { most };
        for (chunk, run) in self.runs.iter().map_while(|r| r.chunk.as_ref().map(|c| (c, r))) {
            for at in run.first..run.end {
                if payload >= limit {
                    break;
                }
                let Some(header) = headers.next() else { break };
                let data = chunk.block(at as usize);
                let sent = if front { self.front_sent } else { 0 };
                let length = u32::try_from(data.len()).unwrap_or(0);
                let begin = run.id.index * CHUNK_BLOCKS * BLOCK as u32 + at * BLOCK as u32;
                *header = block_header(run.piece, begin, length);
                // The last one may exceed what is granted, or a slow link would never see a whole block.
                let gone = sent.saturating_sub(BLOCK_HEADER);
                let granted = (limit - payload).max(1).saturating_add(gone);
                let end = if most == usize::MAX { data.len() } else { data.len().min(granted) };
                slices.add(&header[sent.min(BLOCK_HEADER)..]);
                slices.add(&data[gone..end]);
                payload = if end < data.len() { limit } else { payload + end - gone };
                if front && begun && end == data.len() {
                    slices.add(control);
                }
                front = false;
            }
        }
        let bytes = stream.try_write_vectored(slices.all())?;
        Ok(self.wrote(bytes, begun))
    }

    fn front_length(&self) -> usize {
        self.runs.front().map_or(0, |r| r.chunk.as_ref().map_or(0, |c| c.block(r.first as usize).len()))
    }

    /// Takes off what the kernel took, in the order in which it was given.
    fn wrote(&mut self, bytes: usize, begun: bool) -> Written {
        let mut written = Written { bytes, payload: 0 };
        let mut left = bytes;
        if begun {
            left = self.wrote_front(left, &mut written);
        }
        if self.front_sent == 0 {
            let control = left.min(self.control.len() - self.control_sent);
            self.control_sent += control;
            left -= control;
        }
        if self.control_sent == self.control.len() {
            self.control.clear();
            self.control_sent = 0;
        }
        while left > 0 {
            left = self.wrote_front(left, &mut written);
        }
        written
    }

    /// Takes bytes off the front block; what is left of them.
    fn wrote_front(&mut self, bytes: usize, written: &mut Written) -> usize {
        let whole = BLOCK_HEADER + self.front_length();
        let Some(run) = self.runs.front_mut() else { return 0 };
        let take = bytes.min(whole - self.front_sent);
        let before = self.front_sent.max(BLOCK_HEADER);
        self.front_sent += take;
        written.payload += self.front_sent.max(BLOCK_HEADER) - before;
        if self.front_sent == whole {
            self.front_sent = 0;
            run.first += 1;
            if run.first == run.end {
                self.runs.pop_front();
            }
        }
        bytes - take
    }
}

/// The blocks of a request, if it asks for exactly one block of a piece of `size` bytes.
pub(super) fn requested_block(piece: PieceId, begin: u32, length: u32, size: u32) -> Option<Blocks> {
    let block = begin / BLOCK as u32;
    let whole = begin.is_multiple_of(BLOCK as u32) && begin < size;
    (whole && length == (size - begin).min(BLOCK as u32)).then_some(Blocks::one(piece, block))
}
