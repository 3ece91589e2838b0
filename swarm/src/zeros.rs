//! Pieces of nothing but zeros. Their hash says so: nobody has to send them, and they are offered to others at once.

use std::ops::Range;

use ezio_image::metainfo::Metainfo;
use sha1::{Digest, Sha1};

use ezio_scheduler::{Geometry, PieceId, TorrentId};

/// The zero pieces of a job, as runs of global numbers; no run goes beyond its torrent.
#[derive(Debug, Default)]
pub(crate) struct ZeroPieces(Vec<Range<u32>>);

impl ZeroPieces {
    /// Those of these torrents, which are the job's.
    pub(crate) fn of<'a>(torrents: impl IntoIterator<Item = &'a Metainfo>, geometry: &Geometry) -> Self {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (torrent, metainfo) in (0..).zip(torrents) {
            let Some(pieces) = geometry.pieces_of(TorrentId(torrent)) else { break };
            let Some(last) = pieces.end.checked_sub(1) else { continue };
            let hash_of = |piece: u32| hash_of_zeros(geometry.piece_size(PieceId(piece)));
            let (usual, short) = (hash_of(pieces.start), hash_of(last));
            let first = runs.len();
            for (index, piece) in (0..).zip(pieces) {
                let zeros = if piece == last { &short } else { &usual };
                if metainfo.piece_hash(index) != Some(zeros) {
                    continue;
                }
                match runs[first..].last_mut().filter(|run| run.end == piece) {
                    Some(run) => run.end += 1,
                    None => runs.push(piece..piece + 1),
                }
            }
        }
        Self(runs)
    }

    /// Is it one of them?
    pub(crate) fn holds(&self, piece: PieceId) -> bool {
        let behind = self.0.partition_point(|run| run.end <= piece.0);
        self.0.get(behind).is_some_and(|run| run.contains(&piece.0))
    }

    /// Those of a torrent, as runs, rising.
    pub(crate) fn of_torrent(&self, pieces: &Range<u32>) -> impl Iterator<Item = Range<u32>> + '_ {
        let pieces = pieces.clone();
        self.0.iter().filter(move |run| pieces.contains(&run.start)).cloned()
    }
}

fn hash_of_zeros(length: u32) -> [u8; 20] {
    const STEP: [u8; 4096] = [0; 4096];
    let mut sha1 = Sha1::new();
    let mut left = length as usize;
    while left > 0 {
        let step = left.min(STEP.len());
        sha1.update(&STEP[..step]);
        left -= step;
    }
    sha1.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ezio_scheduler::TorrentShape;

    #[test]
    fn are_known_by_their_hash_whatever_their_length_and_end_with_their_torrent() {
        const PIECE: usize = 16 << 10;
        // The last piece is short; and so is one that is as long as others, but begins with a byte.
        let mut content = vec![0; 4 * PIECE + 100];
        content[PIECE] = 1;
        let hashes = |content: &[u8]| content.chunks(PIECE).flat_map(Sha1::digest).collect::<Vec<u8>>();
        let torrent = |name, content: &[u8]| {
            Metainfo::create(name, PIECE as u32, content.len() as u64, None, &hashes(content)).unwrap()
        };
        let torrents = [torrent("a", &content), torrent("b", &content[..PIECE]), torrent("c", &[7; 5])];
        let geometry = Geometry::new(torrents.iter().map(|metainfo| TorrentShape {
            piece_length: metainfo.piece_length(),
            total_length: metainfo.total_length(),
        }));
        let zeros = ZeroPieces::of(&torrents, &geometry);
        let of = |torrent| {
            let pieces = geometry.pieces_of(TorrentId(torrent)).unwrap();
            zeros.of_torrent(&pieces).collect::<Vec<_>>()
        };
        assert_eq!((of(0), of(1), of(2)), (vec![0..1, 2..5], Vec::from([5..6; 1]), vec![]));
        let held: Vec<bool> = (0..8).map(|piece| zeros.holds(PieceId(piece))).collect();
        assert_eq!(held, [true, false, true, true, true, true, false, false]);
    }
}
