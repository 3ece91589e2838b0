//! Sending: whose requests go out next.
//!
//! Nobody of ours is choked; instead few connections are served at a time, each a whole run of blocks back to back. Many
//! thin streams into one link lose packets; few thick ones fill it. A connection that does not take what it is given (its
//! receiver is busy) lends its slot to another.

use std::collections::VecDeque;
use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, PACK_BLOCKS, REQUEST_QUEUE, Reason, Role, SENT_AT_ONCE};
use super::geometry::{Blocks, PieceId};
use super::peer::{Conn, Queued};

/// Who is being served.
#[derive(Debug, Default)]
pub(super) struct Serving {
    slots: Vec<ConnId>,
    /// When another than a child was last served while children took what there was.
    other: Duration,
}

impl Serving {
    pub(super) fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Scheduler {
    pub(super) fn on_requested(&mut self, id: ConnId, blocks: Blocks) {
        let exists = self.valid(blocks);
        let here = exists && self.pieces.have.get(blocks.piece.0);
        let awaits = exists && !here && self.spread.takes_early_requests(self, blocks.piece);
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let room = u64::from(conn.kept()) + u64::from(blocks.count) <= REQUEST_QUEUE.into();
        if awaits && room && conn.peer.role == Role::Member && !conn.closing {
            conn.awaited.push_back(Queued { blocks, at: now });
            return;
        }
        if !here || !room || conn.closing {
            if conn.peer.fast {
                self.due.refused.push((id, blocks));
            } else if !conn.closing {
                conn.closing = true;
                self.out.push(Output::Disconnect(id, Reason::Protocol));
            }
            return;
        }
        match conn.queue.back_mut() {
            Some(Queued { blocks: last, .. })
                if last.piece == blocks.piece && last.first + last.count == blocks.first =>
            {
                last.count += blocks.count;
            }
            _ => conn.queue.push_back(Queued { blocks, at: now }),
        }
        conn.queue_blocks += blocks.count;
        if self.config.role == Role::Server && conn.peer.role == Role::Member {
            let size = u64::from(self.geometry.piece_size(blocks.piece));
            self.steering.requested(id, blocks.piece, size, self.now);
            self.steering.took(id, blocks.piece);
            self.spread.leaves(self, blocks.piece);
        }
        self.due.pump = true;
    }

    /// A piece is here: it goes to those who wait for it.
    pub(super) fn serve_awaited(&mut self, piece: PieceId) {
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let Some(conn) = self.conns.get_mut(id) else { continue };
            if conn.awaited.is_empty() {
                continue;
            }
            let (now, later) = conn.awaited.drain(..).partition(|q| q.blocks.piece == piece);
            conn.awaited = later;
            let now: VecDeque<Queued> = now;
            now.into_iter().for_each(|q| self.on_requested(id, q.blocks));
        }
    }

    pub(super) fn on_cancelled(&mut self, id: ConnId, blocks: Blocks) {
        self.steering.cancelled(id, blocks.piece);
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.queue = without(&conn.queue, blocks);
        conn.queue_blocks = conn.queue.iter().map(|r| r.blocks.count).sum();
        conn.awaited = without(&conn.awaited, blocks);
        let (own, mut refused): (Vec<_>, Vec<_>) =
            self.due.refused.drain(..).partition(|(conn, _)| *conn == id);
        refused.extend(own.into_iter().flat_map(|(_, own)| own.without(blocks)).map(|left| (id, left)));
        self.due.refused = refused;
    }

    /// Says what is not to be had here to whoever still waits for it.
    pub(super) fn refuse(&mut self) {
        self.out.extend(self.due.refused.drain(..).map(|(id, blocks)| Output::Reject(id, blocks)));
    }

    pub(super) fn on_sent(&mut self, id: ConnId, bytes: u32) {
        self.stats.sent += u64::from(bytes);
        self.up.add(bytes);
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(id) {
            conn.in_service = conn.in_service.saturating_sub(u64::from(bytes));
            conn.taken = now;
            conn.stopwatch.sent(now, bytes, conn.in_service == 0);
        }
        (self.due.steer, self.due.pump, self.due.offer) = (true, true, true);
        self.due.peers.push(id);
    }

    /// Whether nobody waits for a turn, and those who have theirs asked for no more than `few` bytes.
    pub(super) fn runs_out(&self, few: f64) -> bool {
        let slots = &self.serving.slots;
        let waited_for = slots.len() >= self.config.tuning.slots as usize && self.next_served().is_some();
        let asked = || slots.iter().filter_map(|&id| self.conns.get(id)).map(Conn::owed).sum::<u64>();
        !waited_for && asked() as f64 <= few
    }

