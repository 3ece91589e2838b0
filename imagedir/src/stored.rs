//! A content as it lies in an image directory, read as the partition would be: what is not in use is zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ezio_image::extents::ExtentMap;
use ezio_image::layout::ReadAt;
use ezio_image::metainfo::run_file_name;

/// The content of one partition.
#[derive(Debug)]
pub struct Stored<'a> {
    path: PathBuf,
    /// None: every byte, in one file.
    map: Option<&'a ExtentMap>,
}

impl<'a> Stored<'a> {
    /// The content of this name in an image directory; with its runs, or as one file.
    #[must_use]
    pub fn new(folder: &Path, name: &str, map: Option<&'a ExtentMap>) -> Self {
        Self { path: folder.join(name), map }
    }
}

impl ReadAt for Stored<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let Some(map) = self.map else {
            return read(&self.path, buffer, offset);
        };
        buffer.fill(0);
        let end = offset.saturating_add(buffer.len() as u64);
        let runs = map.extents();
        let first = runs.partition_point(|run| run.offset + run.length <= offset);
        for run in runs[first..].iter().take_while(|run| run.offset < end) {
            let from = run.offset.max(offset);
            // Both lie within the buffer.
            let place = (from - offset) as usize..(end.min(run.offset + run.length) - offset) as usize;
            read(&self.path.join(run_file_name(run.offset)), &mut buffer[place], from - run.offset)?;
        }
        Ok(())
    }
}

/// Reads a part of a file; an error names it.
fn read(path: &Path, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let read = File::open(path).and_then(|file| FileExt::read_exact_at(&file, buffer, offset));
    read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ezio_image::extents::Extent;

    #[test]
    fn runs_are_found_and_gaps_are_zeros() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sda1")).unwrap();
        let runs = [Extent { offset: 2, length: 3 }, Extent { offset: 7, length: 2 }];
        for (run, bytes) in runs.iter().zip(["abc", "de"]) {
            std::fs::write(folder.path().join("sda1").join(run_file_name(run.offset)), bytes).unwrap();
        }
        let map = ExtentMap::new(runs.to_vec()).unwrap();
        let stored = Stored::new(folder.path(), "sda1", Some(&map));
        let whole = b"\0\0abc\0\0de\0";
        for from in 0..whole.len() {
            for to in from..whole.len() {
                assert_eq!(stored.read_vec(from as u64, to - from).unwrap(), whole[from..to]);
            }
        }
    }
}
