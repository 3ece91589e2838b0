//! What is written: a disk, a partition, or a file that stands for one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ezio_image::layout::ReadAt;
use nix::errno::Errno;
use nix::libc::{O_CLOEXEC, O_EXCL};
use thiserror::Error;

use crate::checked::{IoError, read_exact, write_all};
use crate::ioctl;
use crate::reread::{self, PartitionSpan};

/// Sector size of a file that stands for a disk.
const FILE_SECTOR_SIZE: u32 = 512;

/// Why a target cannot be used.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Something has it mounted or holds it.
    #[error("{} is in use: it is mounted, or a volume, a RAID or another program holds it", .0.display())]
    InUse(PathBuf),
    /// Neither a block device nor a file.
    #[error("{} is neither a block device nor a regular file", .0.display())]
    WrongKind(PathBuf),
    /// It cannot be opened or asked.
    #[error("cannot {what} {}", path.display())]
    Access {
        /// What was tried ("open", "find the size of").
        what: &'static str,
        /// The target.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The data did not reach the medium.
    #[error("cannot make sure that everything is on {}: what was written since the last sync may be lost", path.display())]
    Sync {
        /// The target.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A read or a write failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// An open target, for checked access. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlockTarget {
    file: Arc<File>,
    path: PathBuf,
    size: u64,
    sector_size: u32,
    is_device: bool,
}

impl BlockTarget {
    /// Opens a block device for this program alone, or a regular file.
    ///
    /// # Errors
    /// It is in use, is something else, or cannot be opened.
    pub fn open_exclusive(path: &Path) -> Result<Self, TargetError> {
        // On a block device: the kernel refuses while anything has it mounted or claimed.
        Self::open(path, true, O_EXCL)
    }

    /// Opens a block device, whoever uses it, or a regular file.
    ///
    /// # Errors
    /// It is something else, or cannot be opened.
    pub fn open_shared(path: &Path) -> Result<Self, TargetError> {
        Self::open(path, true, 0)
    }

    /// Opens a block device, whoever uses it, or a regular file, to be read only.
    ///
    /// # Errors
    /// It is something else, or cannot be opened.
    pub fn open_to_read(path: &Path) -> Result<Self, TargetError> {
        Self::open(path, false, 0)
    }

    fn open(path: &Path, write: bool, device_flags: i32) -> Result<Self, TargetError> {
        let access = |what| move |source| TargetError::Access { what, path: path.to_owned(), source };
        let kind = std::fs::metadata(path).map_err(access("open"))?.file_type();
        let is_device = kind.is_block_device();
        if !is_device && !kind.is_file() {
            return Err(TargetError::WrongKind(path.to_owned()));
        }
        let flags = O_CLOEXEC | if is_device { device_flags } else { 0 };
        let file =
            OpenOptions::new().read(true).write(write).custom_flags(flags).open(path).map_err(|source| {
                if source.raw_os_error() == Some(Errno::EBUSY as i32) {
                    TargetError::InUse(path.to_owned())
                } else {
                    access("open")(source)
                }
            })?;
        let (size, sector_size) = if is_device {
            (
                ioctl::size(&file).map_err(io::Error::from).map_err(access("find the size of"))?,
                ioctl::sector_size(&file)
                    .map_err(io::Error::from)
                    .map_err(access("find the sector size of"))?,
            )
        } else {
            (file.metadata().map_err(access("find the size of"))?.len(), FILE_SECTOR_SIZE)
        };
        Ok(Self { file: Arc::new(file), path: path.to_owned(), size, sector_size, is_device })
    }

    /// Makes a file of `size` bytes, or grows an existing one to that, and opens it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create_file(path: &Path, size: u64) -> Result<Self, TargetError> {
        let access = |what| move |source| TargetError::Access { what, path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(access("make the file"))?;
        if file.metadata().map_err(access("find the size of"))?.len() < size {
            file.set_len(size).map_err(access("make room in"))?;
        }
        Self::open_exclusive(path)
    }

    /// The open file, for a storage that reads and writes by itself.
    #[must_use]
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes a logical sector; 512 for a file.
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Is it a block device, rather than a file?
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.is_device
    }

    /// Fills `buffer` from the byte `offset`.
    ///
    /// # Errors
    /// Names the device, the offset and what can be done.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        read_exact(&*self.file, &self.path, offset, buffer)
    }

    /// Writes all of `bytes` at the byte `offset`.
    ///
    /// # Errors
    /// Names the device, the offset and what can be done.
    pub fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), IoError> {
        write_all(&*self.file, &self.path, offset, bytes)
    }

    /// Writes zeros.
    ///
    /// # Errors
    /// As [`BlockTarget::write_all_at`].
    pub fn write_zeros_at(&self, offset: u64, length: u64) -> Result<(), IoError> {
        self.fill_at(offset, 0, length)
    }

    /// Writes one byte over and over.
    ///
    /// # Errors
    /// As [`BlockTarget::write_all_at`].
    pub fn fill_at(&self, offset: u64, byte: u8, length: u64) -> Result<(), IoError> {
        let bytes = vec![byte; length.min(1 << 20) as usize];
        let mut done = 0;
        while done < length {
            let step = (length - done).min(bytes.len() as u64);
            self.write_all_at(offset + done, &bytes[..step as usize])?;
            done += step;
        }
        Ok(())
    }

    /// Returns once everything is on the medium.
    ///
    /// # Errors
    /// Something written earlier did not reach it.
    pub fn sync(&self) -> Result<(), TargetError> {
        self.file.sync_all().map_err(|source| TargetError::Sync { path: self.path.clone(), source })
    }

    /// Makes the kernel drop what it has cached, so that the next read comes from the medium. Does
    /// nothing on a file.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn drop_cache(&self) -> Result<(), TargetError> {
        self.ask("drop the cache of", ioctl::flush)
    }

    /// Tells the device that these bytes are not needed. Does nothing on a file.
    ///
    /// # Errors
    /// The device cannot, or refuses.
    pub fn discard(&self, offset: u64, length: u64) -> Result<(), TargetError> {
        self.ask("discard blocks of", |device| ioctl::discard(device, offset, length))
    }

    /// Makes the kernel know these partitions, from the table that was written. Tries for five
    /// seconds while others have the device open. Does nothing on a file.
    ///
    /// # Errors
    /// Something uses an old partition, or the kernel refuses the new ones.
    pub fn reread_partitions(&self, wanted: &[PartitionSpan]) -> Result<(), TargetError> {
        self.ask("make the kernel re-read the partition table of", |device| reread::reread(device, wanted))
    }

    /// Makes the kernel know another length of a partition, which may be in use. Does nothing on a file.
    ///
    /// # Errors
    /// The kernel knows no such partition, or refuses.
    pub fn resize_partition(&self, span: PartitionSpan) -> Result<(), TargetError> {
        let PartitionSpan { number, start, length } = span;
        self.ask("make the kernel know the length of a partition of", |device| {
            ioctl::resize_partition(device, number, start, length)
        })
    }

    /// Makes the kernel know a partition at another place, until it reads the table again. Tries for five seconds while
    /// others have the partition open. Does nothing on a file.
    ///
    /// # Errors
    /// Something uses the partition, or the kernel refuses the new place.
    pub fn replace_partition(&self, span: PartitionSpan) -> Result<(), TargetError> {
        self.ask("make the kernel know the place of a partition of", |device| reread::replace(device, &span))
    }

    fn ask(
        &self,
        what: &'static str,
        call: impl FnOnce(&File) -> Result<(), Errno>,
    ) -> Result<(), TargetError> {
        if !self.is_device {
            return Ok(());
        }
        call(&self.file).map_err(|errno| TargetError::Access {
            what,
            path: self.path.clone(),
            source: errno.into(),
        })
    }
}

impl ReadAt for BlockTarget {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        // Whoever looks for something on it has to know where it ends.
        Self::read_exact_at(self, offset, buffer).map_err(|error| io::Error::new(error.source.kind(), error))
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
