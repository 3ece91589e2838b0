//! What joins the nodes, and what travels on it.

use std::time::Duration;

use ezio_scheduler::{BLOCK_SIZE, Blocks, ConnId, Input, Near, Peer, REQUEST_QUEUE, Role, SiteId, TorrentId};
use rand::RngExt;

use super::{Event, FOREIGN_QUEUE, Kind, Message, Wire, World};

impl World {
    pub(super) fn connect(&mut self, a: usize, b: usize, torrent: TorrentId) {
        if self.is_silent(a) || self.is_silent(b) {
            return;
        }
        let wire = self.wires.len();
        let ids = [a, b].map(|n| (0..).map(ConnId).find(|id| !self.nodes[n].wires.contains_key(id)).unwrap());
        let last = [self.now; 2];
        self.wires.push(Wire { torrent, nodes: [a, b], ids: ids.map(Some), last, choked: false });
        let fast = [a, b].iter().all(|&n| !matches!(self.nodes[n].kind, Kind::Foreign { fast: false }));
        let range = self.geometry.pieces_of(torrent).unwrap();
        for (end, (node, other)) in [(a, b), (b, a)].into_iter().enumerate() {
            self.nodes[node].wires.insert(ids[end], wire);
            let pieces = match &self.nodes[node].kind {
                Kind::Ours(_, ledger) => ledger.have.iter().copied().filter(|p| range.contains(p)).collect(),
                Kind::Foreign { .. } => range.clone().collect(),
            };
            self.send(wire, 1 - end, Message::Bitfield(pieces));
            if let Kind::Foreign { .. } = self.nodes[node].kind {
                self.happen(Event::ToggleChoke(wire, end, false));
                continue;
            }
            let role = match (&self.nodes[other].kind, other) {
                (Kind::Foreign { .. }, _) => Role::Foreign,
                (_, 0) => Role::Server,
                _ => Role::Member,
            };
            let queue = if role == Role::Foreign { FOREIGN_QUEUE } else { REQUEST_QUEUE };
            let site = self.site_seen(node, other);
            let peer = Peer { torrent, member: other as u64, role, site, fast, queue };
            self.tell(node, Input::Connected(ids[end], peer));
        }
    }

    /// A node learns how pieces travel, and, unless it was told by a table, who is where; all others are elsewhere.
    pub(super) fn learn_near(&mut self, node: usize, near: Near<u64>) {
        if self.room.sites > 0 {
            return self.tell(node, Input::Routes(&near.routes));
        }
        self.nodes[node].near = Some((near.site, near.members));
        self.tell(node, Input::OwnSite(Some(near.site)));
        self.tell(node, Input::Routes(&near.routes));
        for (id, wire) in self.nodes[node].wires.clone() {
            let other = self.wires[wire].nodes.into_iter().find(|n| *n != node).unwrap();
            // It may have closed the connection in answer to what it heard before.
            if self.nodes[node].wires.contains_key(&id) {
                let site = self.site_seen(node, other);
                self.tell(node, Input::PeerSite(id, site));
            }
        }
    }

    /// Where a node takes another to be.
    fn site_seen(&self, node: usize, other: usize) -> Option<SiteId> {
        let Some((own, near)) = &self.nodes[node].near else { return self.nodes[other].site };
        let there = near.iter().find(|(_, there)| there.contains(&(other as u64)));
        Some(if other == 0 { *own } else { there.map_or(SiteId::ELSEWHERE, |(site, _)| *site) })
    }

    /// One end closes; the other hears of it, unless the first is silent.
    pub(super) fn close(&mut self, wire: usize, end: usize) {
        let node = self.wires[wire].nodes[end];
        let Some(id) = self.wires[wire].ids[end].take() else { return };
        self.nodes[node].wires.remove(&id);
        self.tell(node, Input::Closed(id));
        self.send(wire, 1 - end, Message::Closed);
        if end == 0 {
            let [a, b] = self.wires[wire].nodes;
            self.later(100..1000, Event::Connect(a, b, self.wires[wire].torrent));
        }
    }

    pub(super) fn send(&mut self, wire: usize, to: usize, message: Message) {
        if self.wires[wire].nodes.iter().any(|&n| self.is_silent(n)) {
            return;
        }
        let time = self.now + Duration::from_micros(self.rng.random_range(100..30_000));
        let time = time.max(self.wires[wire].last[to]);
        self.wires[wire].last[to] = time;
        self.at(time, Event::Deliver(wire, to, message));
    }

