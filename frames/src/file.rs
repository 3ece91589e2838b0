//! A file of frames, read only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::codec::Unpacker;
use crate::error::FrameError;
use crate::table::{self, Table};

/// Where a frame lies in its file, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Byte of the file at which it begins.
    pub offset: u64,
    /// Bytes of the file that it takes.
    pub length: u32,
    /// Bytes that it unpacks to.
    pub raw_length: u32,
}

/// An open file of frames, whose table is sound.
#[derive(Debug)]
pub struct FrameFile {
    path: PathBuf,
    file: File,
    table: Table,
    raw_length: u64,
}

impl FrameFile {
    /// Opens a file that must hold `raw_length` bytes, in frames that fit pieces of this length.
    ///
    /// # Errors
    /// It is not there, is cut short, or its table does not fit.
    pub fn open(path: &Path, raw_length: u64, piece_length: u32) -> Result<Self, FrameError> {
        let opened = || -> io::Result<(File, Table)> {
            let file = File::open(path)?;
            let table = table::read(&file, raw_length, piece_length)?;
            Ok((file, table))
        };
        match opened() {
            Ok((file, table)) => Ok(Self { path: path.to_owned(), file, table, raw_length }),
            Err(cause) => Err(FrameError { path: path.to_owned(), frame: None, cause }),
        }
    }

    /// Raw bytes of every frame but the last: frame `n` holds those from `n` times this on.
    #[must_use]
    pub fn frame_size(&self) -> u32 {
        self.table.frame_size
    }

    /// How many frames there are.
    #[must_use]
    pub fn frame_count(&self) -> u64 {
        self.table.starts.len() as u64 - 1
    }

    /// Where a frame lies; none behind the last.
    #[must_use]
    pub fn frame(&self, index: u64) -> Option<Frame> {
        let at = usize::try_from(index).ok()?;
        let (offset, end) = (*self.table.starts.get(at)?, *self.table.starts.get(at + 1)?);
        let left = self.raw_length - index * u64::from(self.table.frame_size);
        // Both were read as 32 bits.
        let raw_length = left.min(u64::from(self.table.frame_size)) as u32;
        Some(Frame { offset, length: (end - offset) as u32, raw_length })
    }

    /// The file itself, to send frames from as they lie there.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that it unpacks to.
    #[must_use]
    pub fn raw_length(&self) -> u64 {
        self.raw_length
    }

    /// Bytes that its frames take.
    #[must_use]
    pub fn packed_length(&self) -> u64 {
        self.table.starts.last().copied().unwrap_or(0)
    }

    /// Unpacks a frame; `raw` has its raw length. `packed` is room for it, whatever is in it.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is damaged.
    pub fn read(
        &self,
        index: u64,
        unpacker: &mut Unpacker,
        packed: &mut Vec<u8>,
        raw: &mut [u8],
    ) -> Result<(), FrameError> {
        let Some(frame) = self.frame(index) else {
            return Err(
                self.error(None, io::Error::new(io::ErrorKind::UnexpectedEof, "there is no such frame"))
            );
        };
        packed.resize(frame.length as usize, 0);
        let read = self.file.read_exact_at(packed, frame.offset);
        read.and_then(|()| unpacker.unpack(packed, raw))
            .map_err(|cause| self.error(Some((index, frame.offset)), cause))
    }

    pub(crate) fn error(&self, frame: Option<(u64, u64)>, cause: io::Error) -> FrameError {
        FrameError { path: self.path.clone(), frame, cause }
    }
}
