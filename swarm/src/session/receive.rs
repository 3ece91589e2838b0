//! Takes messages off a socket. Blocks are read straight into their place in memory: while a block arrives the next
//! ones are expected to follow it without anything between, and one system call reads into all of them. If something
//! else follows, its bytes are moved to where ordinary messages are read. A pack is read into memory of its own.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Read as _};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::block::{BLOCK, Block, BlockPool};
use crate::wire::{BLOCK_HEADER, EZIO_PACK_ID, PACK_HEADER, PackMessage, WireError, block_header};

/// Blocks read ahead of the one that is arriving, at most.
const MAX_AHEAD: usize = 16;
/// Room for ordinary messages.
const LINEAR: usize = 16 << 10;

/// What has come, in order.
pub(super) enum Incoming {
    /// A whole block.
    Block(ReceivedBlock),
    /// Blocks compressed.
    Pack(PackMessage, Vec<u8>),
    /// Any other frame: its place in [`Receiver::frame`].
    Frame(usize, usize),
}

/// A block as its sender names it.
pub(super) struct ReceivedBlock {
    pub(super) piece: u32,
    pub(super) begin: u32,
    pub(super) length: u32,
    pub(super) block: Box<Block>,
}

struct Partial {
    block: ReceivedBlock,
    filled: usize,
}

impl Partial {
    /// Bytes still to come.
    fn rest(&self) -> usize {
        self.block.length as usize - self.filled
    }
}

struct PartialPack {
    message: PackMessage,
    bytes: Vec<u8>,
    filled: usize,
}

impl PartialPack {
    /// Bytes still to come.
    fn rest(&self) -> usize {
        self.bytes.len() - self.filled
    }
}

pub(super) struct Receiver {
    linear: Vec<u8>,
    start: usize,
    end: usize,
    current: Option<Partial>,
    pack: Option<PartialPack>,
    spare: VecDeque<Box<Block>>,
    ahead: usize,
    limit: u32,
    frames: Vec<u8>,
    pub(super) incoming: Vec<Incoming>,
}

impl Receiver {
    /// `first` are bytes that were read with the handshake; `limit` bounds a frame.
    pub(super) fn new(first: &[u8], limit: u32) -> Self {
        let mut linear = vec![0; LINEAR.max(first.len())];
        linear[..first.len()].copy_from_slice(first);
        Self {
            linear,
            start: 0,
            end: first.len(),
            current: None,
            pack: None,
            spare: VecDeque::new(),
            ahead: 0,
            limit,
            frames: Vec::new(),
            incoming: Vec::new(),
        }
    }

    /// The bytes of a frame named by [`Incoming::Frame`].
    pub(super) fn frame(&self, start: usize, end: usize) -> &[u8] {
        &self.frames[start..end]
    }

    /// Forgets what has come, once it is dealt with.
    pub(super) fn clear(&mut self) {
        self.incoming.clear();
        self.frames.clear();
    }

