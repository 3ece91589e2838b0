use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ezio_image::extents::ExtentMap;
use ezio_scheduler::TorrentShape;

use super::*;
use crate::storage::DeviceStorage;
use crate::threads::Threads;

const PIECE: u32 = 64 << 10;
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
enum Told {
    Verified(u32),
    Failed(u32),
    Stored(Vec<u32>),
    Finished,
    Broken(String),
}

struct Teller(Mutex<Sender<Told>>);

impl Teller {
    fn tell(&self, told: Told) {
        self.0.lock().unwrap().send(told).unwrap();
    }
}

impl PipelineEvents for Teller {
    fn verified(&self, piece: PieceId) {
        self.tell(Told::Verified(piece.0));
    }
    fn failed(&self, piece: PieceId) {
        self.tell(Told::Failed(piece.0));
    }
    fn stored(&self, pieces: &[PieceId]) {
        self.tell(Told::Stored(pieces.iter().map(|p| p.0).collect()));
    }
    fn broken(&self, error: StorageError) {
        self.tell(Told::Broken(error.to_string()));
    }
    fn finished(&self) {
        self.tell(Told::Finished);
    }
}

/// A pipeline of one torrent whose piece `i` is full of the byte `i`.
fn pipeline(
    pieces: u8,
    gather: u64,
    cache: u64,
    storage: Arc<dyn Storage>,
) -> (Arc<Pipeline>, Receiver<Told>) {
    pipeline_of(PIECE, pieces, gather, cache, storage)
}

/// The same, with pieces of another length.
fn pipeline_of(
    piece_length: u32,
    pieces: u8,
    gather: u64,
    cache: u64,
    storage: Arc<dyn Storage>,
) -> (Arc<Pipeline>, Receiver<Told>) {
    use sha1::{Digest, Sha1};
    let hashes: Vec<u8> = (0..pieces).flat_map(|i| Sha1::digest(vec![i; piece_length as usize])).collect();
    let total = u64::from(pieces) * u64::from(piece_length);
    let metainfo = Metainfo::create("disk", piece_length, total, None, &hashes).unwrap();
    let geometry = Geometry::new([TorrentShape { piece_length, total_length: total }]);
    let pool = BlockPool::new(64 << 20);
    let (sender, receiver) = channel();
    let events = Arc::new(Teller(Mutex::new(sender)));
    let torrents = vec![(Arc::new(metainfo), storage)];
    let zeros = ZeroPieces::default();
    let bytes = Bounds { kept: cache, packed: 1 << 20, gathered: gather };
    let pipeline = Arc::new(Pipeline::new(torrents, geometry, zeros, pool, bytes, events));
    pipeline.run(Method::in_lanes(8).unwrap_or(Method::ONE_BY_ONE), &Threads::new()).unwrap();
    (pipeline, receiver)
}

fn file(pieces: u8) -> Arc<dyn Storage> {
    let extents = ExtentMap::contiguous(u64::from(pieces) * u64::from(PIECE)).unwrap();
    Arc::new(DeviceStorage::new(Arc::new(tempfile::tempfile().unwrap()), "disk", 0, extents))
}

fn blocks(pipeline: &Pipeline, byte: u8) -> Vec<Box<Block>> {
    let mut blocks = Vec::new();
    pipeline.pool.take(pipeline.geometry.piece_size(PieceId(0)) as usize / BLOCK, &mut blocks);
    blocks.iter_mut().for_each(|b| b.0.fill(byte));
    blocks
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(LIMIT).unwrap()
}

