//! The server's part: each piece leaves it once, to the member that can best pass it on, before any piece leaves twice.
//!
//! It suggests (BEP 6) a piece to one member a little before it can send it; members ask a server only for what it
//! suggested. A member's load is what it was given and nobody else has announced yet: who is slow or dead keeps its load
//! and gets no more. What was suggested and is not asked for soon is suggested to somebody else. When all is out, the
//! server suggests what is rarest to who misses it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::RngExt;

use super::Scheduler;
use super::bits::Bits;
use super::event::{ConnId, Output, Role};
use super::geometry::{PieceId, TorrentId};
use super::peer::Conn;
use super::routes::beginnings;
use super::tuning::Tuning;

/// What one member was given.
#[derive(Debug, Default)]
struct Load {
    /// Bytes suggested and not asked for yet.
    ahead: u64,
    /// Pieces given that nobody else has announced.
    fresh: u32,
    /// Suggestions not taken up yet, oldest first.
    open: VecDeque<(PieceId, Duration)>,
    /// Pieces asked for and not announced yet, and when they were asked for last.
    coming: HashMap<PieceId, Duration>,
}

/// Who is to get a piece that has not left the server.
enum Taker {
    Member(ConnId),
    /// No member of its torrent is there.
    Nobody,
    /// A member has it from elsewhere.
    OutAlready,
}

/// The server's state.
#[derive(Debug)]
pub(super) struct Steering {
    /// Pieces that have not been given to anybody.
    left: Bits,
    /// Who was given a piece that nobody else has announced yet.
    holder: Vec<Option<ConnId>>,
    loads: HashMap<ConnId, Load>,
    /// Bytes suggested and not asked for yet, over all loads.
    ahead: u64,
}

impl Steering {
    pub(super) fn new(count: u32) -> Self {
        let mut left = Bits::new(count);
        (0..count).for_each(|p| {
            left.set(p);
        });
        Self { left, holder: vec![None; count as usize], loads: HashMap::new(), ahead: 0 }
    }

    /// Whether a piece was not given to anybody.
    pub(super) fn is_left(&self, piece: PieceId) -> bool {
        self.left.get(piece.0)
    }

    /// A member asked for a piece unasked.
    pub(super) fn took(&mut self, id: ConnId, piece: PieceId) {
        if self.left.clear(piece.0) {
            self.holder[piece.index()] = Some(id);
            self.loads.entry(id).or_default().fresh += 1;
        }
    }

    fn give(&mut self, id: ConnId, piece: PieceId, size: u64, now: Duration) {
        self.took(id, piece);
        let load = self.loads.entry(id).or_default();
        load.ahead += size;
        load.open.push_back((piece, now));
        self.ahead += size;
    }

    fn settle(&mut self, id: ConnId, bytes: u64) {
        if let Some(load) = self.loads.get_mut(&id) {
            let bytes = bytes.min(load.ahead);
            load.ahead -= bytes;
            self.ahead -= bytes;
        }
    }

    /// A connection is gone, and with it what only its peer was given, or had: pieces that nobody has any more, `lost` with it.
    pub(super) fn closed(&mut self, id: ConnId, lost: impl Iterator<Item = u32>) {
        for piece in lost.filter(|piece| self.holder[*piece as usize].is_none()) {
            self.left.set(piece);
        }
        let Some(load) = self.loads.remove(&id) else { return };
        self.ahead -= load.ahead;
        for (piece, holder) in self.holder.iter_mut().enumerate() {
            if *holder == Some(id) {
                *holder = None;
                self.left.set(piece as u32);
            }
        }
    }

    /// A member asks for something of a piece of `size` bytes: if that was suggested, the suggestion was taken up.
    pub(super) fn requested(&mut self, id: ConnId, piece: PieceId, size: u64, now: Duration) {
        self.loads.entry(id).or_default().coming.insert(piece, now);
        self.close(id, piece, size);
    }

