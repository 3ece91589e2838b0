//! Who runs out of requests says so: it offers a piece (SUGGEST PIECE of BEP 6) to a member that misses it. That one asks for
//! it at once, also when it waits for the piece in a longer queue: then the request moves.
//!
//! Whoever asks knows its own requests in others' queues, and not how long these queues are. Without offers some uploaders
//! would idle while others have a second of work, and all would have to ask far ahead to keep every link busy.

use rand::RngExt;

use super::Scheduler;
use super::event::{ConnId, Output, Role};
use super::geometry::{BLOCK_SIZE, Blocks, PieceId};
use super::pieces::{Block, Rarest};

impl Scheduler {
    /// Offers something while few requests wait.
    pub(super) fn offer(&mut self) {
        if !std::mem::take(&mut self.due.offer)
            || self.config.role != Role::Member
            || self.spread.is_under_way(self)
            || self.now.saturating_sub(self.last_offer) < self.config.tuning.offer
            || !self.runs_out(self.link.per_s() * self.config.tuning.few.as_secs_f64())
        {
            return;
        }
        let count = self.conns.ids().len();
        let tries = count.min(self.config.tuning.offer_tries as usize);
        let mut some: Vec<ConnId> =
            (0..tries).map(|_| self.conns.ids()[self.rng.random_range(0..count)]).collect();
        // Who is furthest behind first.
        some.sort_by_key(|id| self.conns.get(*id).map(|conn| conn.has.count()));
        for id in some {
            let Some(piece) = self.lacked_by(id) else { continue };
            self.last_offer = self.now;
            if let Some(conn) = self.conns.get_mut(id) {
                conn.offered = self.now;
            }
            self.out.push(Output::Suggest(id, piece));
            return;
        }
    }

    /// The rarest piece that is here and not there, of one to whom something can be offered.
    fn lacked_by(&mut self, id: ConnId) -> Option<PieceId> {
        let conn = self.conns.get(id)?;
        if conn.peer.role != Role::Member
            || conn.closing
            || conn.owed() > 0
            || self.now.saturating_sub(conn.offered) < self.config.tuning.offer_again
            || self.crosses(conn)
        {
            return None;
        }
        let range = self.geometry.pieces_of(conn.peer.torrent)?;
        let mut rarest = Rarest::new();
        let (pieces, rng) = (&self.pieces, &mut self.rng);
        pieces.have.each_missing(&conn.has, range.start, self.config.tuning.window, |piece| {
            let copies = pieces.copies[piece as usize];
            if rarest.admits(copies) && range.contains(&piece) {
                rarest.show(PieceId(piece), copies, rng);
            }
        });
        rarest.piece
    }

    /// Asks members for what they have offered.
    pub(super) fn take_offers(&mut self) {
        let mut offered = std::mem::take(&mut self.due.offered);
        offered.drain(..).for_each(|(id, piece)| self.take_offer(id, piece));
        self.due.offered = offered;
    }

    /// A member has time for us, and had this piece to offer when it wrote.
    fn take_offer(&mut self, id: ConnId, piece: PieceId) {
        let Some(conn) = self.conns.get(id) else { return };
        if !conn.has.get(piece.0) || self.pieces.have.get(piece.0) {
            return;
        }
        let suspect = self.members.get(conn.member).suspect;
        let able = !conn.choked
            && !conn.closing
            && !conn.late
            && !suspect
            && conn.pending_bytes == 0
            && !self.may_be_far(conn);
        if self.crosses(conn) {
            return self.take_errand(id, piece, able);
        }
        if !able {
            return;
        }
        let free = match self.pieces.active(piece) {
            None => !self.comes(piece) && self.is_near(id, piece) && self.has_room(piece),
            Some(active) => active.free > 0 && active.sole.is_none() && !active.failed,
        };
        if free {
            self.ask(id, piece, self.run());
        } else if let Some((other, blocks)) = self.waiting_elsewhere(id, piece) {
            self.move_requests(other, blocks, id);
        }
    }

    /// Whether a piece that was not asked for yet comes without that.
    fn comes(&self, piece: PieceId) -> bool {
        let coming = self.spread.coming(self, self.geometry.locate(piece).0);
        coming.is_some_and(|c| c.holds(piece.0, self.pieces.copies[piece.index()]))
    }

    /// Whether a missing piece that this peer has is in the window, so that what is written stays in order.
    fn is_near(&mut self, id: ConnId, piece: PieceId) -> bool {
        let Some(from) = self.pieces.first_open() else { return false };
        let Some(conn) = self.conns.get(id) else { return false };
        let mut near = false;
        self.pieces.open.each_common(&conn.has, from, self.config.tuning.window, |p| near |= p == piece.0);
        near
    }

    /// The last run of a piece that waits in the queue of another peer, if it waits long.
    fn waiting_elsewhere(&self, id: ConnId, piece: PieceId) -> Option<(ConnId, Blocks)> {
        let active = self.pieces.active(piece).filter(|a| a.sole.is_none() && !a.failed)?;
        let (last, other) =
            active.blocks.iter().enumerate().rev().find_map(|(block, state)| match state {
                Block::Asked(other, None) if *other != id => Some((block, *other)),
                _ => None,
            })?;
        let most = (self.run() / u64::from(BLOCK_SIZE)).max(1) as usize;
        let asked = active.blocks[..=last].iter().rev().take(most);
        let count = asked.take_while(|b| **b == Block::Asked(other, None)).count();
        let blocks = Blocks { piece, first: (last + 1 - count) as u32, count: count as u32 };
        self.waits_long(other, blocks).then_some((other, blocks))
    }

