//! Bytes that are changed on the medium once all is verified, because the volume lies elsewhere than on the source.
//! Others are served what was verified.

use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use ezio_disk::BlockTarget;
use ezio_image::filesystem;
use ezio_image::plan::Payload;
use ezio_swarm::storage::{Action, Storage, StorageError, WriteStats};

/// Bytes of the content, from an offset on.
type Original = (u64, Vec<u8>);
/// Bytes of the device, from an offset on.
type Changed = (u64, Vec<u8>);

/// A storage that keeps in memory what was changed below it.
pub(crate) struct Amended {
    inner: Arc<dyn Storage>,
    device: BlockTarget,
    payload: Payload,
    originals: RwLock<Vec<Original>>,
    changed: RwLock<Vec<Changed>>,
}

impl Amended {
    /// Over the storage of a payload on this device.
    pub(crate) fn new(inner: Arc<dyn Storage>, device: &BlockTarget, payload: &Payload) -> Self {
        let (device, payload) = (device.clone(), payload.clone());
        Self { inner, device, payload, originals: RwLock::default(), changed: RwLock::default() }
    }

    /// Does its payload begin at this byte of the device?
    pub(crate) fn is_at(&self, offset: u64) -> bool {
        self.payload.base == offset
    }

    /// Makes the volume say that it begins at the byte `start` of its disk; gives what there is to say about it.
    pub(crate) fn relocate(&self, volume: &Range<u64>, start: u64) -> anyhow::Result<Option<String>> {
        let moved = filesystem::moved(&self.device, volume, start);
        let Some(moved) = moved.context("looking for a boot sector that says where its volume begins")?
        else {
            return Ok(None);
        };
        for (offset, bytes) in &moved.changes {
            self.change(*offset, bytes).context("writing where the volume begins into its boot sectors")?;
        }
        Ok(Some(format!(
            "{}: its boot sectors say now that it begins at sector {} (on the source: {})",
            self.payload.name, moved.is, moved.was
        )))
    }

    /// Takes these bytes of the device for what was there before it was changed, whoever did that.
    pub(crate) fn remember(&self, changed: &[Changed]) {
        let mut originals = self.originals.write().unwrap_or_else(PoisonError::into_inner);
        for (offset, bytes) in changed {
            let in_payload = offset.saturating_sub(self.payload.base);
            for (at, from, length) in self.payload.extents.content_at(in_payload, bytes.len() as u64) {
                let part = (from - in_payload) as usize..(from - in_payload + length) as usize;
                originals.push((at, bytes[part].to_vec()));
            }
        }
    }

    fn change(&self, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let mut originals = self.originals.write().unwrap_or_else(PoisonError::into_inner);
        let in_payload = offset.saturating_sub(self.payload.base);
        for (at, _, length) in self.payload.extents.content_at(in_payload, bytes.len() as u64) {
            // As long as what is written at most: a few sectors.
            let mut original = vec![0; length as usize];
            self.inner.read_at(at, &mut original)?;
            originals.push((at, original));
        }
        self.changed.write().unwrap_or_else(PoisonError::into_inner).push((offset, bytes.to_vec()));
        Ok(self.device.write_all_at(offset, bytes)?)
    }
}

impl Amended {
    /// What was written once more over what was changed is changed again.
    fn change_again(&self) -> Result<(), StorageError> {
        for (offset, bytes) in self.changed.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let failed = |source| {
                let name = self.device.path().display().to_string();
                StorageError::at(Action::Write, &name, *offset, 0, io::Error::other(source))
            };
            self.device.write_all_at(*offset, bytes).map_err(failed)?;
        }
        Ok(())
    }
}

/// Puts into `buffer`, which holds content from `start` on, what is known of it.
fn put_back(originals: &[Original], start: u64, buffer: &mut [u8]) {
    let end = start + buffer.len() as u64;
    for (at, bytes) in originals {
        let (from, to) = (start.max(*at), end.min(at + bytes.len() as u64));
        if from < to {
            let kept = &bytes[(from - at) as usize..(to - at) as usize];
            buffer[(from - start) as usize..(to - start) as usize].copy_from_slice(kept);
        }
    }
}

impl Storage for Amended {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        let originals = self.originals.read().unwrap_or_else(PoisonError::into_inner);
        self.inner.read_at(offset, buf)?;
        put_back(&originals, offset, buf);
        Ok(())
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.inner.write_at(offset, buf)?;
        self.change_again()
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.inner.sync()
    }

    fn read_vectored_at(&self, offset: u64, bufs: &mut [IoSliceMut<'_>]) -> Result<(), StorageError> {
        let originals = self.originals.read().unwrap_or_else(PoisonError::into_inner);
        self.inner.read_vectored_at(offset, bufs)?;
        let mut at = offset;
        for buf in bufs {
            put_back(&originals, at, buf);
            at += buf.len() as u64;
        }
        Ok(())
    }

    fn write_vectored_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> Result<(), StorageError> {
        self.inner.write_vectored_at(offset, bufs)?;
        self.change_again()
    }

    fn write_zeros_at(&self, offset: u64, length: u64) -> Result<(), StorageError> {
        self.inner.write_zeros_at(offset, length)?;
        self.change_again()
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
    use ezio_image::extents::{Extent, ExtentMap};
    use ezio_swarm::storage::DeviceStorage;

    #[test]
    fn what_was_changed_is_read_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, vec![0xee; 4096]).unwrap();
        let device = BlockTarget::open_exclusive(&path).unwrap();
        // Content 0..16 lies at 2048 + 512, content 16..80 at 2048 + 100.
        let runs = [(512, 16), (100, 64)].map(|(offset, length)| Extent { offset, length });
        let extents = Arc::new(ExtentMap::new(runs.to_vec()).unwrap());
        let metainfo = Arc::new(crate::test_image::torrent("sda1", &[1; 80], Some(&extents)));
        let payload = Payload { name: "sda1".into(), metainfo, extents, base: 2048, room: 2048 };
        let inner = DeviceStorage::new(device.file(), "disk", 2048, (*payload.extents).clone());
        let storage = Amended::new(Arc::new(inner), &device, &payload);
        let content: Vec<u8> = (0..80).collect();
        storage.write_at(0, &content).unwrap();
        // The last bytes of the first run, and ten behind it that are nobody's.
        storage.change(2048 + 524, &[0xff; 14]).unwrap();
        storage.change(2048 + 100, &[0xfe; 4]).unwrap();
        let disk = std::fs::read(&path).unwrap();
        assert_eq!(
            (&disk[2572..2586], &disk[2148..2153]),
            (&[0xff; 14][..], &[0xfe, 0xfe, 0xfe, 0xfe, 20][..])
        );
        let mut read = vec![0; 80];
        storage.read_at(0, &mut read).unwrap();
        assert_eq!(read, content);
        let (mut front, mut rest) = ([0; 15], [0; 60]);
        let bufs = &mut [IoSliceMut::new(&mut front), IoSliceMut::new(&mut rest)];
        storage.read_vectored_at(3, bufs).unwrap();
        assert_eq!([&front[..], &rest[..]].concat(), content[3..78]);
    }
}
