//! One message, block by block.

use sha1::block_api::compress;

use crate::Digest;

/// Bytes of a block of SHA-1.
const BLOCK: usize = 64;

/// What is left of a message. Whole blocks, if there are any, are at the front of [`Feed::rest`].
pub(crate) struct Feed<'a> {
    part: &'a [u8],
    parts: &'a [&'a [u8]],
    /// Bytes of the whole message.
    length: u64,
}

impl<'a> Feed<'a> {
    /// None if a block would lie in two parts, or there is no whole block.
    pub(crate) fn new(parts: &'a [&'a [u8]]) -> Option<Self> {
        let (_, all_but_last) = parts.split_last()?;
        let whole = all_but_last.iter().all(|part| part.len().is_multiple_of(BLOCK));
        let length = parts.iter().map(|part| part.len() as u64).sum();
        let mut feed = Self { part: &[], parts, length };
        feed.advance(0);
        (whole && feed.whole_blocks() > 0).then_some(feed)
    }

    /// Bytes that lie together.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.part
    }

    /// Whole blocks at the front of [`Feed::rest`]; none at the end of the message only.
    pub(crate) fn whole_blocks(&self) -> usize {
        self.part.len() / BLOCK
    }

    /// Takes off so many blocks.
    pub(crate) fn advance(&mut self, blocks: usize) {
        self.part = &self.part[blocks * BLOCK..];
        while self.whole_blocks() == 0
            && let Some((next, later)) = self.parts.split_first()
        {
            (self.part, self.parts) = (next, later);
        }
    }

    /// The hash, from the state behind the last whole block.
    pub(crate) fn end(&self, mut state: [u32; 5]) -> Digest {
        let mut last = [[0u8; BLOCK]; 2];
        let tail = self.part.len();
        last[0][..tail].copy_from_slice(self.part);
        last[0][tail] = 0x80;
        let blocks = if tail + 1 + 8 <= BLOCK { 1 } else { 2 };
        last[blocks - 1][BLOCK - 8..].copy_from_slice(&(self.length * 8).to_be_bytes());
        compress(&mut state, &last[..blocks]);
        let mut digest = [0; 20];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}
