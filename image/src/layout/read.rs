//! Reading a table from a disk.

use std::io;

use super::{Layout, LayoutError, gpt, mbr};

/// Bytes that can be read at any offset: a disk, an image file, or memory.
pub trait ReadAt {
    /// Fills `buffer` from the byte `offset`.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` behind the end.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Reads `length` bytes from the byte `offset`.
    ///
    /// # Errors
    /// As [`ReadAt::read_exact_at`].
    fn read_vec(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}

impl ReadAt for std::fs::File {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|s| Some(s..s.checked_add(buffer.len())?));
        let bytes = range.and_then(|r| self.get(r)).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buffer)
    }
}

pub(super) fn read(
    disk: &impl ReadAt,
    size: u64,
    sector_size: u32,
    device: &str,
) -> Result<Layout, LayoutError> {
    if !matches!(sector_size, 512 | 4096) {
        return Err(LayoutError::Table(format!("cannot be on a disk with sectors of {sector_size} bytes")));
    }
    // Smaller than this there is no room for a table and anything else.
    if size < 2 * u64::from(sector_size) {
        return Err(LayoutError::NoTable);
    }
    let sector_zero =
        disk.read_vec(0, 512).map_err(|e| LayoutError::Read { offset: 0, message: e.to_string() })?;
    if mbr::is_protective(&sector_zero) {
        gpt::read(disk, size, sector_size, device)
    } else {
        mbr::read(disk, &sector_zero, size, sector_size, device)
    }
}
