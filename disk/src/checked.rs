//! Reads and writes that are complete or fail with a word about where.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A read.
    Read,
    /// A write.
    Write,
}

/// A read or write that did not go through.
#[derive(Debug, Error)]
#[error(
    "cannot {} {} at byte {offset} of {} ({} of {length} bytes went through){}",
    match operation { Operation::Read => "read", Operation::Write => "write" },
    if *length == 1 { "1 byte".to_owned() } else { format!("{length} bytes") },
    path.display(),
    done,
    advice(*operation, source)
)]
pub struct IoError {
    /// What was tried.
    pub operation: Operation,
    /// Device or file.
    pub path: PathBuf,
    /// Byte offset of the whole request.
    pub offset: u64,
    /// Length of the whole request in bytes.
    pub length: usize,
    /// Bytes that went through.
    pub done: usize,
    /// What the system says.
    pub source: io::Error,
}

/// What an operator can do about it.
fn advice(operation: Operation, error: &io::Error) -> &'static str {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EIO | Errno::EREMOTEIO | Errno::EBADMSG) => {
            "; the disk or its cable fails: look at the kernel's messages and replace it"
        }
        Some(Errno::ENOSPC | Errno::EFBIG | Errno::EDQUOT) if operation == Operation::Write => {
            "; the target is full or ends here: use a larger one"
        }
        Some(Errno::ENODEV | Errno::ENXIO | Errno::ESHUTDOWN) => "; the device is gone: was it unplugged?",
        Some(Errno::EROFS | Errno::EPERM | Errno::EACCES) if operation == Operation::Write => {
            "; it is write-protected"
        }
        _ => "",
    }
}

/// What a read or a write is made of; a seam for tests that inject faults.
pub(crate) trait Positioned {
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_some(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
}

impl Positioned for File {
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    fn write_some(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.write_at(bytes, offset)
    }
}

pub(crate) fn read_exact(
    device: &impl Positioned,
    path: &Path,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), IoError> {
    let length = buffer.len();
    transfer(Operation::Read, path, offset, length, |done| {
        device.read_some(&mut buffer[done..], offset + done as u64)
    })
}

pub(crate) fn write_all(
    device: &impl Positioned,
    path: &Path,
    offset: u64,
    bytes: &[u8],
) -> Result<(), IoError> {
    transfer(Operation::Write, path, offset, bytes.len(), |done| {
        device.write_some(&bytes[done..], offset + done as u64)
    })
}

/// Goes on after interruptions and short transfers; a transfer of nothing is an error.
fn transfer(
    operation: Operation,
    path: &Path,
    offset: u64,
    length: usize,
    mut step: impl FnMut(usize) -> io::Result<usize>,
) -> Result<(), IoError> {
    let mut done = 0;
    let fail = |done, source| IoError { operation, path: path.to_owned(), offset, length, done, source };
    if offset.checked_add(length as u64).is_none_or(|end| end > i64::MAX as u64) {
        return Err(fail(0, io::Error::from(ErrorKind::InvalidInput)));
    }
    while done < length {
        match step(done) {
            Ok(0) => {
                let kind = match operation {
                    Operation::Read => ErrorKind::UnexpectedEof,
                    Operation::Write => ErrorKind::WriteZero,
                };
                return Err(fail(done, io::Error::from(kind)));
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(done, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "checked_tests.rs"]
mod tests;