    /// Whether there is so much before these requests that their peer has not begun with them, or it sends nothing.
    fn waits_long(&self, id: ConnId, blocks: Blocks) -> bool {
        let Some(conn) = self.conns.get(id) else { return false };
        let before =
            conn.pending.iter().take_while(|p| p.piece != blocks.piece || p.block != blocks.first).count();
        let wait = before as f64 * f64::from(BLOCK_SIZE) / conn.down.per_s().max(1.0);
        let long = 2 * self.config.tuning.few;
        wait > long.as_secs_f64() || self.now.saturating_sub(conn.progress) > long
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::poll::tell;
    use super::super::{Config, Geometry, Input, Peer, SiteId, Start, TorrentId, TorrentShape};
    use super::*;

    const PIECE: u32 = 4 * BLOCK_SIZE;

    fn member(start: Start<'_>, pieces: u64) -> Scheduler {
        let shape = TorrentShape { piece_length: PIECE, total_length: pieces * u64::from(PIECE) };
        let config = Config { site: Some(SiteId(0)), ..Config::new(Role::Member, 1) };
        Scheduler::new(config, Geometry::new([shape]), &[start])
    }

    /// A member joins that has what `bitfield` says.
    fn join(scheduler: &mut Scheduler, number: u64, bitfield: u8, out: &mut Vec<Output>) -> ConnId {
        let id = ConnId(number as u32);
        let peer = Peer {
            torrent: TorrentId(0),
            member: number,
            role: Role::Member,
            site: Some(SiteId(0)),
            fast: true,
            queue: super::super::REQUEST_QUEUE,
        };
        for input in [Input::Connected(id, peer), Input::Bitfield(id, &[bitfield]), Input::Unchoked(id)] {
            tell(scheduler, Duration::from_millis(1), input, out);
        }
        id
    }

    fn offers(out: &[Output]) -> Vec<(ConnId, PieceId)> {
        out.iter()
            .filter_map(|o| if let Output::Suggest(id, p) = o { Some((*id, *p)) } else { None })
            .collect()
    }

    #[test]
    fn who_has_nothing_to_send_offers_what_is_rarest_to_who_misses_it() {
        let (mut scheduler, mut out) = (member(Start::Bitfield(&[0b1100_0000]), 4), Vec::new());
        let first = join(&mut scheduler, 1, 0b0000_0000, &mut out);
        join(&mut scheduler, 2, 0b1111_0000, &mut out);
        join(&mut scheduler, 3, 0b1011_0000, &mut out);
        let third = ConnId(3);
        out.clear();
        for tick in 1..10u64 {
            scheduler.poll(Duration::from_millis(100 * tick), &mut out);
        }
        let offers = offers(&out);
        assert!(offers.contains(&(first, PieceId(1))), "{offers:?}");
        assert!(offers.contains(&(third, PieceId(1))), "{offers:?}");
        assert!(offers.iter().all(|(_, piece)| *piece == PieceId(1)), "{offers:?}");
    }

    #[test]
    fn who_is_asked_for_enough_offers_nothing() {
        let (mut scheduler, mut out) = (member(Start::All, 2), Vec::new());
        let id = join(&mut scheduler, 1, 0, &mut out);
        let all = Blocks { piece: PieceId(0), first: 0, count: 4 };
        tell(&mut scheduler, Duration::from_millis(1), Input::Requested(id, all), &mut out);
        out.clear();
        scheduler.poll(Duration::from_millis(100), &mut out);
        assert_eq!(offers(&out), []);
    }

    #[test]
    fn what_waits_elsewhere_moves_to_who_offers_it() {
        let (mut scheduler, mut out) = (member(Start::None, 1), Vec::new());
        let slow = join(&mut scheduler, 1, 0b1000_0000, &mut out);
        let asked = Blocks { piece: PieceId(0), first: 0, count: 4 };
        assert!(out.contains(&Output::Request(slow, asked)), "{out:?}");
        let idle = join(&mut scheduler, 2, 0b1000_0000, &mut out);
        out.clear();
        tell(&mut scheduler, Duration::from_millis(100), Input::Suggested(idle, PieceId(0)), &mut out);
        assert_eq!(out, [], "it has not waited for long");
        tell(&mut scheduler, Duration::from_millis(300), Input::Suggested(idle, PieceId(0)), &mut out);
        assert!(out.contains(&Output::Cancel(slow, asked)), "{out:?}");
        assert!(out.contains(&Output::Request(idle, asked)), "{out:?}");
    }

    #[test]
    fn an_offer_of_what_is_here_or_is_no_piece_is_nothing() {
        let (mut scheduler, mut out) = (member(Start::Bitfield(&[0b1000_0000]), 2), Vec::new());
        let id = join(&mut scheduler, 1, 0b1000_0000, &mut out);
        out.clear();
        for piece in [0, 1, 2, u32::MAX] {
            tell(&mut scheduler, Duration::from_millis(2), Input::Suggested(id, PieceId(piece)), &mut out);
        }
        assert_eq!(out, []);
    }
}
