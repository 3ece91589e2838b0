//! The data of a torrent: a folder of run files, one file, or the device itself; checked piece by piece as it is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ezio_image::extents::{Extent, Slice};
use ezio_image::layout::ReadAt;
use ezio_image::metainfo::run_offset;
use ezio_imagedir::{Content, PieceHasher};

use super::Hashes;

/// Where the bytes are.
pub(super) enum Data {
    /// A file a run.
    Files { folder: PathBuf, runs: Vec<(Extent, PathBuf)>, open: Option<(u64, File)> },
    /// One file or device, from byte 0 of the partition on.
    One {
        path: PathBuf,
        file: File,
        /// Bytes of a file; none for a device.
        length: Option<u64>,
    },
}

impl Data {
    /// Finds all runs; what is missing or of another length is told.
    pub(super) fn find(path: &Path, hashes: &Hashes) -> Result<Self> {
        let metadata =
            fs::metadata(path).with_context(|| format!("cannot find the data, {}", path.display()))?;
        if metadata.is_dir() {
            ensure!(!hashes.whole, "{} is a folder, and the data is one file", path.display());
            let files = run_files(path)?;
            let runs = hashes.map.extents().iter().map(|run| {
                let file = files.get(&run.offset);
                let file = file.with_context(|| {
                    format!("{}: the file of the run at byte {} is missing", path.display(), run.offset)
                })?;
                let length = fs::metadata(file).map(|metadata| metadata.len()).unwrap_or(0);
                let told = run.length;
                ensure!(length == told, "{} has {length} bytes, and should have {told}", file.display());
                Ok((*run, file.clone()))
            });
            return Ok(Self::Files {
                folder: path.to_owned(),
                runs: runs.collect::<Result<_>>()?,
                open: None,
            });
        }
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let (length, needed) = (metadata.is_file().then_some(metadata.len()), hashes.map.target_end());
        if let Some(length) = length.filter(|length| *length < needed) {
            bail!("{} has {length} bytes, and {needed} are needed", path.display());
        }
        Ok(Self::One { path: path.to_owned(), file, length })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Files { folder: path, .. } | Self::One { path, .. } => path,
        }
    }

    /// Can its files be those of an image? Each has to hold one run and nothing else.
    pub(super) fn can_be_shared(&self, hashes: &Hashes) -> bool {
        match self {
            Self::Files { .. } => true,
            Self::One { length, .. } => hashes.whole && *length == Some(hashes.map.total_length()),
        }
    }

    /// Reads from a run that holds all of it.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let (file, path, at) = match self {
            Self::One { file, path, .. } => (&*file, &*path, offset),
            Self::Files { runs, open, .. } => {
                let index = runs.partition_point(|(run, _)| run.offset <= offset).saturating_sub(1);
                let (run, path) = &runs[index];
                if open.as_ref().is_none_or(|(start, _)| *start != run.offset) {
                    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
                    *open = Some((run.offset, file));
                }
                let (_, file) = open.as_ref().context("no run is open")?;
                (file, path, offset - run.offset)
            }
        };
        FileExt::read_exact_at(file, buffer, at)
            .with_context(|| format!("cannot read {} bytes at byte {at} of {}", buffer.len(), path.display()))
    }
}

/// Files named by an offset in hex, by that offset.
fn run_files(folder: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let list = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = BTreeMap::new();
    for entry in list {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name();
        let offset = name.to_str().and_then(run_offset);
        files.extend(offset.map(|offset| (offset, entry.path())));
    }
    Ok(files)
}

/// To look at what lies there: what is in no run is zeros.
impl ReadAt for Data {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let runs = match self {
            Self::One { file, .. } => return FileExt::read_exact_at(file, buffer, offset),
            Self::Files { runs, .. } => runs,
        };
        buffer.fill(0);
        let end = offset.saturating_add(buffer.len() as u64);
        for (run, path) in runs.iter().filter(|(run, _)| run.offset < end && run.offset + run.length > offset)
        {
            let (from, to) = (run.offset.max(offset), end.min(run.offset + run.length));
            // Both lie within the buffer.
            let part = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            FileExt::read_exact_at(&File::open(path)?, part, from - run.offset)?;
        }
        Ok(())
    }
}

/// The data, whose pieces are held against their hashes as they are read.
pub(super) struct Checked<'a> {
    data: &'a mut Data,
    hashes: &'a Hashes,
    hasher: PieceHasher,
    /// Bytes of the content, its padding included, that were hashed.
    hashed: u64,
    /// Pieces that were checked.
    checked: usize,
    link: bool,
}

impl<'a> Checked<'a> {
    pub(super) fn new(data: &'a mut Data, hashes: &'a Hashes, link: bool) -> Self {
        Self { data, hashes, hasher: PieceHasher::new(hashes.piece_length), hashed: 0, checked: 0, link }
    }

    /// The last pieces.
    pub(super) fn finish(mut self) -> Result<()> {
        self.hash_padding()?;
        let mut last = Vec::new();
        self.hasher.finish(|hash| last.push(hash));
        self.check(&last)
    }

    /// Zeros that stand between two runs, for the hashes alone.
    fn hash_padding(&mut self) -> Result<()> {
        let next = |from| self.hashes.content.slices(from, u64::MAX).next();
        while let Some(Slice { offset: None, length }) = next(self.hashed) {
            // Padding ends with its piece.
            self.hash(&vec![0; length.min(u64::from(self.hashes.piece_length)) as usize])?;
        }
        Ok(())
    }

    fn hash(&mut self, bytes: &[u8]) -> Result<()> {
        let mut complete = Vec::new();
        self.hasher.update(bytes, |hash| complete.push(hash));
        self.hashed += bytes.len() as u64;
        self.check(&complete)
    }

    fn check(&mut self, hashes: &[[u8; 20]]) -> Result<()> {
        for hash in hashes {
            if self.hashes.pieces.get(self.checked) != Some(hash) {
                let start = self.checked as u64 * u64::from(self.hashes.piece_length);
                let place = self.hashes.content.slices(start, u64::MAX).find_map(|slice| slice.offset);
                bail!(
                    "{} is damaged: piece {}, which begins at byte {} of the partition, does not fit its hash",
                    self.data.path().display(),
                    self.checked,
                    place.unwrap_or(start)
                );
            }
            self.checked += 1;
        }
        Ok(())
    }
}

impl Content for Checked<'_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.data.read(offset, buffer)?;
        self.hash_padding()?;
        self.hash(buffer)
    }

    fn existing(&self, run: usize) -> Option<&Path> {
        match &*self.data {
            _ if !self.link => None,
            Data::Files { runs, .. } => runs.get(run).map(|(_, path)| path.as_path()),
            Data::One { path, .. } => Some(path),
        }
    }
}
