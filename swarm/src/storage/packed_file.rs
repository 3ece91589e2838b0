//! The data of an image directory as one file of zstd frames, read only: `DIR/PART.zst`.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ezio_frames::{Frame, FrameError, FrameFile, FrameReader};
use ezio_image::manifest::packed_file_name;
use ezio_image::metainfo::Metainfo;

use super::{Action, Storage, StorageError};
use crate::pack::longest;

/// The frames of one torrent in an image directory.
pub struct PackedFile {
    reader: FrameReader,
}

impl PackedFile {
    /// Finds the file of `metainfo` in the image directory `dir`, and checks its table.
    ///
    /// # Errors
    /// The file is missing or cut short, or its table does not fit the torrent.
    pub fn open(dir: &Path, metainfo: &Metainfo) -> Result<Self, StorageError> {
        let path = dir.join(packed_file_name(metainfo.name()));
        let file = FrameFile::open(&path, metainfo.total_length(), metainfo.piece_length())
            .map_err(|e| StorageError::whole(Action::Open, &path.display().to_string(), e.cause))?;
        Ok(Self { reader: FrameReader::new(file) })
    }
}

impl Storage for PackedFile {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.reader.read_at(content_offset, buf).map_err(|FrameError { path, frame, cause }| {
            let (path, kind) = (path.display().to_string(), cause.kind());
            match frame {
                Some((index, offset)) => {
                    let cause = io::Error::new(kind, format!("frame {index}: {cause}"));
                    StorageError::at(Action::Read, &path, offset, content_offset, cause)
                }
                None => StorageError::whole(Action::Read, &path, cause),
            }
        })
    }

    fn write_at(&self, _content_offset: u64, _buf: &[u8]) -> Result<(), StorageError> {
        let read_only = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        Err(StorageError::whole(Action::Write, &self.reader.file().path().display().to_string(), read_only))
    }

    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn has_frames(&self) -> bool {
        true
    }

    fn read_frame(&self, content_offset: u64, length: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let file = self.reader.file();
        let size = u64::from(file.frame_size());
        let frame = file.frame(content_offset / size).filter(|frame| {
            let saves = frame.length as usize <= longest(length as usize);
            content_offset.is_multiple_of(size) && frame.raw_length == length && saves
        });
        let Some(Frame { offset, length, .. }) = frame else { return Ok(None) };
        let mut packed = vec![0; length as usize];
        file.file().read_exact_at(&mut packed, offset).map_err(|cause| {
            StorageError::at(Action::Read, &file.path().display().to_string(), offset, content_offset, cause)
        })?;
        Ok(Some(packed))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use ezio_frames::{FrameWriter, Packer, frame_size_for};
    use sha1::{Digest, Sha1};

    use super::*;

    const PIECE: u32 = 16 << 10;

    #[test]
    fn raw_bytes_are_read_and_frames_are_where_they_are_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let raw: Vec<u8> = (0..100_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        let (mut packer, mut writer) = (Packer::new(3).unwrap(), FrameWriter::new(Vec::new()));
        for frame in raw.chunks(frame_size_for(PIECE) as usize) {
            writer.write(&packer.pack(frame).unwrap(), frame.len() as u32).unwrap();
        }
        let packed = writer.finish().unwrap();
        std::fs::write(dir.path().join("sda1.zst"), &packed).unwrap();
        let hashes: Vec<u8> = raw.chunks(PIECE as usize).flat_map(Sha1::digest).collect();
        let metainfo = Metainfo::create("sda1", PIECE, raw.len() as u64, None, &hashes).unwrap();

        let storage = PackedFile::open(dir.path(), &metainfo).unwrap();
        let mut some = vec![0; 50_000];
        storage.read_at(12_345, &mut some).unwrap();
        assert!(some == raw[12_345..62_345]);
        assert!(storage.write_at(0, b"x").is_err());
        let frames = storage.reader.file();
        assert_eq!((frames.frame_size(), frames.frame_count()), (PIECE, 25));
        let last = frames.frame(24).unwrap();
        assert_eq!((last.raw_length, frames.frame(25)), (400_000 - 24 * PIECE, None));

        let frame = frames.frame(3).unwrap();
        let there = storage.read_frame(u64::from(3 * PIECE), PIECE).unwrap().unwrap();
        assert!(there == packed[frame.offset as usize..][..frame.length as usize]);
        let elsewhere =
            [(3 * PIECE + 1, PIECE), (3 * PIECE, PIECE / 2), (24 * PIECE, PIECE), (25 * PIECE, PIECE)];
        assert!(
            elsewhere.iter().all(|&(at, length)| storage.read_frame(at.into(), length).unwrap().is_none())
        );
        let mut damaged = packed.clone();
        damaged[frame.offset as usize + 50] ^= 4;
        std::fs::write(dir.path().join("sda1.zst"), &damaged).unwrap();
        let error = PackedFile::open(dir.path(), &metainfo).unwrap().read_at(50_000, &mut some).unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert_eq!((error.device_offset, error.content_offset), (Some(frame.offset), Some(50_000)));
        assert!(error.to_string().contains("sda1.zst") && cause.starts_with("frame 3: "), "{error}: {cause}");
        std::fs::write(dir.path().join("sda1.zst"), &packed[..packed.len() - 1]).unwrap();
        assert!(PackedFile::open(dir.path(), &metainfo).is_err());
    }
}
