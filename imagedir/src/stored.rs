//! A content as it lies in an image directory, read as the partition would be: what is not in use is zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ezio_frames::{FrameFile, FrameReader};
use ezio_image::directory::Torrent;
use ezio_image::extents::ExtentMap;
use ezio_image::layout::ReadAt;
use ezio_image::manifest::{Store, packed_file_name};
use ezio_image::metainfo::run_file_name;

/// The content of one partition.
pub struct Stored {
    data: Data,
    runs: Arc<ExtentMap>,
}

enum Data {
    /// Every byte, in this file.
    Whole(PathBuf),
    /// A file a run, in this folder.
    Runs(PathBuf),
    /// The runs one behind the other.
    Frames(FrameReader),
}

impl Stored {
    /// The content of this torrent in an image directory, which keeps it as `store` says.
    ///
    /// # Errors
    /// There is no file of frames, or its table does not fit the torrent.
    pub fn open(folder: &Path, store: Store, torrent: &Torrent) -> io::Result<Self> {
        let metainfo = &torrent.metainfo;
        let name = metainfo.name();
        let data = match (store, torrent.runs()) {
            (Store::Files, None) => Data::Whole(folder.join(name)),
            (Store::Files, Some(_)) => Data::Runs(folder.join(name)),
            (Store::Zstd, _) => {
                let path = folder.join(packed_file_name(name));
                let file = FrameFile::open(&path, metainfo.total_length(), metainfo.piece_length())?;
                Data::Frames(FrameReader::new(file))
            }
        };
        Ok(Self { data, runs: Arc::clone(&torrent.extents) })
    }
}

impl ReadAt for Stored {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        match &self.data {
            Data::Whole(path) => read(path, buffer, offset)?,
            Data::Runs(path) => {
                buffer.fill(0);
                let runs = self.runs.extents();
                let first = runs.partition_point(|run| run.offset + run.length <= offset);
                for run in runs[first..].iter().take_while(|run| run.offset < end) {
                    let from = run.offset.max(offset);
                    // Both lie within the buffer.
                    let place =
                        (from - offset) as usize..(end.min(run.offset + run.length) - offset) as usize;
                    read(&path.join(run_file_name(run.offset)), &mut buffer[place], from - run.offset)?;
                }
            }
            Data::Frames(frames) => {
                buffer.fill(0);
                for (content, from, length) in self.runs.content_at(offset, end - offset) {
                    frames.read_at(content, &mut buffer[(from - offset) as usize..][..length as usize])?;
                }
            }
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
    use ezio_frames::{FrameWriter, Packer};
    use ezio_image::extents::Extent;
    use ezio_image::metainfo::Metainfo;

    use super::*;

    #[test]
    fn runs_are_found_and_gaps_are_zeros() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sda1")).unwrap();
        let runs = [Extent { offset: 2, length: 3 }, Extent { offset: 7, length: 2 }];
        for (run, bytes) in runs.iter().zip(["abc", "de"]) {
            std::fs::write(folder.path().join("sda1").join(run_file_name(run.offset)), bytes).unwrap();
        }
        let mut frames = FrameWriter::new(Vec::new());
        frames.write(&Packer::new(1).unwrap().pack(b"abcde").unwrap(), 5).unwrap();
        std::fs::write(folder.path().join("sda1.zst"), frames.finish().unwrap()).unwrap();
        let map = ExtentMap::new(runs.to_vec()).unwrap();
        let metainfo = Metainfo::create("sda1", 16 << 10, 5, Some(&map), &[0; 20]).unwrap();
        let torrent = Torrent::new(Arc::new(metainfo)).unwrap();
        let whole = b"\0\0abc\0\0de\0";
        for store in [Store::Files, Store::Zstd] {
            let stored = Stored::open(folder.path(), store, &torrent).unwrap();
            for from in 0..whole.len() {
                for to in from..whole.len() {
                    assert_eq!(stored.read_vec(from as u64, to - from).unwrap(), whole[from..to]);
                }
            }
        }
    }
}
