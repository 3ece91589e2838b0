//! SHA-1 of the pieces of a content that comes block by block.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ezio_sha1::Method;

/// Piece lengths that are chosen, in bytes.
const SMALLEST: u32 = 32 << 10;
const LARGEST: u32 = 4 << 20;
/// Pieces that a content should have at most; half as many at least, within the lengths above.
const MOST_PIECES: u64 = 2000;

/// The piece length for a content of `length` bytes: short pieces are passed on sooner, few pieces
/// keep the torrent small.
pub fn piece_length_for(length: u64) -> u32 {
    let mut piece = SMALLEST;
    while piece < LARGEST && length.div_ceil(u64::from(piece)) > MOST_PIECES {
        piece *= 2;
    }
    piece
}

/// Bytes that are gathered before they are hashed, or a piece: a thread is not woken for less.
const BATCH: usize = 8 << 20;
/// The same at most where a piece for each lane is more: a piece of the longest that we make, for each of 16 lanes.
const BATCH_IN_LANES: usize = 16 * LARGEST as usize;
/// Bytes that wait and are hashed, at most, or two batches.
const MEMORY: usize = 4 * BATCH_IN_LANES;

/// Pieces to be hashed, and where that is wanted.
struct Batch {
    bytes: Vec<u8>,
    done: Sender<Hashed>,
}

/// The hashes of a batch, and its memory.
struct Hashed {
    bytes: Vec<u8>,
    hashes: Vec<[u8; 20]>,
}

/// Hashes a content piece by piece, on all cores, in the lanes of the processor where it is quicker that way.
pub struct PieceHasher {
    piece_length: usize,
    method: Method,
    /// Bytes of a batch: whole pieces.
    batch: usize,
    /// The batch that is being gathered.
    gathered: Vec<u8>,
    /// To the threads; these end when it is gone. None where the system has no thread left.
    to_hash: Option<Sender<Batch>>,
    /// In the order of the content.
    under_way: VecDeque<Receiver<Hashed>>,
    most_under_way: usize,
    spare: Vec<Vec<u8>>,
}

impl PieceHasher {
    /// `piece_length` is in bytes, and not 0.
    pub fn new(piece_length: u32) -> Self {
        Self::by(Method::fastest(), piece_length)
    }

    fn by(method: Method, piece_length: u32) -> Self {
        let piece_length = piece_length as usize;
        let in_lanes = method.lanes().min(BATCH_IN_LANES / piece_length);
        let batch = in_lanes.max(BATCH / piece_length).max(1) * piece_length;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let most_under_way = (MEMORY / batch).clamp(2, 2 * cores);
        let (to_hash, batches) = channel();
        let batches = Arc::new(Mutex::new(batches));
        let begun = (0..cores.min(most_under_way)).filter(|_| {
            let batches = Arc::clone(&batches);
            let work = move || hash_batches(&batches, method, piece_length);
            thread::Builder::new().name("hash".to_owned()).spawn(work).is_ok()
        });
        let to_hash = (begun.count() > 0).then_some(to_hash);
        let (gathered, under_way, spare) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { piece_length, method, batch, gathered, to_hash, under_way, most_under_way, spare }
    }

    /// Takes the next bytes of the content; `done` gets the hashes of pieces, in their order, once they are there.
    pub fn update(&mut self, mut bytes: &[u8], mut done: impl FnMut([u8; 20])) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.batch - self.gathered.len()));
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() == self.batch {
                self.hash_gathered(&mut done);
            }
        }
    }

    /// The content is over: `done` gets all hashes that are left, also that of a last, shorter piece.
    pub fn finish(&mut self, mut done: impl FnMut([u8; 20])) {
        if !self.gathered.is_empty() {
            self.hash_gathered(&mut done);
        }
        while !self.under_way.is_empty() {
            self.take_oldest(&mut done);
        }
    }

    fn hash_gathered(&mut self, done: &mut impl FnMut([u8; 20])) {
        if self.under_way.len() == self.most_under_way {
            self.take_oldest(done);
        }
        let bytes = std::mem::replace(&mut self.gathered, self.spare.pop().unwrap_or_default());
        let (sender, hashed) = channel();
        let batch = Batch { bytes, done: sender };
        match &self.to_hash {
            // The threads wait for as long as this can be sent.
            Some(to_hash) => drop(to_hash.send(batch)),
            None => batch.hash(self.method, self.piece_length),
        }
        self.under_way.push_back(hashed);
    }

    fn take_oldest(&mut self, done: &mut impl FnMut([u8; 20])) {
        // A thread that ended early leaves hashes out: whoever counts them finds the content damaged.
        let oldest = self.under_way.pop_front().and_then(|oldest| oldest.recv().ok());
        if let Some(Hashed { mut bytes, hashes }) = oldest {
            hashes.into_iter().for_each(done);
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

/// A thread's work, until nothing can come any more.
fn hash_batches(batches: &Mutex<Receiver<Batch>>, method: Method, piece_length: usize) {
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(batch) = next() {
        batch.hash(method, piece_length);
    }
}

impl Batch {
    fn hash(self, method: Method, piece_length: usize) {
        let pieces: Vec<[&[u8]; 1]> = self.bytes.chunks(piece_length).map(|piece| [piece]).collect();
        let hashes = method.hash(&pieces.iter().map(<[_; 1]>::as_slice).collect::<Vec<_>>());
        // Who does not wait any more needs none.
        let _ = self.done.send(Hashed { bytes: self.bytes, hashes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha1::{Digest, Sha1};

    #[test]
    fn lengths_keep_the_number_of_pieces_in_bounds() {
        assert_eq!(piece_length_for(1), 32 << 10);
        assert_eq!(piece_length_for(48 << 20), 32 << 10);
        assert_eq!(piece_length_for(96 << 20), 64 << 10);
        assert_eq!(piece_length_for(1 << 30), 1 << 20);
        assert_eq!(piece_length_for(8 << 30), 4 << 20);
        assert_eq!(piece_length_for(u64::MAX), 4 << 20);
    }

    proptest! {
        #[test]
        fn hashes_do_not_depend_on_how_the_bytes_come(
            content in prop::collection::vec(any::<u8>(), 0..500), cut in 1usize..40, piece in 1u32..64,
        ) {
            let expected: Vec<u8> =
                content.chunks(piece as usize).flat_map(|p| Sha1::digest(p).to_vec()).collect();
            let mut hasher = PieceHasher::new(piece);
            let mut got = Vec::new();
            for block in content.chunks(cut) {
                hasher.update(block, |hash| got.extend(hash));
            }
            hasher.finish(|hash| got.extend(hash));
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn many_batches_come_in_order_by_every_method() {
        const PIECE: u32 = 1 << 20;
        let content: Vec<u8> =
            (0..40u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
        let expected: Vec<[u8; 20]> =
            content.chunks(PIECE as usize).map(|piece| Sha1::digest(piece).into()).collect();
        for method in [1, 8, 16].into_iter().filter_map(Method::in_lanes) {
            let mut hasher = PieceHasher::by(method, PIECE);
            let mut got = Vec::new();
            for block in content.chunks(3 << 20) {
                hasher.update(block, |hash| got.push(hash));
            }
            hasher.finish(|hash| got.push(hash));
            assert!(got == expected, "{method:?}");
        }
    }
}