    /// Reads once, at most about `most` bytes. 0 bytes are the end of the stream.
    pub(super) fn read(&mut self, stream: &TcpStream, most: usize, pool: &BlockPool) -> io::Result<usize> {
        if let Some(pack) = self.pack.take() {
            return self.read_pack(pack, stream, most);
        }
        let Some(partial) = &mut self.current else {
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
            }
            let room = (self.end + most).min(self.linear.len());
            let n = read_once(stream, &mut [IoSliceMut::new(&mut self.linear[self.end..room])])?;
            self.end += n;
            return Ok(n);
        };
        let rest = partial.rest();
        if most < rest + BLOCK_HEADER + BLOCK {
            let to = partial.filled + rest.min(most);
            let n =
                read_once(stream, &mut [IoSliceMut::new(&mut partial.block.block.0[partial.filled..to])])?;
            self.took(n, pool, &[]);
            return Ok(n);
        }
        let ahead = self.ahead.min((most - rest) / (BLOCK_HEADER + BLOCK));
        if self.spare.len() < ahead {
            pool.take(ahead - self.spare.len(), &mut self.spare);
        }
        let mut headers = [[0u8; BLOCK_HEADER]; MAX_AHEAD];
        let length = partial.block.length as usize;
        let mut slices: [_; 1 + 2 * MAX_AHEAD] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
        slices[0] = IoSliceMut::new(&mut partial.block.block.0[partial.filled..length]);
        let (pairs, _) = slices[1..].as_chunks_mut::<2>();
        for ((header, block), pair) in headers.iter_mut().zip(&mut self.spare).zip(pairs).take(ahead) {
            *pair = [IoSliceMut::new(header), IoSliceMut::new(&mut block.0)];
        }
        let n = read_once(stream, &mut slices[..1 + 2 * ahead])?;
        let whole = rest + ahead * (BLOCK_HEADER + BLOCK);
        self.ahead =
            if n == whole { (ahead * 2).clamp(1, MAX_AHEAD) } else { (n / BLOCK).clamp(1, MAX_AHEAD) };
        self.took(n, pool, &headers[..ahead]);
        Ok(n)
    }

    /// Reads on into a pack, and what follows it to where messages are read.
    fn read_pack(&mut self, mut pack: PartialPack, stream: &TcpStream, most: usize) -> io::Result<usize> {
        let (rest, filled) = (pack.rest(), pack.filled);
        let behind = most.saturating_sub(rest).min(self.linear.len());
        let into = &mut pack.bytes[filled..filled + rest.min(most)];
        let slices = &mut [IoSliceMut::new(into), IoSliceMut::new(&mut self.linear[..behind])];
        let read = read_once(stream, slices);
        let n = *read.as_ref().unwrap_or(&0);
        pack.filled += n.min(rest);
        (self.start, self.end) = (0, n.saturating_sub(rest));
        if pack.rest() == 0 {
            self.incoming.push(Incoming::Pack(pack.message, pack.bytes));
        } else {
            self.pack = Some(pack);
        }
        read
    }

    /// Sorts `n` bytes that were read into the current block and what was expected behind it.
    fn took(&mut self, mut n: usize, pool: &BlockPool, headers: &[[u8; BLOCK_HEADER]]) {
        let Some(mut partial) = self.current.take() else { return };
        let rest = partial.rest();
        partial.filled += n.min(rest);
        if n < rest {
            self.current = Some(partial);
            return;
        }
        n -= rest;
        self.incoming.push(Incoming::Block(partial.block));
        (self.start, self.end) = (0, 0);
        for (at, header) in headers.iter().enumerate() {
            if n == 0 {
                break;
            }
            let (piece, begin) = (number(header, 5), number(header, 9));
            if n < BLOCK_HEADER || *header != block_header(piece, begin, BLOCK as u32) {
                return self.misplaced(n, &headers[at..]);
            }
            n -= BLOCK_HEADER;
            let Some(block) = self.spare.pop_front() else { break };
            let block = ReceivedBlock { piece, begin, length: BLOCK as u32, block };
            if n < BLOCK {
                self.current = Some(Partial { block, filled: n });
                break;
            }
            n -= BLOCK;
            self.incoming.push(Incoming::Block(block));
        }
        // What is not used soon is better off where all can use it.
        if self.spare.len() > self.ahead {
            pool.give(self.spare.drain(self.ahead..));
        }
    }

    /// Something else than a block came: its bytes lie in the headers and spare blocks, one behind the other.
    fn misplaced(&mut self, mut n: usize, headers: &[[u8; BLOCK_HEADER]]) {
        if self.linear.len() < n {
            self.linear.resize(n, 0);
        }
        for (header, block) in headers.iter().zip(&self.spare) {
            for bytes in [header.as_slice(), &block.0] {
                let take = n.min(bytes.len());
                self.linear[self.end..self.end + take].copy_from_slice(&bytes[..take]);
                self.end += take;
                n -= take;
            }
        }
    }

    /// Cuts what was read into frames and blocks.
    ///
    /// # Errors
    /// A frame is longer than any that could be meant, or a block than any that we ask for.
    pub(super) fn parse(&mut self, pool: &BlockPool) -> Result<(), WireError> {
        while self.current.is_none() && self.pack.is_none() {
            let bytes = &self.linear[self.start..self.end];
            if bytes.len() < 4 {
                break;
            }
            let length = number(bytes, 0);
            if length > self.limit {
                return Err(WireError::FrameLength { length, limit: self.limit });
            }
            if length >= 9 && bytes.get(4) == Some(&7) {
                if bytes.len() < BLOCK_HEADER {
                    break;
                }
                self.begin_block(length - 9, pool)?;
                continue;
            }
            if bytes.get(4..6) == Some(&[20, EZIO_PACK_ID]) && length as usize >= PACK_HEADER - 4 {
                if bytes.len() < PACK_HEADER {
                    break;
                }
                self.begin_pack(4 + length as usize - PACK_HEADER, pool)?;
                continue;
            }
            let whole = 4 + length as usize;
            if bytes.len() < whole {
                self.make_room(whole);
                break;
            }
            let start = self.frames.len();
            self.frames.extend_from_slice(&bytes[4..whole]);
            self.incoming.push(Incoming::Frame(start, self.frames.len()));
            self.start += whole;
        }
        if self.linear.len() - self.start < PACK_HEADER {
            self.make_room(PACK_HEADER);
        }
        Ok(())
    }

    /// The rest of a frame of `whole` bytes must fit behind its beginning.
    fn make_room(&mut self, whole: usize) {
        self.linear.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.linear.len() < whole {
            self.linear.resize(whole, 0);
        } else if self.linear.len() > LINEAR && whole <= LINEAR && self.end <= LINEAR {
            self.linear.truncate(LINEAR);
            self.linear.shrink_to_fit();
        }
    }

    fn begin_block(&mut self, length: u32, pool: &BlockPool) -> Result<(), WireError> {
        if length as usize > BLOCK {
            return Err(WireError::FrameLength { length: 9 + length, limit: 9 + BLOCK as u32 });
        }
        if self.spare.is_empty() {
            pool.take(1, &mut self.spare);
        }
        let Some(mut block) = self.spare.pop_front() else { return Ok(()) };
        let bytes = &self.linear[self.start..self.end];
        let (piece, begin) = (number(bytes, 5), number(bytes, 9));
        let data = &bytes[BLOCK_HEADER..];
        let filled = data.len().min(length as usize);
        block.0[..filled].copy_from_slice(&data[..filled]);
        self.start += BLOCK_HEADER + filled;
        let block = ReceivedBlock { piece, begin, length, block };
        if filled == length as usize {
            self.incoming.push(Incoming::Block(block));
        } else {
            self.current = Some(Partial { block, filled });
        }
        Ok(())
    }

    /// A pack is shorter than what it stands for: no more memory than that is taken for it.
    fn begin_pack(&mut self, length: usize, pool: &BlockPool) -> Result<(), WireError> {
        let bytes = &self.linear[self.start..self.end];
        let (message, data) = PackMessage::decode(&bytes[6..])?;
        let limit = message.count as usize * BLOCK;
        if length > limit {
            return Err(WireError::FrameLength { length: length as u32, limit: limit as u32 });
        }
        let filled = data.len().min(length);
        let mut bytes = pool.packs.take(length);
        bytes[..filled].copy_from_slice(&data[..filled]);
        self.start += PACK_HEADER + filled;
        if filled == length {
            self.incoming.push(Incoming::Pack(message, bytes));
        } else {
            self.pack = Some(PartialPack { message, bytes, filled });
        }
        Ok(())
    }

    /// Bytes of the block or pack that is arriving which are still to come: before them there is nothing to be parsed.
    pub(super) fn missing(&self) -> usize {
        let pack = self.pack.as_ref().map_or(0, PartialPack::rest);
        self.current.as_ref().map_or(pack, Partial::rest)
    }

    /// Gives all memory back.
    pub(super) fn release(&mut self, pool: &BlockPool) {
        pool.give(self.spare.drain(..));
        pool.give(self.current.take().map(|p| p.block.block));
        let incoming = self.incoming.drain(..).filter_map(|i| match i {
            Incoming::Block(b) => Some(b.block),
            Incoming::Pack(..) | Incoming::Frame(..) => None,
        });
        pool.give(incoming);
    }
}

/// Reads what is there. Less than was asked for means that the socket is empty: saying so to the runtime spares the
/// system call that would find that out.
fn read_once(stream: &TcpStream, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let want: usize = into.iter().map(|slice| slice.len()).sum();
    let mut got = 0;
    let result = stream.try_io(Interest::READABLE, || {
        got = (&*SockRef::from(stream)).read_vectored(into)?;
        if 0 < got && got < want { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(got) }
    });
    if got > 0 { Ok(got) } else { result }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk::<4>()).map_or(0, |b| u32::from_be_bytes(*b))
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
