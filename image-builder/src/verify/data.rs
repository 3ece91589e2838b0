//! The data against the hashes of its pieces.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ezio_frames::{FrameFile, Unpacker};
use ezio_image::manifest::{Store, packed_file_name};
use ezio_image::metainfo::Metainfo;
use ezio_imagedir::PieceHasher;

use super::Problems;
use crate::progress::Progress;
use crate::stop::Stop;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Of one partition, so many bad pieces are told one by one.
const MOST_TOLD: usize = 10;

/// Checks the data of one partition, piece by piece.
pub(super) fn check(
    directory: &Path,
    store: Store,
    name: &str,
    metainfo: &Metainfo,
    progress: &mut Progress,
    problems: &mut Problems,
    stop: &Stop,
) -> Result<()> {
    let mut checker = Checker { name, metainfo, piece: 0, bad: 0, bad_frames: 0, frame_size: None };
    let mut hasher = PieceHasher::new(metainfo.piece_length());
    let mut take = |checker: &mut Checker<'_>, bytes: &[u8], problems: &mut Problems| {
        hasher.update(bytes, |hash| checker.piece_is(hash, problems));
        progress.add(bytes.len() as u64);
        problems.print(|line| progress.note(line));
        stop.check()
    };
    match store {
        Store::Files => read_files(directory, &mut checker, problems, &mut take)?,
        Store::Zstd => read_frames(directory, &mut checker, problems, &mut take)?,
    }
    hasher.finish(|hash| checker.piece_is(hash, problems));
    checker.sum_up(problems);
    problems.print(|line| progress.note(line));
    Ok(())
}

/// Takes the next bytes of the content, and tells what they show.
type Take<'a, 'c> = dyn FnMut(&mut Checker<'c>, &[u8], &mut Problems) -> Result<()> + 'a;

fn read_files<'c>(
    directory: &Path,
    checker: &mut Checker<'c>,
    problems: &mut Problems,
    take: &mut Take<'_, 'c>,
) -> Result<()> {
    let (name, metainfo) = (checker.name, checker.metainfo);
    let mut buffer = vec![0; BLOCK];
    for (path, length) in data_files(directory, name, metainfo) {
        let mut file = path.map(|path| Content::open(path, length, problems));
        let mut left = length;
        while left > 0 {
            let now = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match &mut file {
                Some(file) => file.fill(&mut buffer[..now], length - left, problems),
                None => buffer[..now].fill(0),
            }
            take(checker, &buffer[..now], problems)?;
            left -= now as u64;
        }
    }
    check_strangers(directory, name, metainfo, problems);
    Ok(())
}

/// What is missing of the frames reads as zeros.
fn read_frames<'c>(
    directory: &Path,
    checker: &mut Checker<'c>,
    problems: &mut Problems,
    take: &mut Take<'_, 'c>,
) -> Result<()> {
    let (name, metainfo) = (checker.name, checker.metainfo);
    let path = directory.join(packed_file_name(name));
    let file = match FrameFile::open(&path, metainfo.total_length(), metainfo.piece_length()) {
        Ok(file) => file,
        Err(error) => {
            problems.add(error.to_string());
            checker.nothing_is_there();
            return Ok(());
        }
    };
    checker.frame_size = Some(file.frame_size());
    let (mut unpacker, mut packed, mut raw) = (Unpacker::new()?, Vec::new(), Vec::new());
    for index in 0..file.frame_count() {
        raw.clear();
        raw.resize(file.frame(index).map_or(0, |frame| frame.raw_length as usize), 0);
        if let Err(error) = file.read(index, &mut unpacker, &mut packed, &mut raw) {
            raw.fill(0);
            checker.frame_is_bad(error.to_string(), problems);
        }
        take(checker, &raw, problems)?;
    }
    Ok(())
}