    /// Bytes given to the driver ahead for one connection: what it sends at once, at least.
    fn chunk(&self) -> u64 {
        let t = &self.config.tuning;
        let bytes = (self.up.per_s() * t.given.as_secs_f64()) as u64;
        bytes.clamp(SENT_AT_ONCE.into(), t.given_most.max(SENT_AT_ONCE).into())
    }

    /// How long a connection may take nothing and still count as busy: longer at low rates, where what each slot sends at once
    /// takes its time.
    fn stall(&self) -> Duration {
        let t = &self.config.tuning;
        let round = f64::from(t.slots * SENT_AT_ONCE);
        let rounds = t.stall_rounds * round / self.up.per_s().max(t.rate_least);
        t.stall.max(Duration::from_secs_f64(rounds).min(t.stall_most))
    }

    /// Gives the driver what is to be sent next, as far as it takes it.
    pub(super) fn pump(&mut self) {
        if !std::mem::take(&mut self.due.pump) {
            return;
        }
        let chunk = self.chunk();
        let mut slots = std::mem::take(&mut self.serving.slots);
        slots.retain(|&id| self.give(id, chunk));
        let stall = self.stall();
        // First pieces go to one child after the other: half of those below begin sooner.
        let large = self.geometry.largest_piece() >= self.config.tuning.first_size.into();
        let first =
            large && self.pieces.have.count() < self.config.tuning.first && self.spread.is_under_way(self);
        let most = if first { 1 } else { self.config.tuning.slots as usize };
        loop {
            let busy = slots
                .iter()
                .filter_map(|&id| self.conns.get(id))
                .filter(|c| self.now.saturating_sub(c.taken) < stall)
                .count();
            if busy >= most || slots.len() >= self.config.tuning.slots_most as usize {
                break;
            }
            let Some(id) = self.next_served() else { break };
            if self.is_behind_children(id, &slots, stall) {
                if self.now.saturating_sub(self.serving.other) < self.config.tuning.others {
                    break;
                }
                self.serving.other = self.now;
            }
            let now = self.now;
            if let Some(conn) = self.conns.get_mut(id) {
                conn.serving = true;
                conn.taken = now;
            }
            if !self.spread.is_under_way(self) {
                // In the packets of the first block.
                self.announce_to(id);
            }
            self.give(id, chunk);
            slots.push(id);
        }
        self.serving.slots = slots;
    }

    /// Whether this is no child, while a child takes what it is given.
    fn is_behind_children(&self, id: ConnId, slots: &[ConnId], stall: Duration) -> bool {
        let takes = |c: &Conn| c.child && self.now.saturating_sub(c.taken) < stall;
        self.conns.get(id).is_some_and(|c| !c.child)
            && slots.iter().filter_map(|&slot| self.conns.get(slot)).any(takes)
    }

    /// Gives a served connection more of its run; whether it keeps its slot.
    fn give(&mut self, id: ConnId, chunk: u64) -> bool {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        while conn.in_service < chunk
            && let Some(Queued { blocks: run, .. }) = conn.queue.front_mut()
            && conn.turn.is_none_or(|p| p == run.piece)
        {
            let left = ((chunk - conn.in_service).div_ceil(16 << 10) as u32).max(1);
            // To the end of a pack: what is asked for as a whole goes out as a whole.
            let left = (run.first + left).next_multiple_of(PACK_BLOCKS) - run.first;
            let part = Blocks { count: run.count.min(left), ..*run };
            conn.turn = Some(run.piece);
            run.first += part.count;
            run.count -= part.count;
            if run.count == 0 {
                conn.queue.pop_front();
            }
            conn.queue_blocks -= part.count;
            conn.in_service += u64::from(self.geometry.bytes_of(part));
            conn.stopwatch.start(now);
            self.out.push(Output::Serve(id, part));
        }
        let more = conn.queue.front().is_some_and(|r| conn.turn.is_none_or(|p| p == r.blocks.piece));
        if more || conn.in_service > 0 {
            return true;
        }
        conn.serving = false;
        conn.turn = None;
        false
    }

    /// The connection to be served next: children in a tree, then who is furthest behind, foreign clients last.
    fn next_served(&self) -> Option<ConnId> {
        self.conns
            .iter()
            .filter(|(id, c)| {
                !c.serving && !c.closing && !c.queue.is_empty() && !self.spread.runs_ahead(self, *id)
            })
            .min_by_key(|(_, c)| (!c.ours(), !c.child, !self.is_far(c), c.queue.front().map(|q| q.at)))
            .map(|(id, _)| id)
    }
}

/// Runs of requests without some blocks.
fn without(runs: &VecDeque<Queued>, blocks: Blocks) -> VecDeque<Queued> {
    runs.iter()
        .flat_map(|queued| queued.blocks.without(blocks).map(|blocks| Queued { blocks, ..*queued }))
        .collect()
}