/// Everything told until `Finished`, verdicts and runs apart.
fn until_finished(told: &Receiver<Told>) -> (Vec<u32>, Vec<Vec<u32>>) {
    let (mut verified, mut stored) = (Vec::new(), Vec::new());
    loop {
        match next(told) {
            Told::Verified(piece) => verified.push(piece),
            Told::Stored(run) => stored.push(run),
            Told::Finished => return (verified, stored),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn pieces_gather_and_go_out_as_sorted_runs() {
    let storage = file(8);
    let (pipeline, told) = pipeline(8, 8 * u64::from(PIECE), 1 << 20, Arc::clone(&storage));
    for piece in [6u8, 1, 4, 0, 7, 5, 2, 3] {
        pipeline.check(PieceId(u32::from(piece)), blocks(&pipeline, piece), Vec::new());
    }
    pipeline.finish();
    let (mut verified, stored) = until_finished(&told);
    verified.sort_unstable();
    assert_eq!(verified, (0..8).collect::<Vec<_>>());
    assert_eq!(stored.concat().len(), 8);
    assert!(stored.iter().all(|run| run.is_sorted()));
    let stats = storage.write_stats();
    assert_eq!(stats.bytes, 8 * u64::from(PIECE));
    pipeline.close();
}

#[test]
fn pieces_too_large_to_be_hashed_at_once_are_hashed_by_threads() {
    let (pipeline, told) = pipeline_of(2 * DONE_AT_ONCE, 4, u64::MAX, 1 << 20, file(8));
    pipeline.check(PieceId(2), blocks(&pipeline, 2), Vec::new());
    assert_eq!(next(&told), Told::Verified(2));
    pipeline.check(PieceId(1), blocks(&pipeline, 2), Vec::new());
    assert_eq!(next(&told), Told::Failed(1));
    pipeline.finish();
    assert_eq!(until_finished(&told), (vec![], vec![vec![2]]));
    pipeline.close();
}

#[test]
fn of_pieces_that_are_hashed_together_the_wrong_one_fails() {
    let (pipeline, told) = pipeline_of(2 * DONE_AT_ONCE, 20, u64::MAX, 1 << 20, file(40));
    let jobs = (0..20).map(|piece| HashJob {
        piece: PieceId(u32::from(piece)),
        blocks: blocks(&pipeline, if piece == 13 { 14 } else { piece }),
        packs: Vec::new(),
    });
    (0..20).for_each(|_| pipeline.to_write.expect());
    hasher::check(&pipeline, Method::in_lanes(8).unwrap_or(Method::ONE_BY_ONE), jobs.collect());
    let mut verdicts = Vec::new();
    while verdicts.len() < 20 {
        // The writer tells of what it has written meanwhile.
        verdicts.extend(Some(next(&told)).filter(|told| !matches!(told, Told::Stored(_))));
    }
    for (piece, verdict) in (0..20).zip(verdicts) {
        assert_eq!(verdict, if piece == 13 { Told::Failed(piece) } else { Told::Verified(piece) });
    }
    pipeline.close();
}

#[test]
fn a_piece_waits_for_its_neighbours_but_not_for_ever() {
    let storage = file(4);
    let (pipeline, told) = pipeline(4, u64::MAX, 1 << 20, Arc::clone(&storage));
    for piece in [2u8, 1] {
        pipeline.check(PieceId(u32::from(piece)), blocks(&pipeline, piece), Vec::new());
    }
    let mut told: Vec<Told> = (0..3).map(|_| next(&told)).collect();
    assert_eq!(told.pop(), Some(Told::Stored(vec![1, 2])));
    assert_eq!(storage.write_stats().runs, 1);
    pipeline.close();
}

/// Says when a write comes, and waits until it may go on.
struct Gate {
    entered: Mutex<Sender<u64>>,
    open: Mutex<Receiver<()>>,
}

impl Storage for Gate {
    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), StorageError> {
        panic!("nothing is read")
    }
    fn write_at(&self, offset: u64, _: &[u8]) -> Result<(), StorageError> {
        let last = offset % u64::from(PIECE) == u64::from(PIECE) - BLOCK as u64;
        if last {
            self.entered.lock().unwrap().send(offset / u64::from(PIECE)).unwrap();
            self.open.lock().unwrap().recv_timeout(LIMIT).unwrap();
        }
        Ok(())
    }
    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[test]
fn at_the_end_nothing_waits_for_neighbours() {
    let ((entered, writes), (open, gate)) = (channel(), channel());
    let storage = Arc::new(Gate { entered: Mutex::new(entered), open: Mutex::new(gate) });
    let (pipeline, told) = pipeline(8, 0, 1 << 20, storage);
    pipeline.check(PieceId(6), blocks(&pipeline, 6), Vec::new());
    assert_eq!(next(&told), Told::Verified(6));
    assert_eq!(writes.recv_timeout(LIMIT), Ok(6));
    // The sweep stands at piece 6: what comes now lies behind it.
    for piece in [2, 4] {
        pipeline.check(PieceId(piece), blocks(&pipeline, piece as u8), Vec::new());
        assert_eq!(next(&told), Told::Verified(piece));
    }
    pipeline.finish();
    let begin = Instant::now();
    (0..3).for_each(|_| open.send(()).unwrap());
    assert_eq!(until_finished(&told).1, [[6], [2], [4]]);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    pipeline.close();
}

fn raw(content: Option<Content>) -> Arc<Chunk> {
    let Some(Content::Raw(chunk)) = content else { panic!("no chunk") };
    chunk
}

#[test]
fn what_waits_to_be_written_is_never_read_from_the_target() {
    let (pipeline, told) = pipeline(4, u64::MAX, 0, file(4));
    pipeline.check(PieceId(3), blocks(&pipeline, 3), Vec::new());
    assert_eq!(next(&told), Told::Verified(3));
    let run = Blocks { piece: PieceId(3), first: 1, count: 2 };
    let chunk = raw(pipeline.content(run, None, || panic!("it is in memory")));
    assert!(chunk.iter().all(|b| b.iter().all(|&b| b == 3)));
    // Written, and the cache keeps nothing: now it is read.
    while next(&told) != Told::Stored(vec![3]) {}
    let (sender, receiver) = channel();
    let loaded = move || -> Loaded { Box::new(move |content| sender.send(content).unwrap()) };
    assert!(pipeline.content(run, None, loaded).is_none());
    let chunk = raw(receiver.recv_timeout(LIMIT).unwrap());
    assert!(chunk.iter().all(|b| b.iter().all(|&b| b == 3)));
    assert_eq!(chunk.len(), PIECE);
    pipeline.close();
}

/// What a connection gets for the beginning of a piece of which sending as it is takes long.
fn packed(pipeline: &Pipeline, piece: u32) -> Arc<Pack> {
    let run = Blocks { piece: PieceId(piece), first: 0, count: 4 };
    let (sender, receiver) = channel();
    let loaded = || -> Loaded { Box::new(move |content| sender.send(content).unwrap()) };
    let content = pipeline.content(run, Some(Duration::MAX), loaded);
    let Some(Content::Packed(pack)) = content.or_else(|| receiver.recv_timeout(LIMIT).unwrap()) else {
        panic!("not packed")
    };
    assert_eq!((pack.run(), pack.raw()), (run, PIECE as usize));
    pack
}

#[test]
fn pieces_are_packed_once_and_those_that_came_packed_not_at_all() {
    let (pipeline, told) = pipeline(4, 0, 0, file(4));
    pipeline.check(PieceId(2), blocks(&pipeline, 2), Vec::new());
    assert_eq!(next(&told), Told::Verified(2));
    let pack = packed(&pipeline, 2);
    assert!(Arc::ptr_eq(&pack, &packed(&pipeline, 2)));
    let (sender, receiver) = channel();
    let done = move |_, blocks: Vec<Box<Block>>| sender.send(blocks).unwrap();
    pipeline.unpack(pipeline.pack(pack.run(), pack.bytes().to_vec()), Box::new(done));
    let unpacked = receiver.recv_timeout(LIMIT).unwrap();
    assert!(unpacked.len() == 4 && unpacked.iter().all(|b| b.0.iter().all(|&byte| byte == 2)));
    // What does not have the right hash is not passed on.
    let run = Blocks { piece: PieceId(3), first: 0, count: 4 };
    let came = Arc::new(pipeline.pack(run, vec![7; 100]));
    pipeline.check(PieceId(3), blocks(&pipeline, 1), vec![Arc::clone(&came)]);
    while next(&told) != Told::Failed(3) {}
    pipeline.check(PieceId(3), blocks(&pipeline, 3), Vec::new());
    while next(&told) != Told::Verified(3) {}
    assert!(!Arc::ptr_eq(&packed(&pipeline, 3), &came));
    let run = Blocks { piece: PieceId(1), first: 0, count: 4 };
    let came = Arc::new(pipeline.pack(run, vec![7; 100]));
    pipeline.check(PieceId(1), blocks(&pipeline, 1), vec![Arc::clone(&came)]);
    while next(&told) != Told::Verified(1) {}
    assert!(Arc::ptr_eq(&packed(&pipeline, 1), &came));
    pipeline.close();
}

/// A storage in which every second piece lies as a frame.
struct Frames;

impl Storage for Frames {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        buf.fill((offset / u64::from(PIECE)) as u8);
        Ok(())
    }
    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), StorageError> {
        panic!("nothing is written")
    }
    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }
    fn has_frames(&self) -> bool {
        true
    }
    fn read_frame(&self, offset: u64, length: u32) -> Result<Option<Vec<u8>>, StorageError> {
        assert_eq!(length, PIECE);
        let piece = offset / u64::from(PIECE);
        Ok(piece.is_multiple_of(2).then(|| vec![piece as u8; 50]))
    }
}