/// Files of the data in content order, with their lengths; padding is in none.
fn data_files(directory: &Path, name: &str, metainfo: &Metainfo) -> Vec<(Option<PathBuf>, u64)> {
    let base = directory.join(name);
    // Only the last component names a run; `extents` has refused what is no offset in hex.
    let path = |file: &ezio_image::metainfo::File| match file.path.last() {
        _ if file.padding => None,
        Some(run) if run.bytes().all(|b| b.is_ascii_hexdigit()) => Some(base.join(run)),
        _ => Some(base.clone()),
    };
    metainfo.files().iter().map(|file| (path(file), file.length)).collect()
}

/// Files in the partition's folder that belong to no run.
fn check_strangers(directory: &Path, name: &str, metainfo: &Metainfo, problems: &mut Problems) {
    if metainfo.is_raw() {
        return;
    }
    let known: BTreeSet<&str> =
        metainfo.files().iter().filter_map(|f| f.path.last()).map(String::as_str).collect();
    let Ok(entries) = fs::read_dir(directory.join(name)) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if !known.contains(file.as_str()) {
            problems.add(format!("{name}/{file}: is not in the torrent"));
        }
    }
}

/// One data file. What is missing of it reads as zeros, and is told once.
struct Content {
    path: PathBuf,
    file: Option<File>,
}

impl Content {
    fn open(path: PathBuf, length: u64, problems: &mut Problems) -> Self {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let file = match opened {
            Ok((found, file)) => {
                if found != length {
                    problems.add(format!("{}: has {found} bytes instead of {length}", path.display()));
                }
                Some(file)
            }
            Err(error) => {
                problems.add(format!("{}: cannot be read: {error}", path.display()));
                None
            }
        };
        Self { path, file }
    }

    fn fill(&mut self, buffer: &mut [u8], at: u64, problems: &mut Problems) {
        buffer.fill(0);
        let Some(file) = &mut self.file else { return };
        let wanted = buffer.len() as u64;
        let mut filled = 0;
        while (filled as u64) < wanted {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let at = at + filled as u64;
                    problems.add(format!("{}: cannot be read at byte {at}: {error}", self.path.display()));
                    self.file = None;
                    break;
                }
            }
        }
    }
}

struct Checker<'a> {
    name: &'a str,
    metainfo: &'a Metainfo,
    piece: u32,
    bad: usize,
    bad_frames: usize,
    /// Of data in frames: their length.
    frame_size: Option<u32>,
}

impl Checker<'_> {
    fn piece_is(&mut self, hash: [u8; 20], problems: &mut Problems) {
        let piece = self.piece;
        self.piece += 1;
        if self.metainfo.piece_hash(piece) == Some(&hash) {
            return;
        }
        self.bad += 1;
        if self.bad <= MOST_TOLD {
            let start = u64::from(piece) * u64::from(self.metainfo.piece_length());
            problems.add(format!(
                "{}: piece {piece} of {} is damaged (bytes {start} to {} of {}{})",
                self.name,
                self.metainfo.piece_count(),
                start + u64::from(self.metainfo.piece_size(piece)),
                self.metainfo.total_length(),
                self.place(start)
            ));
        }
    }

    /// Nothing can be read: that is told already.
    fn nothing_is_there(&mut self) {
        self.piece = self.metainfo.piece_count();
    }

    /// A frame cannot be unpacked; its piece will be told as well.
    fn frame_is_bad(&mut self, error: String, problems: &mut Problems) {
        self.bad_frames += 1;
        if self.bad_frames <= MOST_TOLD {
            problems.add(error);
        }
    }

    /// The file or the frame in which a piece begins.
    fn place(&self, start: u64) -> String {
        if let Some(size) = self.frame_size {
            return format!(", from frame {} on", start / u64::from(size));
        }
        let mut begin = 0;
        for file in self.metainfo.files() {
            if start < begin + file.length {
                return match file.path.last() {
                    Some(run) => format!(", from byte {} of {}/{run}", start - begin, self.name),
                    None => String::new(),
                };
            }
            begin += file.length;
        }
        String::new()
    }

    fn sum_up(&self, problems: &mut Problems) {
        if self.bad > MOST_TOLD {
            let (bad, all) = (self.bad, self.metainfo.piece_count());
            problems.add(format!("{}: {bad} of {all} pieces are damaged in all", self.name));
        }
    }
}
