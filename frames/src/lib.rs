//! A content as one file of zstd frames: frame by frame, each of the same number of raw bytes, and behind them a table
//! that says how long each is (the seekable format of zstd, which `zstd -d` unpacks as well). Any part of it can be read
//! without what comes before, and a frame can be sent as it lies there.
//!
//! `docs/image-format.md` says it byte by byte.

mod codec;
mod error;
mod file;
mod reader;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub use codec::{MAX_LEVEL, Packer, Unpacker, unpack, unpack_all};
pub use error::FrameError;
pub use file::{Frame, FrameFile};
pub use reader::FrameReader;
pub use writer::{FrameWriter, frame_size_for};
