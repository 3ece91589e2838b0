//! What partclone writes: a header, a map of the blocks in use, and those blocks with checksums between them
//! (formats 0001 and 0002 of its `partclone.h`).

mod bitmap;
mod checksum;
mod header;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use thiserror::Error;

pub(crate) use reader::Reader;
pub(crate) use writer::write;

/// What partclone's stream cannot be.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    /// It does not begin as partclone's streams do.
    #[error("this is no stream of partclone's")]
    NotPartclone,
    /// A format that is not known.
    #[error("partclone's format {0:?} is not known here, only 0001 and 0002")]
    Version(String),
    /// The header says something impossible.
    #[error("the header of partclone's stream {0}")]
    Header(String),
    /// The map of the blocks in use is damaged.
    #[error("the map of the blocks in use {0}")]
    Bitmap(&'static str),
    /// The checksum behind a stretch of blocks is another one.
    #[error("the data is damaged: a checksum of partclone's does not fit, before byte {0} of what is in use")]
    Checksum(u64),
    /// It ended too early.
    #[error("it is cut short: it ends within {0}")]
    CutShort(&'static str),
    /// It does not end where it should.
    #[error("something follows behind the last block in use")]
    Surplus,
    /// What is read from cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Fills `buffer` with a part of the stream.
fn fill(stream: &mut impl Read, buffer: &mut [u8], part: &'static str) -> Result<(), StreamError> {
    stream.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StreamError::CutShort(part),
        _ => StreamError::Io(error),
    })
}
