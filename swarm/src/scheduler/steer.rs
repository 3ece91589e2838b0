//! The server's part: each piece leaves it once, to the member that can best pass it on, before any piece leaves twice.
//!
//! It suggests (BEP 6) a piece to one member a little before it can send it; members ask a server only for what it
//! suggested. A member's load is what it was given and nobody else has announced yet: who is slow or dead keeps its load
//! and gets no more.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::RngExt;

use super::Scheduler;
use super::bits::Bits;
use super::event::{ConnId, Output, Role};
use super::geometry::PieceId;

/// What one member was given.
#[derive(Debug, Default)]
struct Load {
    /// Bytes suggested and not sent yet.
    ahead: u64,
    /// Pieces given that nobody else has announced.
    fresh: u32,
    /// Pieces suggested, with the time.
    given: VecDeque<(PieceId, Duration)>,
}

/// The server's state.
#[derive(Debug)]
pub(super) struct Steering {
    /// Pieces that have not been given to anybody.
    left: Bits,
    holder: Vec<Option<ConnId>>,
    loads: HashMap<ConnId, Load>,
    /// Bytes suggested and not sent yet, over all loads.
    under_way: u64,
}

impl Steering {
    pub(super) fn new(count: u32) -> Self {
        let mut left = Bits::new(count);
        (0..count).for_each(|p| {
            left.set(p);
        });
        Self { left, holder: vec![None; count as usize], loads: HashMap::new(), under_way: 0 }
    }

    pub(super) fn closed(&mut self, id: ConnId) {
        if let Some(load) = self.loads.remove(&id) {
            self.under_way -= load.ahead;
        }
        for (piece, holder) in self.holder.iter_mut().enumerate() {
            if *holder == Some(id) {
                *holder = None;
                self.left.set(piece as u32);
            }
        }
    }

    pub(super) fn sent(&mut self, id: ConnId, bytes: u32) {
        if let Some(load) = self.loads.get_mut(&id) {
            let sent = u64::from(bytes).min(load.ahead);
            load.ahead -= sent;
            self.under_way -= sent;
        }
    }

    /// A member announced a piece.
    pub(super) fn announced(&mut self, id: ConnId, piece: PieceId) {
        let Some(holder) = self.holder.get_mut(piece.index()) else { return };
        if holder.is_some_and(|h| h != id)
            && let Some(holder) = holder.take()
            && let Some(load) = self.loads.get_mut(&holder)
        {
            load.fresh = load.fresh.saturating_sub(1);
        }
    }
}

impl Scheduler {
    /// Suggests pieces while less than enough is under way.
    pub(super) fn steer(&mut self, out: &mut Vec<Output>) {
        if self.config.role != Role::Server {
            return;
        }
        let t = &self.config.tuning;
        let enough = ((self.up.per_s() * t.steer.as_secs_f64()) as u64)
            .clamp(u64::from(t.steer_min), u64::from(t.steer_max.max(t.steer_min)));
        loop {
            if self.steering.under_way >= enough {
                return;
            }
            let Some((id, piece)) = self.next_gift() else { return };
            self.steering.left.clear(piece.0);
            self.steering.holder[piece.index()] = Some(id);
            let size = u64::from(self.geometry.piece_size(piece));
            self.steering.under_way += size;
            let load = self.steering.loads.entry(id).or_default();
            load.ahead += size;
            load.fresh += 1;
            load.given.push_back((piece, self.now));
            out.push(Output::Suggest(id, piece));
        }
    }

    fn next_gift(&mut self) -> Option<(ConnId, PieceId)> {
        let first = PieceId(self.steering.left.first_from(0)?);
        let torrent = self.geometry.locate(first).0;
        let mut best: Option<((u32, u64, u32), ConnId)> = None;
        for (id, conn) in self.conns.iter() {
            if conn.closing
                || conn.peer.role != Role::Member
                || conn.peer.torrent != torrent
                || conn.has.get(first.0)
            {
                continue;
            }
            let load = self.steering.loads.get(&id);
            let key = (load.map_or(0, |l| l.fresh), load.map_or(0, |l| l.ahead), self.rng.random());
            if best.as_ref().is_none_or(|(b, _)| key < *b) {
                best = Some((key, id));
            }
        }
        best.map(|(_, id)| (id, first))
    }
}
