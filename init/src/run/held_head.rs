//! Keeps the head of a raw image back until everything else is on the disk: firmware must find
//! nothing to boot, and nobody a partition table, on a disk that is written only in part.

use std::io::{IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ezio_swarm::storage::{Storage, StorageError, WriteStats};

/// Judges a head once all of it is there.
type Check = Box<dyn Fn(&[u8]) -> Result<(), StorageError> + Send + Sync>;

/// A storage whose first bytes stay in memory until they are released.
pub(crate) struct HeldHead {
    inner: Arc<dyn Storage>,
    length: u64,
    check: Check,
    /// None once it is written.
    head: Mutex<Option<Head>>,
}

struct Head {
    bytes: Vec<u8>,
    /// Bytes that have not arrived.
    missing: usize,
}

impl HeldHead {
    /// Holds back the first `length` bytes of the content (which has at least that many).
    pub(crate) fn new(inner: Arc<dyn Storage>, length: usize, check: Check) -> Self {
        let head = Head { bytes: vec![0; length], missing: length };
        Self { inner, length: length as u64, check, head: Mutex::new(Some(head)) }
    }

    /// Writes the head, and makes it durable.
    pub(crate) fn release(&self) -> Result<(), StorageError> {
        let mut head = self.lock();
        if let Some(Head { bytes, .. }) = head.as_ref() {
            (self.check)(bytes)?;
            self.inner.write_at(0, bytes)?;
            self.inner.sync()?;
            *head = None;
        }
        Ok(())
    }

    /// How many of `count` bytes from `offset` belong to the head.
    fn in_head(&self, offset: u64, count: usize) -> usize {
        self.length.saturating_sub(offset).min(count as u64) as usize
    }

    fn lock(&self) -> MutexGuard<'_, Option<Head>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for HeldHead {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        let (front, rest) = buf.split_at_mut(self.in_head(offset, buf.len()));
        if !front.is_empty() {
            let start = offset as usize;
            match self.lock().as_ref() {
                Some(head) => front.copy_from_slice(&head.bytes[start..start + front.len()]),
                None => self.inner.read_at(offset, front)?,
            }
        }
        if rest.is_empty() { Ok(()) } else { self.inner.read_at(offset + front.len() as u64, rest) }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        let (front, rest) = buf.split_at(self.in_head(offset, buf.len()));
        if !front.is_empty() {
            let start = offset as usize;
            match self.lock().as_mut() {
                Some(head) => {
                    head.bytes[start..start + front.len()].copy_from_slice(front);
                    head.missing = head.missing.saturating_sub(front.len());
                    if head.missing == 0 {
                        (self.check)(&head.bytes)?;
                    }
                }
                None => self.inner.write_at(offset, front)?,
            }
        }
        if rest.is_empty() { Ok(()) } else { self.inner.write_at(offset + front.len() as u64, rest) }
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.inner.sync()
    }

    fn read_vectored_at(&self, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> Result<(), StorageError> {
        if offset >= self.length {
            return self.inner.read_vectored_at(offset, bufs);
        }
        let mut at = offset;
        for buf in bufs {
            self.read_at(at, buf)?;
            at += buf.len() as u64;
        }
        Ok(())
    }

    fn write_vectored_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> Result<(), StorageError> {
        if offset >= self.length {
            return self.inner.write_vectored_at(offset, bufs);
        }
        let mut at = offset;
        for buf in bufs {
            self.write_at(at, buf)?;
            at += buf.len() as u64;
        }
        Ok(())
    }

    fn write_zeros_at(&self, offset: u64, length: u64) -> Result<(), StorageError> {
        let front = self.length.saturating_sub(offset).min(length);
        self.write_at(offset, &vec![0; front as usize])?;
        if front == length { Ok(()) } else { self.inner.write_zeros_at(offset + front, length - front) }
    }

    fn begin_writeback(&self, offset: u64, length: u64) {
        self.inner.begin_writeback(offset, length);
    }

    fn differs(&self, offset: u64) -> StorageError {
        self.inner.differs(offset)
    }

    fn forget(&self, offset: u64, length: u64) {
        self.inner.forget(offset, length);
    }

    fn write_stats(&self) -> WriteStats {
        self.inner.write_stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ezio_image::extents::ExtentMap;
    use ezio_swarm::storage::DeviceStorage;
    use std::os::unix::fs::FileExt;

    #[test]
    fn the_head_reaches_the_disk_last_and_is_read_as_written_all_along() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(64).unwrap();
        let inner = DeviceStorage::new(file.clone(), "disk", 0, ExtentMap::contiguous(64).unwrap());
        let storage = HeldHead::new(Arc::new(inner), 16, Box::new(|_| Ok(())));
        let on_disk = || {
            let mut bytes = [0; 64];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        // Across the border, in one buffer and in several.
        storage.write_at(0, &[1; 24]).unwrap();
        storage.write_vectored_at(8, &[IoSlice::new(&[2; 4]), IoSlice::new(&[3; 20])]).unwrap();
        storage.write_vectored_at(32, &[IoSlice::new(&[4; 32])]).unwrap();
        let mut expected = [4; 64];
        expected[..8].fill(1);
        expected[8..12].fill(2);
        expected[12..32].fill(3);
        let mut read = [0; 64];
        storage.read_at(0, &mut read).unwrap();
        assert_eq!(read, expected);
        assert_eq!(on_disk()[..16], [0; 16], "held back");
        assert_eq!(on_disk()[16..], expected[16..]);
        storage.release().unwrap();
        assert_eq!(on_disk(), expected);
        storage.write_at(0, &[9; 4]).unwrap();
        storage.read_at(0, &mut read[..4]).unwrap();
        assert_eq!((on_disk()[0], read[0]), (9, 9));
    }
}
