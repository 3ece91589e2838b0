//! The data of an image directory, read only: `DIR/PART/<offset in hex>` for each run, or the one
//! file `DIR/PART` of a raw image.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ezio_image::metainfo::Metainfo;

use super::{Action, Storage, StorageError};

/// Files held open at once: an image has as many as it has runs, tens of thousands.
const MAX_OPEN: usize = 64;

/// The files of one torrent in an image directory.
pub struct RunFiles {
    /// None for padding, which is in no file.
    paths: Vec<Option<PathBuf>>,
    /// Content offset at which each file begins, and the end of the content.
    starts: Vec<u64>,
    /// Index and descriptor of files in use, the latest last.
    open: Mutex<VecDeque<(usize, Arc<File>)>>,
}

impl RunFiles {
    /// Finds the files of `metainfo` in the image directory `dir`, and checks that each has its length.
    ///
    /// # Errors
    /// A file is missing or has another length, or its name is not an offset in hex.
    pub fn open(dir: &Path, metainfo: &Metainfo) -> Result<Self, StorageError> {
        let root = dir.join(metainfo.name());
        let refuse =
            |path: &Path, source| StorageError::whole(Action::Open, &path.display().to_string(), source);
        // Names of runs are checked here: none can lead out of the directory.
        metainfo
            .extents()
            .map_err(|e| refuse(&root, io::Error::new(io::ErrorKind::InvalidData, e.to_string())))?;
        let mut paths = Vec::with_capacity(metainfo.files().len());
        let mut starts = Vec::with_capacity(metainfo.files().len() + 1);
        let mut start = 0;
        for file in metainfo.files() {
            starts.push(start);
            start += file.length;
            if file.padding {
                paths.push(None);
                continue;
            }
            let path = match file.path.last() {
                Some(name) => root.join(name),
                None => root.clone(),
            };
            let found = std::fs::metadata(&path).map_err(|e| refuse(&path, e))?.len();
            if found != file.length {
                let text = format!("it has {found} bytes where the torrent says {}", file.length);
                return Err(refuse(&path, io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            paths.push(Some(path));
        }
        starts.push(start);
        Ok(Self { paths, starts, open: Mutex::default() })
    }

    fn file(&self, index: usize, path: &Path) -> Result<Arc<File>, StorageError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = open.iter().position(|(i, _)| *i == index)
            && let Some(entry) = open.remove(position)
        {
            let file = Arc::clone(&entry.1);
            open.push_back(entry);
            return Ok(file);
        }
        let file = File::open(path)
            .map_err(|e| StorageError::whole(Action::Open, &path.display().to_string(), e))?;
        let file = Arc::new(file);
        if open.len() == MAX_OPEN {
            open.pop_front();
        }
        open.push_back((index, Arc::clone(&file)));
        Ok(file)
    }

    fn error(
        &self,
        action: Action,
        index: usize,
        offset: u64,
        content: u64,
        source: io::Error,
    ) -> StorageError {
        let name = self.paths[index].as_ref().map_or("padding".into(), |path| path.display().to_string());
        StorageError::at(action, &name, offset, content, source)
    }
}

impl Storage for RunFiles {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        let mut index = self.starts.partition_point(|&s| s <= content_offset).saturating_sub(1);
        let mut at = content_offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let Some(&end) = self.starts.get(index + 1) else {
                let last = self.paths.len() - 1;
                let outside = io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the content");
                return Err(self.error(Action::Read, last, at - self.starts[last], at, outside));
            };
            let take = usize::try_from(end - at).unwrap_or(usize::MAX).min(rest.len());
            let (head, tail) = rest.split_at_mut(take);
            let offset = at - self.starts[index];
            match &self.paths[index] {
                Some(path) => self
                    .file(index, path)?
                    .read_exact_at(head, offset)
                    .map_err(|e| self.error(Action::Read, index, offset, at, e))?,
                None => head.fill(0),
            }
            at += take as u64;
            rest = tail;
            index += 1;
        }
        Ok(())
    }

    fn write_at(&self, content_offset: u64, _buf: &[u8]) -> Result<(), StorageError> {
        let index = self.starts.partition_point(|&s| s <= content_offset).clamp(1, self.paths.len()) - 1;
        let read_only = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let offset = content_offset - self.starts[index];
        Err(self.error(Action::Write, index, offset, content_offset, read_only))
    }

    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ezio_image::extents::{Extent, ExtentMap};

    fn image(runs: &[(u64, &[u8])]) -> (tempfile::TempDir, Metainfo) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sda1")).unwrap();
        for (offset, bytes) in runs {
            std::fs::write(dir.path().join(format!("sda1/{offset:032x}")), bytes).unwrap();
        }
        let map = runs.iter().map(|(offset, b)| Extent { offset: *offset, length: b.len() as u64 }).collect();
        let map = ExtentMap::new(map).unwrap();
        let hashes = vec![0; map.total_length().div_ceil(16 << 10) as usize * 20];
        let meta = Metainfo::create("sda1", 16 << 10, map.total_length(), Some(&map), &hashes).unwrap();
        (dir, meta)
    }

    #[test]
    fn content_spans_files() {
        let many: Vec<(u64, &[u8])> = (0..200u64).map(|i| (i * 4096, b"abc".as_slice())).collect();
        let (dir, meta) = image(&many);
        let files = RunFiles::open(dir.path(), &meta).unwrap();
        let mut all = vec![0; 600];
        files.read_at(0, &mut all).unwrap();
        assert_eq!(all, b"abc".repeat(200));
        let mut some = [0; 5];
        files.read_at(301, &mut some).unwrap();
        assert_eq!(&some, b"bcabc");
        assert!(files.read_at(598, &mut some).is_err());
        assert!(files.write_at(0, b"x").is_err());
    }

    #[test]
    fn a_truncated_run_is_named_at_once() {
        let (dir, meta) = image(&[(0, b"abcd"), (4096, b"efgh")]);
        std::fs::write(dir.path().join("sda1").join(format!("{:032x}", 4096)), b"ef").unwrap();
        let error = RunFiles::open(dir.path(), &meta).err().unwrap();
        assert!(error.device.ends_with("1000"), "{error}");
        assert!(error.source.to_string().contains("2 bytes where the torrent says 4"));
    }
}
