//! A file of frames, written from its beginning to its table.

use std::io::{Result, Write};

use crate::table;

/// Raw bytes of a frame: longer ones are compressed a little better, shorter ones are passed on sooner and cost less
/// when little of them is asked for.
const FRAME: u32 = 256 << 10;

/// Raw bytes of a frame where a piece has so many; it is a power of two.
#[must_use]
pub fn frame_size_for(piece_length: u32) -> u32 {
    piece_length.min(FRAME)
}

/// Writes frames, and their table behind them.
#[derive(Debug)]
pub struct FrameWriter<W> {
    out: W,
    /// Lengths of the frames, packed and raw.
    frames: Vec<(u32, u32)>,
}

impl<W: Write> FrameWriter<W> {
    /// Writes to `out`, where nothing is yet.
    pub fn new(out: W) -> Self {
        Self { out, frames: Vec::new() }
    }

    /// Writes the next frame, as [`crate::Packer`] made it of so many raw bytes.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&mut self, frame: &[u8], raw_length: u32) -> Result<()> {
        self.out.write_all(frame)?;
        // Raw bytes of 32 bits do not pack to more.
        self.frames.push((frame.len() as u32, raw_length));
        Ok(())
    }

    /// Writes the table.
    ///
    /// # Errors
    /// What `out` says, or there are too many frames.
    pub fn finish(mut self) -> Result<W> {
        self.out.write_all(&table::encode(&self.frames)?)?;
        Ok(self.out)
    }
}
