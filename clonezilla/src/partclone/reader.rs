//! The blocks in use, one after the other, checked as they come.

use std::io::{Chain, Cursor, Read};

use ezio_image::extents::ExtentMap;

use super::checksum::{Checksum, Mode};
use super::header::Header;
use super::{StreamError, bitmap, fill};

const PART: &str = "the blocks in use";
/// What old versions of partclone on 64-bit machines wrote behind each checksum of format 0001, in bytes.
const STRAY: usize = 4;

/// Reads one stream. Nothing more than a block is held of it.
pub(crate) struct Reader<R> {
    stream: Chain<Cursor<Vec<u8>>, R>,
    header: Header,
    runs: ExtentMap,
    checksum: Checksum,
    /// Bytes behind each checksum that mean nothing.
    stray: usize,
    /// Bytes until the next checksum.
    until_checksum: u64,
    /// Bytes of content that were read.
    position: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header and the map of the blocks in use. A file system may have `limit` bytes.
    ///
    /// # Errors
    /// What is no stream of partclone's, or damaged.
    pub(crate) fn open(mut stream: R, limit: u64) -> Result<Self, StreamError> {
        let header = Header::read(&mut stream, limit)?;
        let runs = bitmap::read(&mut stream, &header)?;
        let (ahead, stray) = match header.first_format {
            true => look_ahead(&mut stream, &header, runs.total_length())?,
            false => (Vec::new(), 0),
        };
        let mut reader = Self {
            stream: Cursor::new(ahead).chain(stream),
            checksum: Checksum::new(header.checksum, header.block_size),
            stray,
            until_checksum: 0,
            position: 0,
            header,
            runs,
        };
        reader.until_checksum = reader.interval();
        Ok(reader)
    }

    /// The bytes in use: these follow in the stream, in this order.
    pub(crate) fn runs(&self) -> &ExtentMap {
        &self.runs
    }

    /// Fills `buffer` with the next bytes in use.
    ///
    /// # Errors
    /// It is cut short, or a checksum does not fit.
    pub(crate) fn read(&mut self, mut buffer: &mut [u8]) -> Result<(), StreamError> {
        while !buffer.is_empty() {
            let now = usize::try_from(self.until_checksum).unwrap_or(usize::MAX).min(buffer.len());
            let (part, rest) = buffer.split_at_mut(now);
            fill(&mut self.stream, part, PART)?;
            self.checksum.update(part);
            self.position += now as u64;
            self.until_checksum -= now as u64;
            if self.until_checksum == 0 {
                self.check()?;
                self.until_checksum = self.interval();
            }
            buffer = rest;
        }
        Ok(())
    }

    /// All has been read: checks the last checksum, and that nothing follows.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub(crate) fn finish(mut self) -> Result<(), StreamError> {
        if self.until_checksum < self.interval() {
            self.check()?;
        }
        let mut surplus = [0; 1];
        match self.stream.read(&mut surplus)? {
            0 => Ok(()),
            _ => Err(StreamError::Surplus),
        }
    }

    /// Bytes between two checksums.
    fn interval(&self) -> u64 {
        match self.header.checksum {
            Mode::None => u64::MAX,
            _ => u64::from(self.header.blocks_per_checksum) * u64::from(self.header.block_size),
        }
    }

    fn check(&mut self) -> Result<(), StreamError> {
        let mode = self.header.checksum;
        let mut told = vec![0; mode.length()];
        fill(&mut self.stream, &mut told, PART)?;
        if told != self.checksum.value() {
            return Err(StreamError::Checksum(self.position));
        }
        if self.header.reseed {
            self.checksum = Checksum::new(mode, self.header.block_size);
        }
        // The very last ones may be missing.
        let mut stray = vec![0; self.stray];
        match fill(&mut self.stream, &mut stray, PART) {
            Err(StreamError::CutShort(_)) if self.position == self.runs.total_length() => Ok(()),
            other => other,
        }
    }
}

/// Reads the first two blocks of format 0001, and tells by the second checksum whether stray bytes follow the first.
fn look_ahead(
    stream: &mut impl Read,
    header: &Header,
    content: u64,
) -> Result<(Vec<u8>, usize), StreamError> {
    let (block, sum) = (header.block_size as usize, header.checksum.length());
    let wanted = 2 * (block + sum) + STRAY;
    let mut ahead = Vec::new();
    stream.take(wanted as u64).read_to_end(&mut ahead)?;
    let mut checksum = Checksum::new(header.checksum, header.block_size);
    checksum.update(&ahead[..block.min(ahead.len())]);
    let second = block + sum + STRAY;
    let stray = match ahead.get(second..second + block) {
        // One block: whatever follows its checksum.
        _ if content == block as u64 => ahead.len().saturating_sub(block + sum),
        Some(bytes) => {
            checksum.update(bytes);
            let told = ahead.get(second + block..second + block + sum);
            if told == Some(checksum.value().as_slice()) { STRAY } else { 0 }
        }
        None => 0,
    };
    Ok((ahead, stray.min(STRAY)))
}