#[test]
fn frames_go_out_as_they_lie_in_the_storage() {
    let (pipeline, _told) = pipeline(4, 0, 0, Arc::new(Frames));
    assert_eq!(packed(&pipeline, 2).bytes(), [2; 50]);
    // Others get it as it is, and everyone what is no frame.
    for (piece, slow) in [(2, None), (1, Some(Duration::MAX))] {
        let run = Blocks { piece: PieceId(piece), first: 0, count: 4 };
        let (sender, receiver) = channel();
        let loaded = || -> Loaded { Box::new(move |content| sender.send(content).unwrap()) };
        let chunk =
            raw(pipeline.content(run, slow, loaded).or_else(|| receiver.recv_timeout(LIMIT).unwrap()));
        assert!(chunk.iter().all(|b| b.iter().all(|&byte| u32::from(byte) == piece)));
    }
    pipeline.close();
}

#[test]
fn a_wrong_hash_is_told_and_nothing_is_written() {
    let storage = file(2);
    let (pipeline, told) = pipeline(2, 0, 1 << 20, Arc::clone(&storage));
    pipeline.check(PieceId(0), blocks(&pipeline, 9), Vec::new());
    assert_eq!(next(&told), Told::Failed(0));
    pipeline.finish();
    assert_eq!(next(&told), Told::Finished);
    assert_eq!(storage.write_stats().bytes, 0);
    pipeline.close();
}

#[test]
fn a_full_target_names_the_piece() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let extents = ExtentMap::contiguous(2 * u64::from(PIECE)).unwrap();
    let storage = Arc::new(DeviceStorage::new(Arc::new(full), "/dev/full", 0, extents));
    let (pipeline, told) = pipeline(2, 0, 1 << 20, storage);
    pipeline.check(PieceId(1), blocks(&pipeline, 1), Vec::new());
    assert_eq!(next(&told), Told::Verified(1));
    let want = "cannot write /dev/full at byte 65536 (piece 1 of disk)";
    assert_eq!(next(&told), Told::Broken(want.to_owned()));
    pipeline.close();
}
