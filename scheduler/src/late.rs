//! What was asked and does not come is asked of a second peer; whichever sends first, the other is cancelled.

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Reason, Role};
use super::geometry::{BLOCK_SIZE, Blocks, PieceId};
use super::peer::{Conn, Pending};
use super::pieces::Block;

impl Scheduler {
    /// Looks for late requests.
    pub(super) fn find_late(&mut self) {
        if self.complete {
            return;
        }
        let ending = self.pieces.all_begun();
        let mut late: Vec<(ConnId, Pending)> = Vec::new();
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let now = self.now;
            // A parent is asked before it has a piece, and owes it only then.
            let owes = |conn: &Conn| conn.pending.iter().any(|p| !self.spread.awaits(self, id, p.piece));
            let owes = self.conns.get(id).is_some_and(owes);
            let patience = self.patience(id, ending);
            let Some(conn) = self.conns.get_mut(id) else { continue };
            if conn.pending.is_empty() {
                // What it owed was asked of others. It gets another chance.
                conn.late &= now.saturating_sub(conn.progress) < self.config.tuning.forgiven;
            }
            if conn.pending.is_empty() || conn.closing {
                continue;
            }
            let silence = if owes { now.saturating_sub(conn.progress) } else { Duration::ZERO };
            if silence > self.config.tuning.dead {
                conn.closing = true;
                self.out.push(Output::Disconnect(id, Reason::Dead));
            }
            if silence > patience {
                conn.late = true;
            }
            late.extend(
                conn.pending.iter().take_while(|p| now.saturating_sub(p.at) > patience).map(|p| (id, *p)),
            );
        }
        late.retain(|(id, p)| !self.spread.awaits(self, *id, p.piece));
        late.sort_by_key(|(_, p)| p.at);
        let mut left = self.config.tuning.late_at_once;
        for (id, pending) in late {
            if left == 0 || self.pulled() > 2 * self.ahead() {
                break;
            }
            left -= u32::from(self.ask_second(id, pending, ending) || self.ask_once_more(id, pending));
        }
    }

    /// Asks a client of another kind again for what it has skipped, when nobody else has it. Whether it was asked.
    fn ask_once_more(&mut self, id: ConnId, skipped: Pending) -> bool {
        let Some(conn) = self.conns.get(id).filter(|c| !c.ours() && !c.choked && !c.closing) else {
            return false;
        };
        let silent = self.now.saturating_sub(conn.progress) > self.config.tuning.late;
        let block = Blocks::one(skipped.piece, skipped.block);
        if self.now.saturating_sub(skipped.at) <= self.config.tuning.late
            || !(silent || conn.answered > skipped.at)
        {
            return false;
        }
        let progress = conn.progress;
        self.take_pending(id, skipped.piece, skipped.block);
        self.out.push(Output::Cancel(id, block));
        self.send_request(id, block);
        // Being asked is no progress: who stays silent is dead in the end.
        if let Some(conn) = self.conns.get_mut(id) {
            conn.progress = progress;
        }
        true
    }

    /// A piece that has to come from one peer alone starts over when that one sends no more.
    pub(super) fn restart_abandoned(&mut self) {
        let sends = |id, piece: PieceId| {
            self.conns.get(id).is_some_and(|c| !c.choked && !c.closing && c.has.get(piece.0))
        };
        let sole = |piece| self.pieces.active(piece).and_then(|a| a.sole);
        let abandoned = |&piece: &PieceId| sole(piece).is_some_and(|id| !sends(id, piece));
        let abandoned: Vec<PieceId> = self.pieces.started.iter().copied().filter(abandoned).collect();
        abandoned.into_iter().for_each(|piece| self.restart(piece));
    }

    /// Forgets what is here of a piece and under way.
    pub(super) fn restart(&mut self, piece: PieceId) {
        let Some(active) = self.pieces.end(&self.geometry, piece) else { return };
        for (block, state) in (0..).zip(&active.blocks) {
            let Block::Asked(first, second) = *state else { continue };
            for id in [Some(first), second].into_iter().flatten() {
                self.cancel(id, piece, block);
            }
        }
        self.pieces.refresh(piece);
        self.out.push(Output::Discard(piece));
    }

    /// How long an answer of a peer may take: by what its answers took, else by those of all. When every missing piece is on its
    /// way, what is late is not taken from it, but asked of a second peer as well: by what those of all took, that is sooner.
    fn patience(&self, id: ConnId, ending: bool) -> Duration {
        let t = &self.config.tuning;
        let own = self.conns.get(id).filter(|_| !ending).and_then(|conn| conn.answers.patience(t));
        let usual = own.or(self.answers.patience(t)).unwrap_or(t.late);
        let (least, most) = if ending { (t.late_racing, t.late) } else { (t.late_least, t.late_most) };
        usual.clamp(least, most.max(least))
    }

    /// Asks a second peer for one block; whether there was one to ask.
    fn ask_second(&mut self, first: ConnId, late: Pending, ending: bool) -> bool {
        let Some(active) = self.pieces.active(late.piece) else { return false };
        if active.blocks.get(late.block as usize) != Some(&Block::Asked(first, None)) {
            return false;
        }
        let sole = active.sole.is_some();
        let second = self
            .conns
            .iter()
            .filter(|(id, c)| {
                *id != first
                    && c.has.get(late.piece.0)
                    && !(c.choked || c.closing || c.late)
                    && c.peer.role != Role::Server
                    && !self.crosses(c)
                    && c.keeps(BLOCK_SIZE.into())
                    && !self.members.get(c.member).suspect
            })
            .min_by_key(|(_, c)| c.pending_bytes)
            .map(|(id, _)| id);
        let Some(second) = second else { return false };
        let Some(active) = self.pieces.active_mut(late.piece) else { return false };
        if sole {
            // It has to come from one peer alone: start over with another.
            if active.here > 0 {
                return false;
            }
            active.sole = Some(second);
        }
        self.stats.late += 1;
        // While there is plenty to ask for, a request that waits in a long queue moves to a shorter one; at the end, two
        // race.
        let block = Blocks::one(late.piece, late.block);
        if ending {
            active.blocks[late.block as usize] = Block::Asked(first, Some(second));
            self.send_request(second, block);
        } else {
            self.move_requests(first, block, second);
        }
        true
    }

    /// Requests that wait at one peer go to another.
    pub(super) fn move_requests(&mut self, from: ConnId, blocks: Blocks, to: ConnId) {
        for block in blocks.first..blocks.first + blocks.count {
            self.take_pending(from, blocks.piece, block);
            if let Some(active) = self.pieces.active_mut(blocks.piece) {
                active.blocks[block as usize] = Block::Asked(to, None);
            }
        }
        self.out.push(Output::Cancel(from, blocks));
        self.send_request(to, blocks);
    }

    /// A request is void, if it is still out.
    pub(super) fn cancel(&mut self, id: ConnId, piece: PieceId, block: u32) {
        if self.take_pending(id, piece, block).is_some() {
            self.out.push(Output::Cancel(id, Blocks::one(piece, block)));
        }
    }
}
