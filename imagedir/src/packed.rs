//! A content as one file of zstd frames. One thread reads, one hashes, each core compresses, and one thread writes what
//! they give in its order, with a few frames between them.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow};
use ezio_frames::{FrameWriter, Packer, frame_size_for};
use ezio_image::extents::ExtentMap;

use crate::content::{Content, Watch, hash_all};
use crate::level::Level;

/// Bytes written at once, where frames are small.
const BUFFER: usize = 1 << 20;
/// Frames that wait, for each core.
const DEPTH: usize = 2;

/// A frame to be compressed.
struct Job {
    raw: Arc<Vec<u8>>,
    level: i32,
    reply: SyncSender<io::Result<Vec<u8>>>,
}

/// A frame whose turn it is to be written, once it is compressed.
struct Pending {
    raw: Arc<Vec<u8>>,
    frame: Receiver<io::Result<Vec<u8>>>,
}

/// The frames that wait for a core.
struct Queue {
    jobs: Mutex<Receiver<Job>>,
    queued: AtomicUsize,
    depth: usize,
}

/// Copies a content to `path`. Gives the hashes of its pieces.
pub(crate) fn copy(
    path: &Path,
    map: &ExtentMap,
    level: Option<i32>,
    piece_length: u32,
    content: &mut dyn Content,
    watch: &mut Watch<'_>,
) -> Result<Vec<u8>> {
    let writing = || format!("cannot write {}", path.display());
    let file = File::create_new(path).with_context(writing)?;
    let mut out = FrameWriter::new(BufWriter::with_capacity(BUFFER, file));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let depth = DEPTH * cores;
    let (to_cores, jobs) = sync_channel(depth);
    let (to_writer, from_reader) = sync_channel::<Result<Pending>>(2 * depth);
    let (to_hasher, for_hasher) = sync_channel(depth);
    let queue = Queue { jobs: Mutex::new(jobs), queued: AtomicUsize::new(0), depth };
    let frame_size = frame_size_for(piece_length);
    let broken = |what: &str| anyhow!("the {what} of {} broke down", path.display());
    let hashes = thread::scope(|scope| -> Result<Vec<u8>> {
        scope.spawn(|| read_all(content, map, frame_size, Level::new(level), &queue, to_cores, to_writer));
        for _ in 0..cores {
            scope.spawn(|| pack_all(&queue));
        }
        let hasher = scope.spawn(|| hash_all(for_hasher, piece_length));
        for pending in from_reader {
            let Pending { raw, frame } = pending?;
            // The hasher ends only when we let go of its channel.
            let _ = to_hasher.send(Arc::clone(&raw));
            let frame = frame.recv().map_err(|_| broken("compressing"))?.with_context(writing)?;
            // A frame is no longer than a piece.
            out.write(&frame, raw.len() as u32).with_context(writing)?;
            watch(raw.len() as u64)?;
        }
        drop(to_hasher);
        hasher.join().map_err(|_| broken("hashing"))
    })?;
    let finished = out.finish().and_then(|buffer| Ok(buffer.into_inner()?));
    finished.with_context(writing)?;
    Ok(hashes)
}

fn read_all(
    content: &mut dyn Content,
    map: &ExtentMap,
    frame_size: u32,
    mut level: Level,
    queue: &Queue,
    to_cores: SyncSender<Job>,
    to_writer: SyncSender<Result<Pending>>,
) {
    let mut at = 0;
    while at < map.total_length() {
        let read = read_frame(content, map, at, frame_size);
        let (reply, frame) = sync_channel(1);
        let raw = match read {
            Ok(raw) => Arc::new(raw),
            Err(error) => {
                // If the writer has given up, its error is the one to tell.
                let _ = to_writer.send(Err(error));
                return;
            }
        };
        at += raw.len() as u64;
        let queued = queue.queued.fetch_add(1, Ordering::Relaxed);
        let level = level.of_next(queued, queue.depth);
        let job = Job { raw: Arc::clone(&raw), level, reply };
        if to_cores.send(job).is_err() || to_writer.send(Ok(Pending { raw, frame })).is_err() {
            return;
        }
    }
}

