//! Where the content of a torrent lies: behind [`Storage`] the engine sees one run of bytes, the
//! content, and each implementation knows which bytes of which device or file they are.
//!
//! All calls block and are made from threads of their own, never from the network's.

mod device;
mod error;
mod mirror;
mod packed_file;
mod recorder;
mod run_files;

pub use device::{DeviceStorage, Medium};
pub use error::{Action, StorageError};
pub use mirror::Mirror;
pub use packed_file::PackedFile;
pub use recorder::WriteStats;
pub use run_files::RunFiles;

use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::Arc;

use ezio_image::manifest::Store;
use ezio_image::metainfo::Metainfo;

/// The data of `metainfo` in the image directory `dir`, which keeps it as `store` says.
///
/// # Errors
/// It is not there, or does not fit.
pub fn open_image(dir: &Path, store: Store, metainfo: &Metainfo) -> Result<Arc<dyn Storage>, StorageError> {
    Ok(match store {
        Store::Files => Arc::new(RunFiles::open(dir, metainfo)?),
        Store::Zstd => Arc::new(PackedFile::open(dir, metainfo)?),
    })
}

/// Why a medium is not to be trusted.
fn other_bytes() -> io::Error {
    io::Error::other("it gives back something else than belongs there")
}

/// Zeros that are written in one call.
const ZEROS: u64 = 1 << 20;

/// A place for the content of one torrent. Offsets count bytes of content.
pub trait Storage: Send + Sync {
    /// Fills `buf` from the content at `content_offset`.
    ///
    /// # Errors
    /// The device cannot be read there, or ends early.
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError>;

    /// Writes all of `buf` to the content at `content_offset`.
    ///
    /// # Errors
    /// The device refuses the bytes, or takes only some.
    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError>;

    /// Makes everything written durable.
    ///
    /// # Errors
    /// The device cannot keep what it took.
    fn sync(&self) -> Result<(), StorageError>;

    /// As [`Storage::read_at`], into several buffers one behind the other.
    ///
    /// # Errors
    /// As [`Storage::read_at`].
    fn read_vectored_at(&self, content_offset: u64, bufs: &mut [IoSliceMut<'_>]) -> Result<(), StorageError> {
        let mut at = content_offset;
        for buf in bufs {
            self.read_at(at, buf)?;
            at += buf.len() as u64;
        }
        Ok(())
    }

    /// As [`Storage::write_at`], from several buffers one behind the other.
    ///
    /// # Errors
    /// As [`Storage::write_at`].
    fn write_vectored_at(&self, content_offset: u64, bufs: &[IoSlice<'_>]) -> Result<(), StorageError> {
        let mut at = content_offset;
        for buf in bufs {
            self.write_at(at, buf)?;
            at += buf.len() as u64;
        }
        Ok(())
    }

    /// Makes `length` bytes of the content zeros.
    ///
    /// # Errors
    /// As [`Storage::write_at`].
    fn write_zeros_at(&self, content_offset: u64, length: u64) -> Result<(), StorageError> {
        let zeros = vec![0; length.min(ZEROS) as usize];
        let (mut at, end) = (content_offset, content_offset + length);
        while at < end {
            let step = (end - at).min(ZEROS);
            self.write_at(at, &zeros[..step as usize])?;
            at += step;
        }
        Ok(())
    }

    /// Whether the content lies there as zstd frames, so that [`Storage::read_frame`] finds some.
    fn has_frames(&self) -> bool {
        false
    }

    /// The zstd frame of exactly these bytes of content, as it lies there: one frame, which says the length of its content
    /// and needs no dictionary. None where there is no such frame, or it saves
    /// nothing.
    ///
    /// # Errors
    /// As [`Storage::read_at`].
    fn read_frame(&self, content_offset: u64, length: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let _ = (content_offset, length);
        Ok(None)
    }

    /// Asks the device to begin writing out `length` bytes of content from `content_offset`, so that
    /// the final [`Storage::sync`] finds little left. A hint: it cannot fail.
    fn begin_writeback(&self, content_offset: u64, length: u64) {
        let _ = (content_offset, length);
    }

    /// What the system keeps in memory of `length` bytes from `content_offset` is dropped, as far as it is on the medium: the
    /// next read comes from there. A hint: it cannot fail.
    fn forget(&self, content_offset: u64, length: u64) {
        let _ = (content_offset, length);
    }

    /// The error of content from `content_offset` on that reads back as something else than belongs there.
    fn differs(&self, content_offset: u64) -> StorageError {
        StorageError::at(Action::Prove, "the target", content_offset, content_offset, other_bytes())
    }

    /// The storages that this one keeps alike; none where it is one itself.
    fn alike(&self) -> &[Arc<dyn Storage>] {
        &[]
    }

    /// What has been written so far, in what order.
    fn write_stats(&self) -> WriteStats {
        WriteStats::default()
    }
}
