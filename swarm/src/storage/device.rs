//! Content on a block device or a file, at a base offset, as a list of extents.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ezio_image::extents::{ExtentMap, Slice};
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::uio::{preadv, pwritev};

use super::recorder::Recorder;
use super::{Action, Storage, StorageError, WriteStats, ZEROS, other_bytes};

/// Buffers that the kernel takes in one call (`IOV_MAX`).
const MAX_BUFFERS: usize = 1024;
/// Bytes that the kernel keeps in memory as a whole, or a multiple of that.
const PAGE: u64 = 64 << 10;
/// So many zeros are the device's to make, if it can; of fewer it takes as long to ask it as to write them.
const ZEROS_BY_DEVICE: u64 = 64 << 10;

/// What a device must be able to do. Calls may move fewer bytes than asked, as the system's do.
/// A seam for faults in tests; the real one is [`File`].
pub trait Medium: Send + Sync {
    /// Reads at a byte offset.
    ///
    /// # Errors
    /// As `preadv(2)`.
    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;
    /// Writes at a byte offset.
    ///
    /// # Errors
    /// As `pwritev(2)`.
    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Makes all writes durable.
    ///
    /// # Errors
    /// As `fdatasync(2)`.
    fn sync(&self) -> io::Result<()>;
    /// Makes a range read as zeros without writing them: `Ok` promises that it does, from now on. An error says that
    /// nothing is known of it: it is to be written.
    ///
    /// # Errors
    /// As `fallocate(2)`.
    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        let _ = (offset, length);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Drops what is kept in memory of a range, but for what has to be written still; a hint.
    fn forget(&self, offset: u64, length: u64) {
        let _ = (offset, length);
    }
    /// Starts writing out a range; a hint.
    fn begin_writeback(&self, offset: u64, length: u64) {
        let _ = (offset, length);
    }
}

