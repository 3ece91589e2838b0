//! Asking: which piece, of whom, and how much ahead.
//!
//! The peer with the shortest queue of ours is chosen first, then the rarest piece that it has. So requests spread over
//! all uploaders, no uploader idles for long, and a piece that one peer alone has is not asked of it by everybody at once.

use std::time::Duration;

use rand::RngExt;

use super::Scheduler;
use super::event::{ConnId, Output, PACK_BLOCKS, Role};
use super::geometry::{BLOCK_SIZE, Blocks, PieceId, TorrentId};
use super::peer::{Conn, Pending};
use super::pieces::{Block, Rarest};
use super::rank::{mix, rank};
use super::site::Crossing;

/// Bytes of a whole pack.
const PACK: u64 = PACK_BLOCKS as u64 * BLOCK_SIZE as u64;

impl Scheduler {
    /// Bytes that should be outstanding.
    pub(super) fn ahead(&self) -> u64 {
        let t = &self.config.tuning;
        let bytes = (self.down.per_s().max(self.link.per_s()) * t.ahead.as_secs_f64()) as u64;
        bytes.clamp(u64::from(t.ahead_min), u64::from(t.ahead_max.max(t.ahead_min)))
    }

    /// Bytes of one run of requests.
    pub(super) fn run(&self) -> u64 {
        let t = &self.config.tuning;
        let bytes = (self.down.per_s() * t.run.as_secs_f64()) as u64;
        let least = stand_for(t.run_min.into(), self.down.per_s(), self.saved.per_s());
        in_packs(bytes.clamp(least, u64::from(t.run_max).max(least)))
    }

    pub(super) fn on_suggested(&mut self, id: ConnId, piece: PieceId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if self.geometry.locate(piece).0 != conn.peer.torrent
            || self.pieces.have.get(piece.0)
            || conn.suggested.len() >= self.config.tuning.suggestions as usize
        {
            return;
        }
        if conn.peer.role != Role::Server {
            self.due.offered.push((id, piece));
            return;
        }
        conn.suggested.push_back(piece);
        conn.steered = self.now;
        self.seek_soon(piece);
        if !self.due.suggesting.contains(&id) {
            self.due.suggesting.push(id);
        }
    }

    /// Asks servers for what they suggested.
    pub(super) fn take_suggestions(&mut self) {
        let mut suggesting = std::mem::take(&mut self.due.suggesting);
        suggesting.retain(|&id| {
            self.take_suggestions_of(id);
            self.conns.get(id).is_some_and(|conn| !conn.suggested.is_empty())
        });
        self.due.suggesting = suggesting;
    }

    /// Asks one for what it suggested, as far as memory allows. What is being looked for on the target waits for the result.
    fn take_suggestions_of(&mut self, id: ConnId) {
        let mut at = 0;
        while let Some(conn) = self.conns.get_mut(id) {
            if conn.closing || conn.choked || conn.peer.role != Role::Server {
                return;
            }
            let Some(&piece) = conn.suggested.get(at) else { return };
            if self.pieces.is_sought(piece) {
                at += 1;
                continue;
            }
            let free = self.pieces.active(piece).map(|a| (a.free, a.sole));
            let wanted = !self.pieces.have.get(piece.0)
                && free.is_none_or(|(free, sole)| free > 0 && sole.is_none_or(|s| s == id));
            if wanted && free.is_none() && !self.has_room(piece) {
                return;
            }
            if let Some(conn) = self.conns.get_mut(id) {
                conn.suggested.remove(at);
            }
            if wanted {
                self.ask(id, piece, u64::MAX);
            }
        }
    }

    pub(super) fn has_room(&self, piece: PieceId) -> bool {
        let size = u64::from(self.geometry.piece_size(piece));
        self.memory() + size <= self.config.memory.max(2 * size)
    }

    /// Bytes asked for, but not of who waits for them as well.
    pub(super) fn pulled(&self) -> u64 {
        self.pending_bytes - self.spread.early_bytes(self)
    }

    /// Asks until enough is outstanding or nobody has more for us.
    pub(super) fn fill(&mut self) {
        if !std::mem::take(&mut self.due.fill) || self.complete || self.config.role == Role::Server {
            return;
        }
        self.spread.ask_before(self);
        let run = self.run();
        while self.pulled() + run <= self.ahead() {
            let Some((id, piece)) = self.choose(run) else { break };
            self.ask(id, piece, run);
        }
    }

