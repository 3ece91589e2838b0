//! What is wrong with a file of frames: which file, which frame, where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A file of frames cannot be read.
#[derive(Debug)]
pub struct FrameError {
    /// The file.
    pub path: PathBuf,
    /// Number of the frame, and the byte of the file at which it begins; none: the table, or the file as a whole.
    pub frame: Option<(u64, u64)>,
    /// Why.
    pub cause: io::Error,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some((index, offset)) = self.frame {
            write!(f, "frame {index} at byte {offset}: ")?;
        }
        write!(f, "{}", self.cause)
    }
}

impl std::error::Error for FrameError {}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        Self::new(error.cause.kind(), error)
    }
}