    /// A suggestion of a piece of `size` bytes, if there was one, is taken up, or of no use any more.
    fn close(&mut self, id: ConnId, piece: PieceId, size: u64) {
        let Some(load) = self.loads.get_mut(&id) else { return };
        let before = load.open.len();
        load.open.retain(|(p, _)| *p != piece);
        let closed = before - load.open.len();
        self.settle(id, closed as u64 * size);
    }

    /// A member does not want a piece any more that it asked for.
    pub(super) fn cancelled(&mut self, id: ConnId, piece: PieceId) {
        if let Some(load) = self.loads.get_mut(&id) {
            load.coming.remove(&piece);
        }
    }

    /// A member announced a piece of `size` bytes, which it got, or has found on its target.
    pub(super) fn announced(&mut self, id: ConnId, piece: PieceId, size: u64) {
        if let Some(load) = self.loads.get_mut(&id) {
            load.coming.remove(&piece);
        }
        self.close(id, piece, size);
        let Some(holder) = self.holder.get_mut(piece.index()) else { return };
        let Some(holder) = holder.take_if(|holder| *holder != id) else { return };
        if let Some(load) = self.loads.get_mut(&holder) {
            load.fresh = load.fresh.saturating_sub(1);
        }
        self.close(holder, piece, size);
    }

    /// Suggestions that were ignored; what nobody else has is left to give again.
    fn expire(&mut self, now: Duration, t: &Tuning) -> Vec<(ConnId, PieceId)> {
        let mut ignored = Vec::new();
        for (&id, load) in &mut self.loads {
            while load.open.front().is_some_and(|(_, at)| now.saturating_sub(*at) > t.ignored) {
                ignored.extend(load.open.pop_front().map(|(piece, _)| (id, piece)));
            }
            load.coming.retain(|_, at| now.saturating_sub(*at) <= t.lost);
        }
        for (id, piece) in &ignored {
            if self.holder[piece.index()] == Some(*id) {
                self.holder[piece.index()] = None;
                self.left.set(piece.0);
                if let Some(load) = self.loads.get_mut(id) {
                    load.fresh = load.fresh.saturating_sub(1);
                }
            }
        }
        ignored
    }
}

impl Scheduler {
    /// Takes back what was ignored.
    pub(super) fn expire_suggestions(&mut self) {
        for (id, piece) in self.steering.expire(self.now, &self.config.tuning) {
            self.steering.settle(id, u64::from(self.geometry.piece_size(piece)));
        }
    }

    /// Suggests pieces while less than enough is under way.
    pub(super) fn steer(&mut self) {
        if !std::mem::take(&mut self.due.steer) || self.config.role != Role::Server {
            return;
        }
        let t = &self.config.tuning;
        // A receiver shares its link with others: with one piece under way at a time the server's link would not be full. Of
        // large ones not many more, for what a slow receiver was given holds up all others.
        let next = self.steering.left.first_from(0).map(|p| u64::from(self.geometry.piece_size(PieceId(p))));
        let piece = next.unwrap_or_else(|| self.geometry.largest_piece());
        let sent_in = |time: Duration| (self.up.per_s() * time.as_secs_f64()) as u64;
        let of_pieces = |count: f64| (count * piece as f64) as u64;
        let (few, most) = (of_pieces(t.steer_pieces), of_pieces(t.steer_pieces_most));
        let pieces = sent_in(2 * t.steer).clamp(few, most.max(few));
        let enough = sent_in(t.steer)
            .max(pieces)
            .clamp(u64::from(t.steer_min), u64::from(t.steer_max.max(t.steer_min)));
        let takes = |conn: &&Conn| {
            let asked = conn.queue.front().map_or(Duration::ZERO, |queued| queued.at);
            self.now.saturating_sub(conn.taken.max(asked)) < t.asleep
        };
        let queued: u64 = self.conns.iter().map(|(_, conn)| conn).filter(takes).map(Conn::owed).sum();
        while queued + self.steering.ahead < enough {
            let Some((id, piece)) = self.next_gift() else { return };
            let size = u64::from(self.geometry.piece_size(piece));
            self.steering.give(id, piece, size, self.now);
            self.out.push(Output::Suggest(id, piece));
        }
    }