    /// Whom to ask next, and for what.
    fn choose(&mut self, run: u64) -> Option<(ConnId, PieceId)> {
        // Who was not asked lately is taken for one like those who send to us.
        let active = self.conns.iter().filter(|(_, c)| c.pending_bytes > 0).count();
        let mean = self.down.per_s() / active.max(1) as f64;
        let jitter = self.config.tuning.jitter.max(1.001);
        let mut order: Vec<(f64, ConnId)> = Vec::with_capacity(self.conns.ids().len());
        for (id, conn) in self.conns.iter() {
            if let Some(wait) = self.wait_at(conn, run, mean) {
                order.push((wait * self.rng.random_range(1.0 / jitter..jitter), id));
            }
        }
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut crossing = None;
        order.into_iter().find_map(|(_, id)| {
            let conn = self.conns.get(id).filter(|conn| self.crosses(conn));
            let crossing = conn.map(|conn| (conn, &*crossing.get_or_insert_with(|| self.crossing())));
            if crossing.is_some_and(|(conn, crossing)| !crossing.may_ask(conn)) {
                return None;
            }
            let crossing = crossing.map(|(_, crossing)| crossing);
            Some((id, self.pick(id, crossing)?))
        })
    }

    /// Seconds until this peer would have sent us a further run; none when it cannot be asked.
    fn wait_at(&self, conn: &Conn, run: u64, mean: f64) -> Option<f64> {
        let steers = conn.peer.role == Role::Server && !self.is_starving(conn);
        if conn.choked
            || conn.closing
            || conn.late
            || conn.useful == 0
            || steers
            || self.may_be_far(conn)
            || !conn.keeps(run + run / 2)
        {
            return None;
        }
        let t = &self.config.tuning;
        let forgotten = conn.pending_bytes == 0 && self.now.saturating_sub(conn.progress) > t.forgotten;
        let rate =
            if conn.down.known() && !forgotten { conn.down.per_s().max(mean * t.slowest_peer) } else { mean }
                .max(t.rate_least);
        let most = (rate * t.peer_queue.as_secs_f64()).max(2.0 * run as f64);
        let after = (conn.pending_bytes + run) as f64;
        (after <= most).then_some(after / rate)
    }

    /// For how long nothing has been under way to us.
    pub(super) fn idle(&self) -> Duration {
        if self.pending_bytes > 0 { Duration::ZERO } else { self.now.saturating_sub(self.last_arrival) }
    }

    /// A server that steers is asked for what it did not suggest only when all else failed: it suggests nothing, or only what
    /// there is no room for before something else is complete. At one of several sites, where pieces may be long on their way, one
    /// after the other asks: what one of them gets it passes on, and if all did the server would have no time for anything new.
    fn is_starving(&self, server: &Conn) -> bool {
        // Three times what it takes to suggest an ignored piece to somebody else.
        let patience = 3 * self.config.tuning.ignored;
        let steered = self.now.saturating_sub(server.steered) <= patience && server.suggested.is_empty();
        self.idle() > patience && !steered && self.idle() > patience * self.turn_at_site()
    }

    /// Which turn this machine has among those at its site: any order will do, the one that they have for the first piece, too.
    fn turn_at_site(&self) -> u32 {
        1 + rank(&self.members_here(), self.config.member, PieceId(0)) as u32
    }

    /// The piece to ask of this peer: one already begun, else the rarest in the window.
    fn pick(&mut self, id: ConnId, crossing: Option<&Crossing>) -> Option<PieceId> {
        let conn = self.conns.get(id)?;
        let suspect = self.members.get(conn.member).suspect;
        let errands = &self.errands;
        let allowed = |p: PieceId| crossing.is_none_or(|c| c.allows(errands, conn, p));
        let begun = self.pieces.started.iter().copied().find(|&p| {
            conn.has.get(p.0)
                && self.pieces.active(p).is_some_and(|a| match a.sole {
                    Some(sole) => sole == id,
                    None => !suspect && !a.failed && allowed(p),
                })
        });
        if begun.is_some() {
            return begun;
        }
        if conn.peer.role == Role::Server {
            let piece = (0..self.geometry.piece_count()).map(PieceId).find(|&p| {
                conn.has.get(p.0) && !self.pieces.have.get(p.0) && self.pieces.active(p).is_none()
            })?;
            return self.has_room(piece).then_some(piece);
        }
        let coming = self.spread.coming(self, conn.peer.torrent);
        let mut rarest = Rarest::new();
        let from = self.pieces.first_open()?;
        let patience = self.patience_for_rare(conn.peer.torrent);
        let (pieces, rng, own) = (&self.pieces, &mut self.rng, self.config.member);
        pieces.open.each_common(&conn.has, from, self.config.tuning.window, |p| {
            let copies = pieces.copies[p as usize];
            if rarest.admits(copies)
                && pieces.active(PieceId(p)).is_none()
                && (crossing.is_some() || f64::from(copies) >= patience * chance(own, p))
                && allowed(PieceId(p))
                && !coming.is_some_and(|c| c.holds(p, copies))
            {
                rarest.show(PieceId(p), copies, rng);
            }
        });
        rarest.piece.filter(|&p| self.has_room(p))
    }

