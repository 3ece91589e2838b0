//! SHA-1 of the pieces of a content that comes block by block.

use sha1::{Digest, Sha1};

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

/// Hashes a content piece by piece.
pub struct PieceHasher {
    piece_length: usize,
    in_piece: usize,
    hash: Sha1,
}

impl PieceHasher {
    /// `piece_length` is in bytes, and not 0.
    pub fn new(piece_length: u32) -> Self {
        Self { piece_length: piece_length as usize, in_piece: 0, hash: Sha1::new() }
    }

    /// Takes the next bytes of the content; `done` gets the hash of each piece that they complete.
    pub fn update(&mut self, mut bytes: &[u8], mut done: impl FnMut([u8; 20])) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.piece_length - self.in_piece));
            self.hash.update(now);
            self.in_piece += now.len();
            bytes = later;
            if self.in_piece == self.piece_length {
                self.in_piece = 0;
                done(self.hash.finalize_reset().into());
            }
        }
    }

    /// The content is over: `done` gets the hash of a last, shorter piece.
    pub fn finish(self, mut done: impl FnMut([u8; 20])) {
        if self.in_piece > 0 {
            done(self.hash.finalize().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
}