    pub(super) fn deliver(&mut self, wire: usize, end: usize, message: Message) {
        let Some(id) = self.wires[wire].ids[end] else { return };
        let node = self.wires[wire].nodes[end];
        if self.is_silent(node) {
            return;
        }
        if let Message::Closed = message {
            return self.close(wire, end);
        }
        let Kind::Ours(scheduler, ledger) = &mut self.nodes[node].kind else {
            return self.answer(wire, end, &message);
        };
        match message {
            Message::Bitfield(pieces) => {
                ledger.bitfield(id, &pieces);
                let range = self.geometry.pieces_of(self.wires[wire].torrent).unwrap();
                let mut bits = vec![0u8; range.len().div_ceil(8)];
                pieces.iter().map(|p| (p - range.start) as usize).for_each(|i| bits[i / 8] |= 128 >> (i % 8));
                self.tell(node, Input::Bitfield(id, &bits));
            }
            Message::Have(piece) => self.tell(node, Input::Have(id, &[piece])),
            Message::Interest(true) => self.tell(node, Input::Interested(id)),
            Message::Interest(false) => self.tell(node, Input::NotInterested(id)),
            Message::Unchoke(true) => self.tell(node, Input::Unchoked(id)),
            Message::Unchoke(false) => self.tell(node, Input::Choked(id)),
            Message::Suggest(piece) => self.tell(node, Input::Suggested(id, piece)),
            Message::Place(place) => self.tell(node, Input::Placed(id, place)),
            Message::Report(paces) => self.tell(node, Input::Reported(id, &paces)),
            Message::Probe => self.send(wire, 1 - end, Message::Echo),
            Message::Echo => self.tell(node, Input::Echoed(id)),
            Message::Echoes(echoes) => self.tell(node, Input::Echoes(id, &echoes)),
            Message::Near(near) => self.learn_near(node, near),
            Message::Meet(members) => {
                let torrent = self.wires[wire].torrent;
                members
                    .into_iter()
                    .for_each(|m| self.later(1..30, Event::Connect(node, m as usize, torrent)));
                self.tell(node, Input::Meet);
            }
            Message::Request(blocks) => self.tell(node, Input::Requested(id, blocks)),
            Message::Cancel(blocks) => self.tell(node, Input::Cancelled(id, blocks)),
            Message::Reject(blocks) => self.tell(node, Input::Rejected(id, blocks)),
            Message::Block(piece, block, right) => {
                let wanted = scheduler.wants(piece, block);
                scheduler.handle(self.now, Input::Arrived(id, Blocks::one(piece, block)));
                ledger.arrived(id, piece, block, right, wanted && !scheduler.wants(piece, block));
                self.poll(node);
            }
            Message::Closed => {}
        }
    }

    /// What a client of another kind answers.
    fn answer(&mut self, wire: usize, end: usize, message: &Message) {
        let Kind::Foreign { fast } = self.nodes[self.wires[wire].nodes[end]].kind else { return };
        let Message::Request(blocks) = *message else { return };
        if self.wires[wire].choked || (fast && self.rng.random_bool(0.1)) {
            if fast {
                self.send(wire, 1 - end, Message::Reject(blocks));
            }
            return;
        }
        self.upload(wire, end, blocks);
    }

    pub(super) fn upload(&mut self, wire: usize, end: usize, blocks: Blocks) {
        let node = self.wires[wire].nodes[end];
        let right = self.room.corrupt != Some(node);
        for block in blocks.first..blocks.first + blocks.count {
            let sender = &mut self.nodes[node];
            sender.busy =
                sender.busy.max(self.now) + Duration::from_secs_f64(f64::from(BLOCK_SIZE) / sender.rate);
            let sent = sender.busy;
            let last = &mut self.wires[wire].last[1 - end];
            *last = (*last).max(sent + Duration::from_millis(1));
            let arrives = *last;
            if !self.is_silent(node) && !self.is_silent(self.wires[wire].nodes[1 - end]) {
                let bytes = self.geometry.bytes_of(Blocks::one(blocks.piece, block));
                self.at(sent, Event::Sent(wire, end, bytes));
                self.at(arrives, Event::Deliver(wire, 1 - end, Message::Block(blocks.piece, block, right)));
            }
        }
    }
}