    fn next_gift(&mut self) -> Option<(ConnId, PieceId)> {
        // Nobody may be there for one torrent, while another's pieces are waited for.
        for torrent in 0..self.geometry.torrent_count() {
            let Some(range) = self.geometry.pieces_of(TorrentId(torrent as u16)) else { break };
            while let Some(piece) = self.steering.left.first_from(range.start).filter(|p| range.contains(p)) {
                if self.spread.is_asked_unsuggested(self, PieceId(piece)) {
                    return None;
                }
                match self.first_gift(PieceId(piece)) {
                    Taker::Member(id) => return Some((id, PieceId(piece))),
                    Taker::Nobody => break,
                    Taker::OutAlready => {
                        self.steering.left.clear(piece);
                    }
                }
            }
        }
        self.second_gift()
    }

    /// Whether pieces begin at a member: where sites are known, at those of some sites alone.
    fn beginners(&self) -> impl Fn(&Conn) -> bool + use<> {
        let sites = beginnings(self.config.site, &self.populated(), self.config.tuning.ring);
        move |conn| sites.is_empty() || conn.peer.site.is_some_and(|site| sites.contains(&site))
    }

    /// Who gets a piece that has not left the server: the member with the least load.
    fn first_gift(&mut self, piece: PieceId) -> Taker {
        let torrent = self.geometry.locate(piece).0;
        let begins = self.beginners();
        let mut best: Option<((u32, u64, u32), ConnId)> = None;
        for (id, conn) in self.conns.iter() {
            if conn.closing || conn.peer.role != Role::Member || conn.peer.torrent != torrent {
                continue;
            }
            if conn.has.get(piece.0) {
                return Taker::OutAlready;
            }
            let load = self.steering.loads.get(&id);
            let ahead = load.map_or(0, |l| l.ahead) + conn.owed();
            // What is given elsewhere crosses, and may have to cross back.
            let far = if begins(conn) { 0 } else { self.config.tuning.spill };
            let key = (load.map_or(0, |l| l.fresh) + far, ahead, self.rng.random());
            if best.as_ref().is_none_or(|(b, _)| key < *b) {
                best = Some((key, id));
            }
        }
        best.map_or(Taker::Nobody, |(_, id)| Taker::Member(id))
    }

