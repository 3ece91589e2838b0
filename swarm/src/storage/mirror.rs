//! One content onto several local disks: each gets every write, and an error of any is an error.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::thread;

use super::{Storage, StorageError, WriteStats};

/// Several storages with the same content. Reads come from the first.
pub struct Mirror {
    /// At least one.
    disks: Vec<Arc<dyn Storage>>,
}

impl Mirror {
    /// Keeps `first` and `others` alike.
    #[must_use]
    pub fn new(first: Arc<dyn Storage>, others: Vec<Arc<dyn Storage>>) -> Self {
        Self { disks: [vec![first], others].concat() }
    }

    /// Does the same to all at once, each in a thread, so that two disks take as long as the slower.
    fn on_all(
        &self,
        act: impl Fn(&dyn Storage) -> Result<(), StorageError> + Sync,
    ) -> Result<(), StorageError> {
        thread::scope(|scope| {
            let act = &act;
            let others: Vec<_> =
                self.disks[1..].iter().map(|other| scope.spawn(move || act(other.as_ref()))).collect();
            let mut result = act(self.disks[0].as_ref());
            for other in others {
                let other = other.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
                result = result.and(other);
            }
            result
        })
    }
}

impl Storage for Mirror {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.disks[0].read_at(content_offset, buf)
    }

    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.on_all(|storage| storage.write_at(content_offset, buf))
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.on_all(|storage| storage.sync())
    }

    fn read_vectored_at(&self, content_offset: u64, bufs: &mut [IoSliceMut<'_>]) -> Result<(), StorageError> {
        self.disks[0].read_vectored_at(content_offset, bufs)
    }

    fn write_vectored_at(&self, content_offset: u64, bufs: &[IoSlice<'_>]) -> Result<(), StorageError> {
        self.on_all(|storage| storage.write_vectored_at(content_offset, bufs))
    }

    fn write_zeros_at(&self, content_offset: u64, length: u64) -> Result<(), StorageError> {
        self.on_all(|storage| storage.write_zeros_at(content_offset, length))
    }

    fn begin_writeback(&self, content_offset: u64, length: u64) {
        for disk in &self.disks {
            disk.begin_writeback(content_offset, length);
        }
    }

    fn forget(&self, content_offset: u64, length: u64) {
        for disk in &self.disks {
            disk.forget(content_offset, length);
        }
    }

    fn alike(&self) -> &[Arc<dyn Storage>] {
        &self.disks
    }

    fn write_stats(&self) -> WriteStats {
        self.disks[0].write_stats()
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeviceStorage;
    use super::*;
    use ezio_image::extents::ExtentMap;

    #[test]
    fn writes_reach_all_and_an_error_of_one_is_an_error() {
        let files: Vec<_> = (0..2).map(|_| tempfile::tempfile().unwrap()).collect();
        let storage = |file: &std::fs::File| -> Arc<dyn Storage> {
            let file = Arc::new(file.try_clone().unwrap());
            Arc::new(DeviceStorage::new(file, "disk", 0, ExtentMap::contiguous(8).unwrap()))
        };
        let mirror = Mirror::new(storage(&files[0]), vec![storage(&files[1])]);
        mirror.write_at(0, b"12345678").unwrap();
        mirror.sync().unwrap();
        for file in &files {
            let mut got = [0; 8];
            storage(file).read_at(0, &mut got).unwrap();
            assert_eq!(&got, b"12345678");
        }
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let full = DeviceStorage::new(Arc::new(full), "/dev/full", 0, ExtentMap::contiguous(8).unwrap());
        let mirror = Mirror::new(storage(&files[0]), vec![Arc::new(full)]);
        assert_eq!(mirror.write_at(0, b"x").unwrap_err().device, "/dev/full");
    }
}
