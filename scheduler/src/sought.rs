//! Pieces that may lie on the target already. While the driver looks for one there, nobody is asked for it.

use super::Scheduler;
use super::geometry::PieceId;

impl Scheduler {
    /// The driver looks for a piece: it counts as being fetched, with nothing that could be asked for.
    pub(super) fn on_sought(&mut self, piece: PieceId) {
        if piece.0 < self.geometry.piece_count() && !self.pieces.have.get(piece.0) {
            self.pieces.seek(piece);
        }
    }

    /// The piece is there. What is under way of it is of no use any more.
    pub(super) fn on_found(&mut self, piece: PieceId) {
        let all_here = |a: &super::pieces::Active| !a.blocks.is_empty() && a.here as usize == a.blocks.len();
        if piece.0 >= self.geometry.piece_count()
            || self.pieces.have.get(piece.0)
            // It is being hashed, and comes from there.
            || self.pieces.active(piece).is_some_and(all_here)
        {
            return;
        }
        match self.pieces.is_sought(piece) {
            true => drop(self.pieces.end(&self.geometry, piece)),
            false => self.restart(piece),
        }
        self.gain(piece);
    }

    /// The piece is not there, and to be fetched.
    pub(super) fn on_absent(&mut self, piece: PieceId) {
        if self.pieces.is_sought(piece) {
            self.pieces.end(&self.geometry, piece);
            self.pieces.refresh(piece);
            self.due.fill = true;
        }
    }
}
