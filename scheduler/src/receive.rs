//! What peers tell and send, taken into the state.

use std::time::Duration;

use super::event::{ConnId, Output, Peer, REQUEST_QUEUE, Reason, Role};
use super::geometry::{BLOCK_SIZE, Blocks, PieceId};
use super::peer::Conn;
use super::pieces::Block;
use super::{Scheduler, Start};

impl Scheduler {
    pub(super) fn on_connected(&mut self, id: ConnId, peer: Peer) {
        let member = self.members.intern(peer.member);
        let known = usize::from(peer.torrent.0) < self.geometry.torrent_count();
        let mut conn = Conn::new(peer, member, self.geometry.piece_count(), self.now);
        conn.announced = self.announcements.len();
        conn.closing = !known || self.members.get(member).shunned;
        let refuse = conn.closing;
        self.conns.insert(id, conn);
        self.spread.relatives_change(self, peer.torrent);
        self.due.entrust = true;
        if refuse {
            self.out.push(Output::Disconnect(id, if known { Reason::Corrupt } else { Reason::Protocol }));
        } else {
            self.out.push(Output::Unchoke(id));
            if peer.role == Role::Member && self.config.role == Role::Server {
                self.due.came.push(id);
            }
        }
    }

    pub(super) fn on_closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(id) else { return };
        // Its number may soon be another's.
        self.out.retain(|output| output.conn() != Some(id));
        self.due.forget(id);
        self.probing.forget(id);
        self.pending_bytes -= conn.pending_bytes;
        for p in &conn.pending {
            self.pieces.release(&self.geometry, p.piece, p.block, id);
        }
        self.pieces.only_from(id).into_iter().for_each(|piece| self.restart(piece));
        if conn.peer.role != Role::Server {
            conn.has.iter().for_each(|piece| self.pieces.lost(PieceId(piece)));
        }
        self.resume_errands(&conn);
        self.call_again();
        let copies = &self.pieces.copies;
        self.steering.closed(id, conn.has.iter().filter(|&piece| copies[piece as usize] == 0));
        self.spread.relatives_change(self, conn.peer.torrent);
        if conn.peer.role == Role::Member {
            self.spread.member_goes(self, conn.peer.torrent);
        }
        (self.due.fill, self.due.pump) = (true, true);
    }

    pub(super) fn on_bitfield(&mut self, id: ConnId, start: Start<'_>) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(range) = self.geometry.pieces_of(conn.peer.torrent) else { return };
        for (index, piece) in range.enumerate() {
            let has = match start {
                Start::All => true,
                Start::None => false,
                Start::Bitfield(bits) => bits.get(index / 8).is_some_and(|b| b >> (7 - index % 8) & 1 == 1),
            };
            if has && conn.has.set(piece) {
                conn.useful += u32::from(!self.pieces.have.get(piece));
                if conn.peer.role != Role::Server {
                    self.pieces.gained(PieceId(piece));
                }
            }
        }
        self.due.peers.push(id);
        self.due.fill = true;
    }

    pub(super) fn on_have(&mut self, id: ConnId, pieces: &[PieceId]) {
        let far = self.conns.get(id).is_some_and(|conn| self.is_far(conn));
        let Some(conn) = self.conns.get_mut(id) else { return };
        let range = self.geometry.pieces_of(conn.peer.torrent).unwrap_or_default();
        if pieces.iter().any(|p| !range.contains(&p.0)) {
            conn.closing = true;
            self.out.push(Output::Disconnect(id, Reason::Protocol));
            return;
        }
        let mut useful = false;
        for &piece in pieces {
            if !conn.has.set(piece.0) {
                continue;
            }
            if far {
                self.errands.heard.set(piece.0);
            }
            if !self.pieces.have.get(piece.0) {
                conn.useful += 1;
                useful = true;
            }
            if conn.peer.role != Role::Server {
                self.pieces.gained(piece);
            }
            let size = u64::from(self.geometry.piece_size(piece));
            self.steering.announced(id, piece, size);
        }
        self.due.peers.push(id);
        self.due.fill |= useful;
        self.due.steer = true;
    }

    /// Whoever has something for us is told so.
    pub(super) fn show_interest(&mut self) {
        for &id in &self.due.peers {
            let Some(conn) = self.conns.get_mut(id) else { continue };
            if conn.useful > 0 && !conn.interested && !conn.closing {
                conn.interested = true;
                self.out.push(Output::Interested(id));
            }
        }
    }

    /// Parts with whoever is of no use any more, nor we to it.
    pub(super) fn part(&mut self) {
        let mut peers = std::mem::take(&mut self.due.peers);
        if self.complete {
            peers.iter().for_each(|&id| self.part_if_finished(id));
        }
        peers.clear();
        self.due.peers = peers;
    }

    fn part_if_finished(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(range) = self.geometry.pieces_of(conn.peer.torrent) else { return };
        if conn.has.count() == range.len() as u32
            && !conn.closing
            && conn.queue.is_empty()
            && conn.in_service == 0
        {
            conn.closing = true;
            self.out.push(Output::Disconnect(id, Reason::Finished));
        }
    }

    /// When all is here, nothing is asked any more, and whoever is complete too is of no use.
    pub(super) fn finish(&mut self) {
        if self.complete || self.pieces.have.count() < self.geometry.piece_count() {
            return;
        }
        self.complete = true;
        self.out.push(Output::Complete);
        self.announce_all();
        for &id in self.conns.ids() {
            self.due.peers.push(id);
        }
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            if let Some(conn) = self.conns.get_mut(id)
                && std::mem::take(&mut conn.interested)
            {
                self.out.push(Output::NotInterested(id));
            }
        }
    }

    pub(super) fn on_choked(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.choked = true;
        if conn.peer.fast {
            return;
        }
        let void = std::mem::take(&mut conn.pending);
        self.pending_bytes -= std::mem::take(&mut conn.pending_bytes);
        for p in void {
            self.pieces.release(&self.geometry, p.piece, p.block, id);
        }
        self.due.fill = true;
    }

    pub(super) fn on_unchoked(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.choked = false;
            self.due.fill = true;
        }
    }

    pub(super) fn on_rejected(&mut self, id: ConnId, blocks: Blocks) {
        for block in blocks.first..blocks.first.saturating_add(blocks.count.min(REQUEST_QUEUE)) {
            if self.take_pending(id, blocks.piece, block).is_some() {
                self.pieces.release(&self.geometry, blocks.piece, block, id);
            }
        }
        self.spread.is_refused(self, id);
        self.due.fill = true;
    }

    /// Takes a block off the list of those asked of a connection; when it was asked for, if it was.
    pub(super) fn take_pending(&mut self, id: ConnId, piece: PieceId, block: u32) -> Option<Duration> {
        let conn = self.conns.get_mut(id)?;
        let at = conn.pending.iter().position(|p| p.piece == piece && p.block == block)?;
        let asked = conn.pending.remove(at)?.at;
        let bytes = u64::from(self.geometry.bytes_of(Blocks::one(piece, block)));
        conn.pending_bytes -= bytes;
        self.pending_bytes -= bytes;
        Some(asked)
    }

    pub(super) fn on_arrived(&mut self, id: ConnId, blocks: Blocks) {
        for block in blocks.first..blocks.first.saturating_add(blocks.count.min(REQUEST_QUEUE)) {
            self.take_block(id, blocks.piece, block);
        }
        self.due.fill = true;
    }

    fn take_block(&mut self, id: ConnId, piece: PieceId, block: u32) {
        let bytes = self.geometry.bytes_of(Blocks::one(piece, block));
        let wanted = self.wants(piece, block);
        let asked = self.take_pending(id, piece, block);
        // A parent in a tree was asked before it had the piece.
        let awaited = asked.is_some() && self.spread.awaits(self, id, piece);
        let asked_second = asked.is_some() || self.asked_of(id, piece, block);
        let Some(conn) = self.conns.get_mut(id) else {
            self.stats.wasted += u64::from(bytes);
            return;
        };
        conn.down.add(bytes);
        conn.progress = self.now;
        conn.late = false;
        self.down.add(bytes);
        self.last_arrival = self.now;
        // Once for each request, by its first block.
        if let Some(at) = asked.filter(|at| *at > conn.answered) {
            conn.answered = at;
            if !awaited {
                let took = self.now.saturating_sub(at);
                conn.answers.learn(took, &self.config.tuning);
                self.answers.learn(took, &self.config.tuning);
            }
        }
        if !wanted || !asked_second {
            self.stats.wasted += u64::from(bytes);
            return;
        }
        let (role, member) = (conn.peer.role, conn.member as u32);
        self.stats.received += u64::from(bytes);
        if role == Role::Server {
            self.stats.received_from_server += u64::from(bytes);
        }
        let Some(active) = self.pieces.active_mut(piece) else { return };
        let Some(state) = active.blocks.get_mut(block as usize) else { return };
        let other = match std::mem::replace(state, Block::Here(member)) {
            Block::Asked(a, Some(b)) => Some(if a == id { b } else { a }),
            Block::Asked(a, None) if a != id => Some(a),
            _ => None,
        };
        active.here += 1;
        let all = active.here as usize == active.blocks.len();
        if let Some(other) = other {
            self.cancel(other, piece, block);
        }
        if all {
            self.out.push(Output::Check(piece));
        }
    }

    fn asked_of(&self, id: ConnId, piece: PieceId, block: u32) -> bool {
        let state = self.pieces.active(piece).and_then(|a| a.blocks.get(block as usize));
        matches!(state, Some(Block::Asked(a, b)) if *a == id || *b == Some(id))
    }

    pub(super) fn on_verified(&mut self, piece: PieceId) {
        let Some(active) = self.pieces.end(&self.geometry, piece) else { return };
        let mut sources = active.blocks.iter().filter_map(|b| match b {
            Block::Here(m) => Some(*m),
            _ => None,
        });
        let first = sources.next();
        if let Some(first) = first
            && sources.all(|m| m == first)
        {
            self.members.cleared(first);
        }
        if let Some(first) = first {
            self.came_from(first as usize);
        }
        self.unstored += u64::from(self.geometry.piece_size(piece));
        self.gain(piece);
        self.announce_fresh(piece);
    }

    /// A piece is here, with the right hash.
    pub(super) fn gain(&mut self, piece: PieceId) {
        self.pieces.failed.retain(|&p| p != piece);
        self.pieces.have.set(piece.0);
        self.pieces.refresh(piece);
        let bytes = u64::from(self.geometry.piece_size(piece));
        self.stats.pieces += 1;
        self.stats.verified += bytes;
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            if let Some(conn) = self.conns.get_mut(id)
                && conn.has.get(piece.0)
            {
                conn.useful = conn.useful.saturating_sub(1);
            }
        }
        self.announcements.add(piece);
        self.serve_awaited(piece);
    }

    pub(super) fn on_failed(&mut self, piece: PieceId) {
        let Some(active) = self.pieces.end(&self.geometry, piece) else { return };
        let mut sources: Vec<u32> = Vec::new();
        for block in &active.blocks {
            if let Block::Here(m) = block
                && !sources.contains(m)
            {
                sources.push(*m);
            }
        }
        self.stats.corrupt += u64::from(self.geometry.piece_size(piece));
        if !self.pieces.failed.contains(&piece) {
            self.pieces.failed.push(piece);
        }
        self.pieces.refresh(piece);
        if let Some(member) = self.members.failed(&sources, self.config.tuning.strikes) {
            for id in self.conns.ids().to_vec() {
                if let Some(conn) = self.conns.get_mut(id)
                    && conn.member == member
                    && !std::mem::replace(&mut conn.closing, true)
                {
                    self.out.push(Output::Disconnect(id, Reason::Corrupt));
                }
            }
        }
        self.due.fill = true;
    }

    pub(super) fn on_stored(&mut self, piece: PieceId) {
        let bytes = u64::from(self.geometry.piece_size(piece));
        self.unstored = self.unstored.saturating_sub(bytes);
        self.due.fill = true;
    }

    /// Blocks of a run that exist.
    pub(super) fn valid(&self, blocks: Blocks) -> bool {
        blocks.count > 0
            && blocks
                .first
                .checked_add(blocks.count)
                .is_some_and(|end| end <= self.geometry.blocks_in(blocks.piece))
            && blocks.first < u32::MAX / BLOCK_SIZE
    }
}
