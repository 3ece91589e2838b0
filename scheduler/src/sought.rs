//! Pieces that may lie on the target already. While the driver looks for one there, nobody is asked for it.

use super::Scheduler;
use super::geometry::PieceId;

impl Scheduler {
    /// A server has suggested a piece that is sought: the room may wait for it.
    pub(super) fn seek_soon(&mut self, piece: PieceId) {
        if self.pieces.is_sought(piece) && !self.sought_soon.contains(&piece) {
            self.sought_soon.push_back(piece);
        }
    }

    /// Whether nobody is asked for a piece yet, since it may lie on the target.
    pub fn is_sought(&self, piece: PieceId) -> bool {
        self.pieces.is_sought(piece)
    }

    /// What is to be looked for before all others.
    pub fn next_sought(&mut self) -> Option<PieceId> {
        let Self { sought_soon, pieces, .. } = self;
        std::iter::from_fn(|| sought_soon.pop_front()).find(|piece| pieces.is_sought(*piece))
    }

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
        self.announce_found();
    }

    /// The piece is not there, and to be fetched.
    pub(super) fn on_absent(&mut self, piece: PieceId) {
        if self.pieces.is_sought(piece) {
            self.pieces.end(&self.geometry, piece);
            self.pieces.refresh(piece);
            self.due.fill = true;
            // Others have it by now: the server suggested it for the time in which nobody had.
            if self.pieces.copies[piece.index()] > 0 {
                for id in &self.due.suggesting {
                    if let Some(conn) = self.conns.get_mut(*id) {
                        conn.suggested.retain(|p| *p != piece);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::poll::tell;
    use super::super::{
        BLOCK_SIZE, Blocks, Config, ConnId, Geometry, Input, Output, Peer, REQUEST_QUEUE, Role, Start,
        TorrentId, TorrentShape,
    };
    use super::*;

    const SERVER: ConnId = ConnId(0);
    const OTHER: ConnId = ConnId(1);
    const PIECE: PieceId = PieceId(3);

    /// What a member asks the server for that has suggested a piece it looks for; it is not there, and another has it by then, or not.
    fn asked(another_has_it: bool) -> Vec<Output> {
        let shape = TorrentShape { piece_length: BLOCK_SIZE, total_length: 8 * u64::from(BLOCK_SIZE) };
        let mut member = Scheduler::new(Config::new(Role::Member, 1), Geometry::new([shape]), &[Start::None]);
        let mut out = Vec::new();
        (0..8).for_each(|piece| member.handle(Duration::ZERO, Input::Sought(PieceId(piece))));
        for (id, role) in [(SERVER, Role::Server), (OTHER, Role::Member)] {
            let (torrent, queue) = (TorrentId(0), REQUEST_QUEUE);
            let peer = Peer { torrent, member: id.0.into(), role, site: None, fast: true, queue };
            for input in [Input::Connected(id, peer), Input::Unchoked(id)] {
                tell(&mut member, Duration::ZERO, input, &mut out);
            }
        }
        for input in [Input::HaveAll(SERVER), Input::Suggested(SERVER, PIECE)] {
            tell(&mut member, Duration::ZERO, input, &mut out);
        }
        assert_eq!([member.next_sought(), member.next_sought()], [Some(PIECE), None]);
        if another_has_it {
            tell(&mut member, Duration::ZERO, Input::Have(OTHER, &[PIECE]), &mut out);
        }
        tell(&mut member, Duration::ZERO, Input::Absent(PIECE), &mut out);
        out.retain(|output| matches!(output, Output::Request(SERVER, _)));
        out
    }

    #[test]
    fn what_the_server_suggests_is_looked_for_first_and_asked_of_it_if_nobody_else_has_it() {
        assert_eq!(asked(false), [Output::Request(SERVER, Blocks { piece: PIECE, first: 0, count: 1 })]);
        assert_eq!(asked(true), []);
    }
}