    /// All is out: the member that misses most gets what is rarest of it.
    fn second_gift(&mut self) -> Option<(ConnId, PieceId)> {
        let begins = self.beginners();
        let behind = self.conns.iter().filter(|(_, c)| {
            !c.closing
                && c.peer.role == Role::Member
                && begins(c)
                && self.geometry.pieces_of(c.peer.torrent).is_some_and(|r| c.has.count() < r.len() as u32)
        });
        let ahead = |id: &ConnId| self.steering.loads.get(id).map_or(0, |l| l.ahead);
        let (id, conn) = behind.min_by_key(|(id, c)| (ahead(id) + c.owed(), c.has.count()))?;
        let load = self.steering.loads.get(&id);
        // A piece may have arrived long before that is announced, when there is nothing else to say. Who was suggested it once
        // more would not take it up, and had to wait until that has expired.
        let is_given = |load: &Load, p: &PieceId| {
            load.coming.contains_key(p) || load.open.iter().any(|(open, _)| open == p)
        };
        let missing = self.geometry.pieces_of(conn.peer.torrent)?.map(PieceId);
        let missing = missing.filter(|p| !conn.has.get(p.0) && !load.is_some_and(|load| is_given(load, p)));
        let piece = missing.min_by_key(|p| self.pieces.copies[p.index()])?;
        Some((id, piece))
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::{BLOCK_SIZE, Blocks};
    use super::super::poll::tell;
    use super::super::{Config, Geometry, Input, Peer, REQUEST_QUEUE, Start, TorrentShape};
    use super::*;

    const PIECES: u32 = 40;

    fn server() -> Scheduler {
        let total_length = u64::from(PIECES) * u64::from(BLOCK_SIZE);
        let shape = TorrentShape { piece_length: BLOCK_SIZE, total_length };
        Scheduler::new(Config::new(Role::Server, 1), Geometry::new([shape]), &[Start::All])
    }

    /// A member joins, and has nothing.
    fn join(server: &mut Scheduler, id: ConnId, now: Duration, out: &mut Vec<Output>) {
        let (torrent, queue) = (TorrentId(0), REQUEST_QUEUE);
        let peer = Peer { torrent, member: id.0.into(), role: Role::Member, site: None, fast: true, queue };
        for input in [Input::Connected(id, peer), Input::HaveNone(id), Input::Interested(id)] {
            tell(server, now, input, out);
        }
    }

    /// These join, take what is suggested at once, and say nothing more; what was suggested, in that order.
    fn take_all(server: &mut Scheduler, ids: &[ConnId], start: Duration) -> Vec<PieceId> {
        let (mut suggested, mut out) = (Vec::new(), Vec::new());
        ids.iter().for_each(|id| join(server, *id, start, &mut out));
        for step in 0u64..2000 {
            let now = start + Duration::from_micros(50 * step);
            let Some(at) = out.iter().position(|o| matches!(o, Output::Suggest(..) | Output::Serve(..)))
            else {
                break;
            };
            match out.remove(at) {
                Output::Suggest(id, piece) => {
                    suggested.push(piece);
                    tell(server, now, Input::Requested(id, Blocks { piece, first: 0, count: 1 }), &mut out);
                }
                Output::Serve(id, _) => tell(server, now, Input::Sent(id, BLOCK_SIZE), &mut out),
                _ => {}
            }
        }
        suggested
    }

    /// How often each piece was suggested.
    fn how_often(suggested: &[PieceId]) -> Vec<u32> {
        let mut counts = vec![0; PIECES as usize];
        suggested.iter().for_each(|piece| counts[piece.index()] += 1);
        counts
    }

    #[test]
    fn who_comes_when_all_have_gone_is_given_each_piece_once_and_at_once() {
        let (mut server, mut out) = (server(), Vec::new());
        let (first, second) = (ConnId(1), ConnId(2));
        let once = [1; PIECES as usize];
        assert_eq!(how_often(&take_all(&mut server, &[first], Duration::ZERO)), once);
        // Another has them from the first, so that none is left to be given for the first time; then both leave.
        let now = Duration::from_secs(1);
        join(&mut server, second, now, &mut out);
        let all: Vec<PieceId> = (0..PIECES).map(PieceId).collect();
        for input in [Input::Have(second, &all), Input::Closed(first), Input::Closed(second)] {
            tell(&mut server, now, input, &mut out);
        }
        assert_eq!(how_often(&take_all(&mut server, &[ConnId(3)], Duration::from_secs(9))), once);
    }

    /// All machines lose their power: what they had and lost is new again, and goes to one before it goes to two.
    #[test]
    fn what_nobody_has_any_more_leaves_once_again() {
        let (mut server, mut out) = (server(), Vec::new());
        let all: Vec<PieceId> = (0..PIECES).map(PieceId).collect();
        let ids = [1, 2].map(ConnId);
        ids.iter().for_each(|id| join(&mut server, *id, Duration::ZERO, &mut out));
        let have = ids.map(|id| Input::Have(id, &all));
        for input in have.into_iter().chain(ids.map(Input::Closed)) {
            tell(&mut server, Duration::ZERO, input, &mut out);
        }
        let suggested = take_all(&mut server, &[3, 4].map(ConnId), Duration::from_secs(1));
        assert_eq!(how_often(&suggested[..PIECES as usize]), [1; PIECES as usize]);
    }
}
