//! Whether what a target gives back is what belongs there. It is read past the system's memory, in large steps.

use std::ops::Range;
use std::sync::Arc;
use std::{slice, thread};

use ezio_image::zeros::is_zeros;
use ezio_scheduler::PieceId;
use ezio_sha1::Method;
use rustix::process::setpriority_process;

use super::Pipeline;
use crate::storage::{Storage, StorageError};

/// Bytes of one step, at least: a disk's heads then rest for longer than they travel.
const STEP: u64 = 8 << 20;
/// Bytes that all threads read at once, at most.
const MEMORY: u64 = 32 << 20;

/// As setpriority(2) counts, which on Linux is of one thread: 0 is usual.
const LEAST_PRIORITY: i32 = 19;

/// A target's word on a piece: whether it fits.
pub(crate) type Fits = Result<bool, StorageError>;

impl Pipeline {
    /// Cuts runs of pieces, none of which goes beyond its torrent, into steps.
    pub(crate) fn steps(&self, runs: impl IntoIterator<Item = Range<u32>>) -> Vec<Range<u32>> {
        let mut steps = Vec::new();
        for run in runs {
            let size = u64::from(self.geometry.piece_size(PieceId(run.start))).max(1);
            let pieces = (STEP / size).max(1) as usize;
            let starts = run.clone().step_by(pieces);
            steps.extend(starts.map(|start| start..run.end.min(start.saturating_add(pieces as u32))));
        }
        steps
    }

    /// Looks at the steps that `next` gives, by all cores, until there are none. `tell` hears of each disk and piece.
    pub(crate) fn compare_all(
        &self,
        method: Method,
        next: impl Fn() -> Option<Range<u32>> + Sync,
        tell: impl Fn(Range<u32>, Vec<(&dyn Storage, u32, Fits)>) + Sync,
    ) {
        let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
        let threads = (MEMORY / self.geometry.largest_piece().max(STEP)).clamp(1, cores);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    go_last();
                    let mut buffer = Vec::new();
                    while let Some(pieces) = next() {
                        tell(pieces.clone(), self.compare(method, pieces, &mut buffer));
                    }
                });
            }
        });
    }

    /// Reads pieces of one torrent, one behind the other, from each of its disks.
    fn compare(
        &self,
        method: Method,
        pieces: Range<u32>,
        buffer: &mut Vec<u8>,
    ) -> Vec<(&dyn Storage, u32, Fits)> {
        let mut told = Vec::new();
        let (torrent, _) = self.torrent_of(PieceId(pieces.start));
        for disk in disks(&torrent.storage) {
            match self.read(disk.as_ref(), pieces.clone(), buffer) {
                Ok(()) => {
                    let fit = self.fit(method, pieces.clone(), buffer);
                    told.extend(fit.into_iter().map(|(piece, fits)| (disk.as_ref(), piece, Ok(fits))));
                }
                // Which of them it is.
                Err(_) if pieces.len() > 1 => {
                    for piece in pieces.clone() {
                        let read = self.read(disk.as_ref(), piece..piece + 1, buffer);
                        let fits = read
                            .map(|()| self.fit(method, piece..piece + 1, buffer).contains(&(piece, true)));
                        told.push((disk.as_ref(), piece, fits));
                    }
                }
                Err(error) => told.push((disk.as_ref(), pieces.start, Err(error))),
            }
        }
        told
    }

    fn read(&self, disk: &dyn Storage, pieces: Range<u32>, into: &mut Vec<u8>) -> Result<(), StorageError> {
        let (torrent, offset) = self.offset_of(PieceId(pieces.start));
        let length = self.length_of(pieces);
        into.resize(length as usize, 0);
        disk.forget(offset, length);
        let read = disk.read_at(offset, into);
        disk.forget(offset, length);
        read.map_err(|e| torrent.named(e))
    }

    /// Bytes of these pieces.
    pub(crate) fn length_of(&self, pieces: Range<u32>) -> u64 {
        pieces.map(|piece| u64::from(self.geometry.piece_size(PieceId(piece)))).sum()
    }

    /// The error of a piece of which this disk gives back something else.
    pub(crate) fn differs(&self, disk: &dyn Storage, piece: PieceId) -> StorageError {
        let (torrent, offset) = self.offset_of(piece);
        torrent.named(disk.differs(offset))
    }

    /// Which of these pieces, whose bytes these are, have the right hash.
    fn fit(&self, method: Method, pieces: Range<u32>, bytes: &[u8]) -> Vec<(u32, bool)> {
        let piece_length = self.torrent_of(PieceId(pieces.start)).0.metainfo.piece_length();
        let each = pieces.zip(bytes.chunks(piece_length as usize));
        // A disk that was never written, or was discarded, need not be hashed.
        let (blank, others): (Vec<_>, Vec<_>) = each.partition(|(_, bytes)| is_zeros(bytes));
        let messages: Vec<[&[u8]; 1]> = others.iter().map(|(_, bytes)| [*bytes]).collect();
        let digests = method.hash(&messages.iter().map(<[_; 1]>::as_slice).collect::<Vec<_>>());
        let hashed = others.iter().zip(digests).map(|((piece, _), digest)| {
            let (torrent, index) = self.torrent_of(PieceId(*piece));
            (*piece, torrent.metainfo.piece_hash(index) == Some(&digest))
        });
        let blank = blank.into_iter().map(|(piece, _)| (piece, self.zeros.holds(PieceId(piece))));
        blank.chain(hashed).collect()
    }
}

/// What others wait for goes first; this thread has the time that is left.
fn go_last() {
    if let Err(error) = setpriority_process(None, LEAST_PRIORITY) {
        tracing::debug!("keeping a thread's usual priority: {error}");
    }
}

/// All disks that hold a content.
fn disks(storage: &Arc<dyn Storage>) -> &[Arc<dyn Storage>] {
    match storage.alike() {
        [] => slice::from_ref(storage),
        disks => disks,
    }
}
