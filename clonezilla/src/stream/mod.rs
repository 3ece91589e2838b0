//! The stream of one partition: files that were split, checked against their sums, and decompressed.

mod compression;
mod lzo;
mod lzop;
mod parts;
#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read};

pub(crate) use compression::Compression;
pub(crate) use parts::{Parts, Place};

/// Bytes of a file that are read at once.
const BUFFER: usize = 64 << 10;

/// Opens a stream. Read to its end, it has checked all that the files and the compression can tell.
///
/// # Errors
/// What the decoder says of the beginning.
pub(crate) fn open(parts: Parts, compression: Compression) -> io::Result<Box<dyn Read + Send>> {
    compression.decoder(BufReader::with_capacity(BUFFER, parts))
}
