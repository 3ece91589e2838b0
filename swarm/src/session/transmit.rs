//! Puts messages, blocks and packs on a socket. They go from where they lie in memory, many in one system call; ordinary
//! messages overtake blocks that have not begun.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use ezio_scheduler::{Blocks, PACK_BLOCKS, PieceId, SENT_AT_ONCE};
use tokio::net::TcpStream;

use crate::block::{BLOCK, CHUNK_BLOCKS};
use crate::pipeline::Content;
use crate::wire::{BLOCK_HEADER, PACK_HEADER, PackMessage, block_header};

/// Blocks in one system call, at most.
const BATCH: usize = 64;

/// Blocks of one chunk.
struct Run {
    /// What was ordered for it: names it until its bytes are there.
    order: u64,
    /// Piece number on the wire.
    piece: u32,
    /// Those still to be sent.
    blocks: Blocks,
    /// The receiver's number for packs, if it takes them.
    pack_id: Option<u8>,
    content: Option<Content>,
}

/// What goes out in one frame: a block or a pack.
struct Unit<'a> {
    header: [u8; PACK_HEADER],
    header_length: usize,
    data: &'a [u8],
    /// Bytes that the data stand for, and how many blocks they are.
    raw: usize,
    count: u32,
}

impl Run {
    /// The next frame of this run, from the block `first` on; none while its bytes are not there.
    fn unit(&self, first: u32) -> Option<Unit<'_>> {
        let mut header = [0; PACK_HEADER];
        Some(match self.content.as_ref()? {
            Content::Raw(chunk) => {
                let data = chunk.block((first % CHUNK_BLOCKS) as usize);
                let length = u32::try_from(data.len()).unwrap_or(0);
                header[..BLOCK_HEADER].copy_from_slice(&block_header(
                    self.piece,
                    first * BLOCK as u32,
                    length,
                ));
                Unit { header, header_length: BLOCK_HEADER, data, raw: data.len(), count: 1 }
            }
            Content::Packed(pack) => {
                let (data, count) = (pack.bytes(), pack.run().count);
                let length = u32::try_from(data.len()).unwrap_or(0);
                let message = PackMessage { piece: self.piece, first, count };
                header = message.header(self.pack_id.unwrap_or(0), length);
                Unit { header, header_length: PACK_HEADER, data, raw: pack.raw(), count }
            }
        })
    }
}

#[derive(Default)]
pub(super) struct Transmitter {
    control: Vec<u8>,
    control_sent: usize,
    runs: VecDeque<Run>,
    /// Bytes of the front block or pack, its header included, that have gone.
    front_sent: usize,
    orders: u64,
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
    /// Bytes of content that the payload stands for.
    pub(super) raw: usize,
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

    /// Blocks to send; `piece` is their number on the wire, `pack_id` that of packs, if the receiver takes them. `content`
    /// finds their bytes, or orders them by the number given: those of one chunk, or of one pack, or of its beginning.
    pub(super) fn add_blocks(
        &mut self,
        blocks: Blocks,
        piece: u32,
        pack_id: Option<u8>,
        mut content: impl FnMut(Blocks, u64) -> Option<Content>,
    ) {
        let unit = if pack_id.is_some() { PACK_BLOCKS } else { CHUNK_BLOCKS };
        let end = blocks.first + blocks.count;
        let mut first = blocks.first;
        while first < end {
            self.orders += 1;
            let mut run = Blocks { first, count: end.min((first / unit + 1) * unit) - first, ..blocks };
            let found = content(run, self.orders);
            if let Some(Content::Packed(pack)) = &found {
                run.count = run.count.min(pack.run().count);
            }
            self.runs.push_back(Run { order: self.orders, piece, blocks: run, pack_id, content: found });
            first += run.count;
        }
    }

    /// What was ordered is there.
    pub(super) fn loaded(&mut self, order: u64, content: Content) {
        if let Some(run) = self.runs.iter_mut().find(|r| r.order == order) {
            run.content.get_or_insert(content);
        }
    }

    /// Payload bytes that are to be given to the kernel at once at least: they stand for [`SENT_AT_ONCE`] bytes of content.
    pub(super) fn at_once(&self) -> usize {
        let least = SENT_AT_ONCE as usize;
        self.front().map_or(least, |unit| (least * unit.data.len()).div_ceil(unit.raw.max(1)))
    }

    fn front(&self) -> Option<Unit<'_>> {
        self.runs.front().and_then(|run| run.unit(run.blocks.first))
    }

    /// Frames whose bytes are there, in order.
    fn units(&self) -> impl Iterator<Item = Unit<'_>> {
        let runs = self.runs.iter().map_while(|run| run.content.as_ref().map(|content| (run, content)));
        runs.flat_map(|(run, content)| {
            let first = run.blocks.first;
            let frames = if matches!(content, Content::Raw(_)) { run.blocks.count } else { 1 };
            (first..first + frames).filter_map(|at| run.unit(at))
        })
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
        self.runs.front().is_some_and(|r| r.content.is_some())
    }

    /// Writes once, at most about `most` bytes of payload.
    pub(super) fn write(&mut self, stream: &TcpStream, most: usize) -> io::Result<Written> {
        let control = &self.control[self.control_sent..];
        let mut headers = [[0u8; PACK_HEADER]; BATCH];
        let mut slices = Slices::default();
        // A frame that has begun goes on; only one can have.
        let begun = self.front_sent > 0;
        if !begun {
            slices.add(control);
        }
        let mut front = true;
        let mut payload = 0;
        let limit = if self.control_sent > 0 && !control.is_empty() { 0 } else { most };
        for (Unit { header: bytes, header_length, data, .. }, header) in self.units().zip(&mut headers) {
            if payload >= limit {
                break;
            }
            let sent = if front { self.front_sent } else { 0 };
            *header = bytes;
            // The last one may exceed what is granted, or a slow link would never see a whole block.
            let gone = sent.saturating_sub(header_length);
            let granted = (limit - payload).max(1).saturating_add(gone);
            let end = if most == usize::MAX { data.len() } else { data.len().min(granted) };
            slices.add(&header[sent.min(header_length)..header_length]);
            slices.add(&data[gone..end]);
            payload = if end < data.len() { limit } else { payload + end - gone };
            if front && begun && end == data.len() {
                slices.add(control);
            }
            front = false;
        }
        let bytes = stream.try_write_vectored(slices.all())?;
        Ok(self.wrote(bytes, begun))
    }

    /// Takes off what the kernel took, in the order in which it was given.
    fn wrote(&mut self, bytes: usize, begun: bool) -> Written {
        let mut written = Written { bytes, ..Written::default() };
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

    /// Takes bytes off the front block or pack; what is left of them.
    fn wrote_front(&mut self, bytes: usize, written: &mut Written) -> usize {
        let Some(Unit { header_length, data, raw, count, .. }) = self.front() else { return 0 };
        let length = data.len();
        let take = bytes.min(header_length + length - self.front_sent);
        let before = self.front_sent.saturating_sub(header_length);
        self.front_sent += take;
        let after = self.front_sent.saturating_sub(header_length);
        written.payload += after - before;
        // In proportion, and in all exactly what it stands for.
        written.raw += raw * after / length.max(1) - raw * before / length.max(1);
        if self.front_sent == header_length + length
            && let Some(run) = self.runs.front_mut()
        {
            self.front_sent = 0;
            run.blocks.first += count;
            run.blocks.count -= count;
            if run.blocks.count == 0 {
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
