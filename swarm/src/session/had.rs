//! What of a job is there before anything is fetched.

use crate::scheduler::{Geometry, PieceId, Start, TorrentId};

/// A bitfield for each torrent.
pub(super) struct Had(Vec<Vec<u8>>);

impl Had {
    /// These pieces are there.
    pub(super) fn new(geometry: &Geometry, pieces: impl IntoIterator<Item = u32>) -> Self {
        let pieces_of = |torrent| geometry.pieces_of(TorrentId(torrent));
        let blank = |torrent| vec![0; pieces_of(torrent).map_or(0, |pieces| pieces.len().div_ceil(8))];
        let mut bits: Vec<Vec<u8>> = (0..).take(geometry.torrent_count()).map(blank).collect();
        for piece in pieces {
            let (torrent, index) = geometry.locate(PieceId(piece));
            bits[usize::from(torrent.0)][index as usize / 8] |= 0x80 >> (index % 8);
        }
        Self(bits)
    }

    /// The same for the scheduler; `complete` says of which torrents all is there.
    pub(super) fn start(&self, complete: impl IntoIterator<Item = bool>) -> Vec<Start<'_>> {
        let each = self.0.iter().zip(complete);
        each.map(|(bits, complete)| if complete { Start::All } else { Start::Bitfield(bits) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::{Config, Role, Scheduler, TorrentShape};

    #[test]
    fn the_scheduler_has_these_pieces_and_no_others() {
        let shapes = [9, 3, 8].map(|pieces| TorrentShape { piece_length: 10, total_length: 10 * pieces });
        let geometry = Geometry::new(shapes);
        let had = Had::new(&geometry, [0, 7, 8, 9, 19]);
        let start = had.start([false, true, false]);
        let scheduler = Scheduler::new(Config::new(Role::Member, 1), geometry, &start);
        let there: Vec<u32> = (0..20).filter(|&piece| scheduler.has(PieceId(piece))).collect();
        assert_eq!(there, [0, 7, 8, 9, 10, 11, 19]);
    }
}