fn signed(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

impl Medium for File {
    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        match bufs {
            [one] => self.read_at(one, offset),
            many => Ok(preadv(self, many, signed(offset)?)?),
        }
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        match bufs {
            [one] => self.write_at(one, offset),
            many => Ok(pwritev(self, many, signed(offset)?)?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.saturating_add(length);
        let (offset, length) = (signed(offset)?, signed(length)?);
        let about = self.metadata()?;
        if about.is_file() && about.len() < end {
            // It would not become longer by this.
            return Err(io::ErrorKind::Unsupported.into());
        }
        // On a block device the kernel takes this for a discard only where the device promises that zeros are read
        // afterwards; a file gets a hole.
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if fallocate(self, hole, offset, length).is_ok() {
            return Ok(());
        }
        // The device writes them itself, or the kernel does.
        let zeros = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(self, zeros, offset, length)?)
    }

    fn begin_writeback(&self, offset: u64, length: u64) {
        // DONTNEED on dirty pages starts their writing without waiting for it (and drops what is
        // clean already): sync_file_range's effect through a call that needs no unsafe code.
        if let (Ok(offset), Ok(length)) = (signed(offset), signed(length)) {
            // A hint that the kernel does not take changes nothing.
            let _ = posix_fadvise(self, offset, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
    }

    fn forget(&self, offset: u64, length: u64) {
        // Pages that the range covers in part would stay.
        let start = offset / PAGE * PAGE;
        self.begin_writeback(start, (offset + length).next_multiple_of(PAGE) - start);
    }
}

/// Content on one open device or file.
pub struct DeviceStorage<M: Medium = File> {
    medium: Arc<M>,
    device: String,
    base: u64,
    extents: ExtentMap,
    recorder: Recorder,
}

impl<M: Medium> DeviceStorage<M> {
    /// `device` is its name in messages; `base` is the byte offset on it of the extents' offset 0
    /// (a partition's start, when the whole disk is open).
    #[must_use]
    pub fn new(medium: Arc<M>, device: impl Into<String>, base: u64, extents: ExtentMap) -> Self {
        Self { medium, device: device.into(), base, extents, recorder: Recorder::default() }
    }

    fn error(
        &self,
        action: Action,
        device_offset: u64,
        content_offset: u64,
        source: io::Error,
    ) -> StorageError {
        StorageError::at(action, &self.device, device_offset, content_offset, source)
    }

    /// Where `length` bytes of content lie. An error if the content ends before.
    fn parts(&self, action: Action, start: u64, length: u64) -> Result<Vec<Slice>, StorageError> {
        let parts: Vec<Slice> = self.extents.slices(start, length).collect();
        if parts.iter().map(|p| p.length).sum::<u64>() == length {
            return Ok(parts);
        }
        let outside = io::Error::new(io::ErrorKind::InvalidInput, "beyond the end of the content");
        Err(self.error(action, self.base, start, outside))
    }

    fn read_part(&self, at: u64, content: u64, mut bufs: &mut [IoSliceMut<'_>]) -> Result<(), StorageError> {
        let mut done = 0;
        while !bufs.is_empty() {
            let batch = bufs.len().min(MAX_BUFFERS);
            match self.medium.read_vectored_at(&mut bufs[..batch], at + done) {
                Ok(0) => {
                    let end = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(self.error(Action::Read, at + done, content + done, end));
                }
                Ok(n) => {
                    done += n as u64;
                    IoSliceMut::advance_slices(&mut bufs, n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error(Action::Read, at + done, content + done, e)),
            }
        }
        Ok(())
    }

    /// Makes a range of the device zeros, by the device itself or by writing them.
    fn zero_part(&self, at: u64, content: u64, length: u64) -> Result<(), StorageError> {
        if length >= ZEROS_BY_DEVICE && self.medium.zero(at, length).is_ok() {
            self.recorder.wrote(at, length);
            return Ok(());
        }
        let zeros = vec![0; length.min(ZEROS) as usize];
        let mut done = 0;
        while done < length {
            let step = (length - done).min(ZEROS) as usize;
            self.write_part(at + done, content + done, &mut [IoSlice::new(&zeros[..step])])?;
            done += step as u64;
        }
        Ok(())
    }

    fn write_part(&self, at: u64, content: u64, mut bufs: &mut [IoSlice<'_>]) -> Result<(), StorageError> {
        let mut done = 0;
        while !bufs.is_empty() {
            let batch = bufs.len().min(MAX_BUFFERS);
            match self.medium.write_vectored_at(&bufs[..batch], at + done) {
                Ok(0) => {
                    let full = io::Error::from(io::ErrorKind::WriteZero);
                    return Err(self.error(Action::Write, at + done, content + done, full));
                }
                Ok(n) => {
                    self.recorder.wrote(at + done, n as u64);
                    done += n as u64;
                    IoSlice::advance_slices(&mut bufs, n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.error(Action::Write, at + done, content + done, e)),
            }
        }
        Ok(())
    }
}

impl<M: Medium> Storage for DeviceStorage<M> {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.read_vectored_at(content_offset, &mut [IoSliceMut::new(buf)])
    }

    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.write_vectored_at(content_offset, &[IoSlice::new(buf)])
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.medium.sync().map_err(|e| StorageError::whole(Action::Sync, &self.device, e))
    }

    fn read_vectored_at(&self, start: u64, bufs: &mut [IoSliceMut<'_>]) -> Result<(), StorageError> {
        let length = bufs.iter().map(|b| b.len() as u64).sum();
        let mut content = start;
        let mut rest = bufs.iter_mut().map(|b| &mut **b).collect::<std::collections::VecDeque<&mut [u8]>>();
        for Slice { offset, length } in self.parts(Action::Read, start, length)? {
            let mut part = Vec::new();
            let mut wanted = length;
            while wanted > 0 {
                let Some(buf) = rest.pop_front() else { break };
                let take = usize::try_from(wanted).unwrap_or(usize::MAX).min(buf.len());
                let (head, tail) = buf.split_at_mut(take);
                part.push(IoSliceMut::new(head));
                if !tail.is_empty() {
                    rest.push_front(tail);
                }
                wanted -= take as u64;
            }
            match offset {
                Some(offset) => self.read_part(self.base.saturating_add(offset), content, &mut part)?,
                None => part.iter_mut().for_each(|buf| buf.fill(0)),
            }
            content += length;
        }
        Ok(())
    }

    fn write_vectored_at(&self, start: u64, bufs: &[IoSlice<'_>]) -> Result<(), StorageError> {
        let length = bufs.iter().map(|b| b.len() as u64).sum();
        let mut content = start;
        let mut rest = bufs.iter().map(|b| &**b).collect::<std::collections::VecDeque<&[u8]>>();
        for Slice { offset, length } in self.parts(Action::Write, start, length)? {
            let mut part = Vec::new();
            let mut wanted = length;
            while wanted > 0 {
                let Some(buf) = rest.pop_front() else { break };
                let take = usize::try_from(wanted).unwrap_or(usize::MAX).min(buf.len());
                let (head, tail) = buf.split_at(take);
                part.push(IoSlice::new(head));
                if !tail.is_empty() {
                    rest.push_front(tail);
                }
                wanted -= take as u64;
            }
            if let Some(offset) = offset {
                self.write_part(self.base.saturating_add(offset), content, &mut part)?;
            }
            content += length;
        }
        Ok(())
    }

    fn write_zeros_at(&self, start: u64, length: u64) -> Result<(), StorageError> {
        let mut content = start;
        for Slice { offset, length } in self.parts(Action::Write, start, length)? {
            if let Some(offset) = offset {
                self.zero_part(self.base.saturating_add(offset), content, length)?;
            }
            content += length;
        }
        Ok(())
    }

    fn begin_writeback(&self, content_offset: u64, length: u64) {
        for Slice { offset, length } in self.extents.slices(content_offset, length) {
            if let Some(offset) = offset {
                self.medium.begin_writeback(self.base.saturating_add(offset), length);
            }
        }
    }

    fn differs(&self, content_offset: u64) -> StorageError {
        let first = self.extents.slices(content_offset, 1).next().and_then(|slice| slice.offset);
        let at = self.base.saturating_add(first.unwrap_or(0));
        self.error(Action::Prove, at, content_offset, other_bytes())
    }

    fn forget(&self, content_offset: u64, length: u64) {
        for Slice { offset, length } in self.extents.slices(content_offset, length) {
            if let Some(offset) = offset {
                self.medium.forget(self.base.saturating_add(offset), length);
            }
        }
    }

    fn write_stats(&self) -> WriteStats {
        self.recorder.stats()
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