    /// How many copies a piece must have before everybody may ask for it; a machine asks for one with fewer by its chance.
    ///
    /// When one of N has a piece and all others ask it at once, they all wait in its queue, also when others have it long
    /// since. So first a few ask, then, of those, a few more each. Who has nothing else to wait for asks sooner.
    fn patience_for_rare(&self, torrent: TorrentId) -> f64 {
        let t = &self.config.tuning;
        let fan = (t.fan + f64::from(self.pieces.have.count()) * t.fan_growth).min(t.fan_most);
        f64::from(self.conns.of_torrent(torrent))
            / (fan * (1.0 + self.idle().as_secs_f64() / t.fan_haste.as_secs_f64()))
    }

    /// Asks a peer for the first run of free blocks of a piece, of at most about `bytes`.
    pub(super) fn ask(&mut self, id: ConnId, piece: PieceId, bytes: u64) {
        let Some(conn) = self.conns.get(id) else { return };
        let suspect = self.members.get(conn.member).suspect;
        let Some(active) = self.pieces.start(&self.geometry, piece) else { return };
        if active.failed || suspect {
            active.sole.get_or_insert(id);
        }
        let Some(first) = active.blocks.iter().position(|b| *b == Block::Free) else { return };
        let free = active.blocks[first..].iter().take_while(|b| **b == Block::Free).count();
        let most = (bytes / u64::from(BLOCK_SIZE)).clamp(1, u64::from(u32::MAX)) as usize;
        // No crumbs: what would be left of less than half a run goes with it.
        let count = if free < most + most / 2 { free } else { most };
        for block in &mut active.blocks[first..first + count] {
            *block = Block::Asked(id, None);
        }
        active.free -= count as u32;
        if active.free == 0 {
            self.pieces.started.retain(|&p| p != piece);
        }
        self.pieces.refresh(piece);
        self.send_request(id, Blocks { piece, first: first as u32, count: count as u32 });
    }

    /// Notes and sends a request whose blocks are already marked.
    pub(super) fn send_request(&mut self, id: ConnId, blocks: Blocks) {
        let bytes = u64::from(self.geometry.bytes_of(blocks));
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.pending.is_empty() {
            conn.progress = now;
        }
        for block in blocks.first..blocks.first + blocks.count {
            conn.pending.push_back(Pending { piece: blocks.piece, block, at: now });
        }
        conn.pending_bytes += bytes;
        self.pending_bytes += bytes;
        self.out.push(Output::Request(id, blocks));
        self.announce_to(id);
    }
}

/// A number between 0 and 1 for a piece, different on every machine.
fn chance(own: u64, piece: u32) -> f64 {
    mix(own, piece) as f64 / u64::MAX as f64
}

/// Content for which so many bytes on the wire stand, where of `content` bytes so many were `saved` lately; a pack at most.
fn stand_for(wire: u64, content: f64, saved: f64) -> u64 {
    let each = content / (content - saved).max(1.0);
    ((wire as f64 * each.max(1.0)) as u64).min(PACK.max(wire))
}

/// About so many bytes as whole packs, where that comes to one or more. A pack goes out as it lies only to who asks for all of it: of a
/// part, the sender has to make another one.
fn in_packs(bytes: u64) -> u64 {
    if bytes < PACK / 2 { bytes } else { (bytes + PACK / 2) / PACK * PACK }
}

#[cfg(test)]
mod tests {
    use super::{in_packs, stand_for};

    #[test]
    fn runs_are_whole_packs_or_less_than_half_of_one() {
        let kib = |n: u64| n << 10;
        assert_eq!([16, 64, 127].map(|n| in_packs(kib(n))), [16, 64, 127].map(kib));
        assert_eq!([128, 256, 383, 384, 1024].map(|n| in_packs(kib(n))), [256, 256, 256, 512, 1024].map(kib));
    }

    #[test]
    fn a_run_has_as_many_bytes_on_the_wire_however_much_they_stand_for() {
        let least = |content, saved| stand_for(64 << 10, content, saved) >> 10;
        assert_eq!(
            [least(0.0, 0.0), least(5e6, 0.0), least(5e6, 2.5e6), least(5e6, 3e6)],
            [64, 64, 128, 160]
        );
        // Nearly nothing came, for much.
        assert_eq!([least(5e6, 4.9e6), least(5e6, 5e6)], [256, 256]);
    }
}