/// The raw bytes of the frame that begins at `at` of the content, out of one run or of many.
fn read_frame(content: &mut dyn Content, map: &ExtentMap, at: u64, frame_size: u32) -> Result<Vec<u8>> {
    let length = u64::from(frame_size).min(map.total_length() - at);
    // Never more than a frame.
    let mut raw = vec![0; length as usize];
    let mut rest = &mut raw[..];
    for slice in map.slices(at, length) {
        let (now, later) = rest.split_at_mut(slice.length as usize);
        if let Some(offset) = slice.offset {
            content.read(offset, now)?;
        }
        rest = later;
    }
    Ok(raw)
}

/// Compresses whatever comes, until nothing comes any more.
fn pack_all(queue: &Queue) {
    let mut packer: Option<Packer> = None;
    loop {
        let next = queue.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { raw, level, reply }) = next else { return };
        queue.queued.fetch_sub(1, Ordering::Relaxed);
        let mut pack = || match &mut packer {
            Some(packer) => {
                packer.set_level(level)?;
                packer.pack(&raw)
            }
            none => none.insert(Packer::new(level)?).pack(&raw),
        };
        // If the writer has given up, its error is the one to tell.
        let _ = reply.send(pack());
    }
}

#[cfg(test)]
mod tests {
    use ezio_frames::{FrameFile, FrameReader};
    use ezio_image::extents::Extent;
    use sha1::{Digest, Sha1};

    use super::*;

    const PIECE: u32 = 16 << 10;

    /// A partition in memory, which cannot be read behind its end.
    struct Memory(Vec<u8>);

    impl Content for Memory {
        fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
            let at = offset as usize;
            buffer.copy_from_slice(self.0.get(at..at + buffer.len()).context("bad sector")?);
            Ok(())
        }
    }

    /// Runs of odd lengths, some shorter than a frame, some longer.
    fn runs() -> ExtentMap {
        let lengths = [100, 5000, 40_000, 1, 70_001, 3].iter().cycle().take(60);
        let extents = lengths.scan(7u64, |at, &length| {
            let offset = *at;
            *at += length + 13;
            Some(Extent { offset, length })
        });
        ExtentMap::new(extents.collect()).unwrap()
    }

    #[test]
    fn frames_hold_the_runs_one_behind_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let map = runs();
        let partition: Vec<u8> = (0..map.target_end()).map(|at| ((at * at) >> 9) as u8).collect();
        let expected: Vec<u8> = map
            .extents()
            .iter()
            .flat_map(|run| &partition[run.offset as usize..][..run.length as usize])
            .copied()
            .collect();
        for level in [None, Some(1), Some(ezio_frames::MAX_LEVEL)] {
            let path = folder.path().join(format!("{level:?}.zst"));
            let mut done = 0;
            let hashes = copy(&path, &map, level, PIECE, &mut Memory(partition.clone()), &mut |length| {
                done += length;
                Ok(())
            });
            let pieces: Vec<u8> = expected.chunks(PIECE as usize).flat_map(Sha1::digest).collect();
            assert!(hashes.unwrap() == pieces && done == map.total_length());
            let reader = FrameReader::new(FrameFile::open(&path, done, PIECE).unwrap());
            let mut got = vec![0; expected.len()];
            reader.read_at(0, &mut got).unwrap();
            assert!(got == expected);
        }
    }

    #[test]
    fn what_cannot_be_read_and_who_says_stop_end_it() {
        let folder = tempfile::tempdir().unwrap();
        let map = runs();
        let mut short = Memory(vec![0; map.target_end() as usize - 1]);
        let error =
            copy(&folder.path().join("a"), &map, None, PIECE, &mut short, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "bad sector");
        let mut whole = Memory(vec![0; map.target_end() as usize]);
        let mut stop = |_| Err(anyhow!("stopped"));
        let error = copy(&folder.path().join("b"), &map, None, PIECE, &mut whole, &mut stop).unwrap_err();
        assert_eq!(error.to_string(), "stopped");
    }
}
