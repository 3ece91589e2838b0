use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ezio_image::extents::ExtentMap;

use super::*;
use crate::scheduler::TorrentShape;
use crate::storage::DeviceStorage;

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

impl StoreEvents for Teller {
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

/// A store of one torrent whose piece `i` is full of the byte `i`.
fn store(pieces: u8, gather: u64, cache: u64, storage: Arc<dyn Storage>) -> (Arc<Store>, Receiver<Told>) {
    store_of(PIECE, pieces, gather, cache, storage)
}

/// The same, with pieces of another length.
fn store_of(
    piece_length: u32,
    pieces: u8,
    gather: u64,
    cache: u64,
    storage: Arc<dyn Storage>,
) -> (Arc<Store>, Receiver<Told>) {
    use sha1::{Digest, Sha1};
    let hashes: Vec<u8> = (0..pieces).flat_map(|i| Sha1::digest(vec![i; piece_length as usize])).collect();
    let total = u64::from(pieces) * u64::from(piece_length);
    let metainfo = Metainfo::create("disk", piece_length, total, None, &hashes).unwrap();
    let geometry = Geometry::new([TorrentShape { piece_length, total_length: total }]);
    let pool = BlockPool::new(64 << 20);
    let (sender, receiver) = channel();
    let events = Arc::new(Teller(Mutex::new(sender)));
    let torrents = vec![(Arc::new(metainfo), storage)];
    let store = Arc::new(Store::new(torrents, geometry, ZeroPieces::default(), pool, cache, gather, events));
    store.run(Method::in_lanes(8).unwrap_or(Method::ONE_BY_ONE)).unwrap();
    (store, receiver)
}

fn file(pieces: u8) -> Arc<dyn Storage> {
    let extents = ExtentMap::contiguous(u64::from(pieces) * u64::from(PIECE)).unwrap();
    Arc::new(DeviceStorage::new(Arc::new(tempfile::tempfile().unwrap()), "disk", 0, extents))
}

fn blocks(store: &Store, byte: u8) -> Vec<Box<Block>> {
    let mut blocks = Vec::new();
    store.pool.take(store.geometry.piece_size(PieceId(0)) as usize / BLOCK, &mut blocks);
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
    let (store, told) = store(8, 8 * u64::from(PIECE), 1 << 20, Arc::clone(&storage));
    for piece in [6u8, 1, 4, 0, 7, 5, 2, 3] {
        store.check(PieceId(u32::from(piece)), blocks(&store, piece));
    }
    store.finish();
    let (mut verified, stored) = until_finished(&told);
    verified.sort_unstable();
    assert_eq!(verified, (0..8).collect::<Vec<_>>());
    assert_eq!(stored.concat().len(), 8);
    assert!(stored.iter().all(|run| run.is_sorted()));
    let stats = storage.write_stats();
    assert_eq!(stats.bytes, 8 * u64::from(PIECE));
    store.close();
}

#[test]
fn pieces_too_large_to_be_hashed_at_once_are_hashed_by_threads() {
    let (store, told) = store_of(2 * HASHED_AT_ONCE, 4, u64::MAX, 1 << 20, file(8));
    store.check(PieceId(2), blocks(&store, 2));
    assert_eq!(next(&told), Told::Verified(2));
    store.check(PieceId(1), blocks(&store, 2));
    assert_eq!(next(&told), Told::Failed(1));
    store.finish();
    assert_eq!(until_finished(&told), (vec![], vec![vec![2]]));
    store.close();
}

#[test]
fn of_pieces_that_are_hashed_together_the_wrong_one_fails() {
    let (store, told) = store_of(2 * HASHED_AT_ONCE, 20, u64::MAX, 1 << 20, file(40));
    let jobs = (0..20).map(|piece| HashJob {
        piece: PieceId(u32::from(piece)),
        blocks: blocks(&store, if piece == 13 { 14 } else { piece }),
    });
    (0..20).for_each(|_| store.to_write.expect());
    hasher::check(&store, Method::in_lanes(8).unwrap_or(Method::ONE_BY_ONE), jobs.collect());
    let mut verdicts = Vec::new();
    while verdicts.len() < 20 {
        // The writer tells of what it has written meanwhile.
        verdicts.extend(Some(next(&told)).filter(|told| !matches!(told, Told::Stored(_))));
    }
    for (piece, verdict) in (0..20).zip(verdicts) {
        assert_eq!(verdict, if piece == 13 { Told::Failed(piece) } else { Told::Verified(piece) });
    }
    store.close();
}

#[test]
fn a_piece_waits_for_its_neighbours_but_not_for_ever() {
    let storage = file(4);
    let (store, told) = store(4, u64::MAX, 1 << 20, Arc::clone(&storage));
    for piece in [2u8, 1] {
        store.check(PieceId(u32::from(piece)), blocks(&store, piece));
    }
    let mut told: Vec<Told> = (0..3).map(|_| next(&told)).collect();
    assert_eq!(told.pop(), Some(Told::Stored(vec![1, 2])));
    assert_eq!(storage.write_stats().runs, 1);
    store.close();
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
    let (store, told) = store(8, 0, 1 << 20, storage);
    store.check(PieceId(6), blocks(&store, 6));
    assert_eq!(next(&told), Told::Verified(6));
    assert_eq!(writes.recv_timeout(LIMIT), Ok(6));
    // The sweep stands at piece 6: what comes now lies behind it.
    for piece in [2, 4] {
        store.check(PieceId(piece), blocks(&store, piece as u8));
        assert_eq!(next(&told), Told::Verified(piece));
    }
    store.finish();
    let begin = Instant::now();
    (0..3).for_each(|_| open.send(()).unwrap());
    assert_eq!(until_finished(&told).1, [[6], [2], [4]]);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    store.close();
}

#[test]
fn what_waits_to_be_written_is_never_read_from_the_target() {
    let (store, told) = store(4, u64::MAX, 0, file(4));
    store.check(PieceId(3), blocks(&store, 3));
    assert_eq!(next(&told), Told::Verified(3));
    let id = ChunkId { piece: 3, index: 0 };
    let chunk = store.chunk(id, || panic!("it is in memory")).unwrap();
    assert!(chunk.iter().all(|b| b.iter().all(|&b| b == 3)));
    // Written, and the cache keeps nothing: now it is read.
    while next(&told) != Told::Stored(vec![3]) {}
    let (sender, receiver) = channel();
    let loaded = move || -> Loaded { Box::new(move |_, chunk| sender.send(chunk).unwrap()) };
    assert!(store.chunk(id, loaded).is_none());
    let chunk = receiver.recv_timeout(LIMIT).unwrap().unwrap();
    assert!(chunk.iter().all(|b| b.iter().all(|&b| b == 3)));
    assert_eq!(chunk.len(), PIECE);
    store.close();
}

#[test]
fn a_wrong_hash_is_told_and_nothing_is_written() {
    let storage = file(2);
    let (store, told) = store(2, 0, 1 << 20, Arc::clone(&storage));
    store.check(PieceId(0), blocks(&store, 9));
    assert_eq!(next(&told), Told::Failed(0));
    store.finish();
    assert_eq!(next(&told), Told::Finished);
    assert_eq!(storage.write_stats().bytes, 0);
    store.close();
}

#[test]
fn a_full_target_names_the_piece() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let extents = ExtentMap::contiguous(2 * u64::from(PIECE)).unwrap();
    let storage = Arc::new(DeviceStorage::new(Arc::new(full), "/dev/full", 0, extents));
    let (store, told) = store(2, 0, 1 << 20, storage);
    store.check(PieceId(1), blocks(&store, 1));
    assert_eq!(next(&told), Told::Verified(1));
    let want = "cannot write /dev/full at byte 65536 (piece 1 of disk)";
    assert_eq!(next(&told), Told::Broken(want.to_owned()));
    store.close();
}
