//! A member's part in the trees of large rooms: it asks its two parents for the next pieces before they have them, and sends a
//! piece to its own children, who did the same, as soon as it is verified; they go before all others.
//!
//! What a tree brings is left to it. Everything else is fetched as in small rooms, and so is a piece that most have and this
//! machine has not even asked for.

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Place, Role};
use super::geometry::{PieceId, TorrentId};
use super::peer::Conn;
use super::pieces::Block;

/// One tree, as this member sees it.
#[derive(Debug, Clone, Copy)]
struct Branch {
    /// The parent's number, and the connection to it.
    parent: u64,
    conn: Option<ConnId>,
    /// The next piece to ask for.
    next: u32,
}

/// A torrent's trees.
#[derive(Debug)]
pub(super) struct Relay {
    torrent: TorrentId,
    since: Duration,
    /// None: there are no trees any more.
    branches: Option<[Branch; 2]>,
    children: [Option<u64>; 2],
    /// A parent has refused to pass on.
    refused: bool,
}

impl Relay {
    /// Whether a parent is not connected.
    fn is_alone(&self) -> bool {
        self.branches.iter().flatten().any(|b| b.conn.is_none())
    }
}

/// What of a torrent comes down trees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coming {
    start: u32,
    /// The first piece of each tree that was not asked for.
    from: [u32; 2],
    /// A piece with so many copies should have been asked for by now.
    common: u32,
}

impl Coming {
    pub(super) fn holds(self, piece: u32, copies: u16) -> bool {
        piece >= self.from[(piece - self.start) as usize % 2] && u32::from(copies) < self.common
    }
}

impl Scheduler {
    fn relay(&self, torrent: TorrentId) -> Option<&Relay> {
        self.relays.iter().find(|r| r.torrent == torrent)
    }

    /// The server says where this member is in the trees; or a member tells the server that its place is no good.
    pub(super) fn on_placed(&mut self, id: ConnId, place: Option<Place>) {
        let Some(conn) = self.conns.get(id) else { return };
        let (torrent, role) = (conn.peer.torrent, conn.peer.role);
        if place.is_none() && role == Role::Member {
            self.place_failed(torrent);
        } else if role == Role::Server {
            self.due.placed.push((torrent, place));
            self.due.fill = true;
        }
    }

    /// Takes the places that the server has given.
    pub(super) fn take_places(&mut self) {
        for (torrent, place) in std::mem::take(&mut self.due.placed) {
            self.take_place(torrent, place);
        }
    }

    fn take_place(&mut self, torrent: TorrentId, place: Option<Place>) {
        let Some(range) = self.geometry.pieces_of(torrent) else { return };
        let at = self.relays.iter().position(|r| r.torrent == torrent);
        let before = at.and_then(|at| self.relays.swap_remove(at).branches);
        let same = |tree: usize, parent: u64| before.map(|b| b[tree]).filter(|b| b.parent == parent);
        let branches = place.map(|place| {
            [0, 1].map(|tree: usize| {
                let from = range.start.saturating_add(place.from[tree]).min(range.end);
                let next = from + (from - range.start + tree as u32) % 2;
                let parent = place.parents[tree];
                same(tree, parent).unwrap_or(Branch { parent, conn: None, next })
            })
        });
        let children = place.map_or([None; 2], |place| place.children);
        self.relays.push(Relay { torrent, since: self.now, branches, children, refused: false });
        self.relays.sort_by_key(|r| r.torrent);
        self.find_relatives(torrent);
        let kept = [0, 1].map(|tree| branches.and_then(|b| same(tree, b[tree].parent)?.conn));
        for id in self.conns.ids().to_vec() {
            if self.conns.get(id).is_some_and(|c| c.peer.torrent == torrent) && !kept.contains(&Some(id)) {
                self.take_back(id, place.is_some());
            }
        }
        if place.is_none() {
            self.refuse_children(torrent);
            self.announce_all();
        }
    }

    /// Takes back requests for pieces of which nothing is here: all of them, or those that the peer does not have itself.
    fn take_back(&mut self, id: ConnId, all: bool) {
        let Some(conn) = self.conns.get(id) else { return };
        let untouched = |p: PieceId| self.pieces.active(p).is_some_and(|a| a.here == 0);
        let mut pieces: Vec<PieceId> = conn.pending.iter().map(|p| p.piece).collect();
        pieces.dedup();
        pieces.retain(|&p| (all || !conn.has.get(p.0)) && untouched(p));
        for piece in pieces {
            for block in 0..self.geometry.blocks_in(piece) {
                let state = self.pieces.active(piece).and_then(|a| a.blocks.get(block as usize));
                if state == Some(&Block::Asked(id, None)) {
                    self.cancel(id, piece, block);
                    self.pieces.release(&self.geometry, piece, block, id);
                }
            }
        }
    }

    /// Nobody waits for what does not come.
    fn refuse_children(&mut self, torrent: TorrentId) {
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            if let Some(conn) = self.conns.get_mut(id).filter(|c| c.peer.torrent == torrent && !c.closing) {
                self.out.extend(conn.awaited.drain(..).map(|queued| Output::Reject(id, queued.blocks)));
            }
        }
    }

    /// Whether a peer may wait here for a piece. Who was not told its place yet will be.
    pub(super) fn can_be_awaited(&self, piece: PieceId) -> bool {
        let relay = self.relay(self.geometry.locate(piece).0);
        self.config.role == Role::Member && relay.is_none_or(|r| r.branches.is_some())
    }

    /// Finds the connections to parents and children anew.
    pub(super) fn find_relatives(&mut self, torrent: TorrentId) {
        let Some(relay) = self.relays.iter_mut().find(|r| r.torrent == torrent) else { return };
        let mut parents = [None; 2];
        for id in self.conns.ids().to_vec() {
            let Some(conn) = self.conns.get_mut(id).filter(|c| c.peer.torrent == torrent) else { continue };
            conn.child = relay.children.contains(&Some(conn.peer.member));
            for (branch, parent) in relay.branches.iter().flatten().zip(&mut parents) {
                if branch.parent == conn.peer.member && !conn.closing {
                    *parent = Some(id);
                }
            }
        }
        for (branch, parent) in relay.branches.iter_mut().flatten().zip(parents) {
            branch.conn = parent;
        }
    }

    /// A peer has refused something: a parent may not.
    pub(super) fn doubt_parent(&mut self, id: ConnId) {
        for relay in &mut self.relays {
            relay.refused |= relay.branches.iter().flatten().any(|b| b.conn == Some(id));
        }
    }

    /// Gives up a place whose parents refuse to pass on, cannot be reached, or have gone. A connection may close because there is another to the
    /// same machine: that one may come a little later.
    pub(super) fn doubt_places(&mut self) {
        let (now, unreached) = (self.now, self.config.tuning.unreached);
        let is_doubtful = |r: &&Relay| r.refused || (r.is_alone() && now.saturating_sub(r.since) > unreached);
        while let Some(relay) = self.relays.iter().find(is_doubtful).filter(|_| !self.complete) {
            self.give_up_place(relay.torrent);
        }
    }

    /// Tells the server that this place is no good.
    fn give_up_place(&mut self, torrent: TorrentId) {
        let is_server = |c: &Conn| c.peer.role == Role::Server && c.peer.torrent == torrent && !c.closing;
        self.out.extend(self.conns.iter().find(|(_, c)| is_server(c)).map(|(id, _)| Output::Place(id, None)));
        self.take_place(torrent, None);
    }

    /// Asks parents for what comes next. One torrent after the other.
    pub(super) fn ask_parents(&mut self) {
        for at in 0..self.relays.len() {
            let Some(mut branches) = self.relays[at].branches else { continue };
            let end = self.geometry.pieces_of(self.relays[at].torrent).map_or(0, |r| r.end);
            branches.iter_mut().for_each(|branch| self.ask_parent(branch, end));
            self.relays[at].branches = Some(branches);
            if branches.iter().any(|b| b.next < end) {
                return;
            }
        }
    }

    fn ask_parent(&mut self, branch: &mut Branch, end: u32) {
        let most =
            (u64::from(self.config.tuning.relay_ahead) * self.geometry.largest_piece()).max(self.ahead() / 2);
        let Some(id) = branch.conn else { return };
        loop {
            while branch.next < end
                && (self.pieces.have.get(branch.next) || self.pieces.active(PieceId(branch.next)).is_some())
            {
                branch.next += 2;
            }
            let (piece, Some(conn)) = (PieceId(branch.next), self.conns.get(id)) else { return };
            if branch.next >= end
                || conn.choked
                || conn.closing
                || conn.pending_bytes + u64::from(self.geometry.piece_size(piece)) > most
                || !self.has_room(piece)
            {
                return;
            }
            branch.next += 2;
            self.ask(id, piece, u64::MAX);
        }
    }

    /// What of a torrent is left to its trees.
    pub(super) fn left_to_trees(&self, torrent: TorrentId) -> Option<Coming> {
        let relay = self.relay(torrent)?;
        let from = relay.branches?.map(|b| if b.conn.is_some() { b.next } else { u32::MAX });
        let start = self.geometry.pieces_of(torrent)?.start;
        let common = (f64::from(self.conns.of_torrent(torrent)) * self.config.tuning.common) as u32;
        Some(Coming { start, from, common })
    }

    /// Whether a parent was asked for a piece that it does not have, and may take its time.
    pub(super) fn awaits_parent(&self, id: ConnId, piece: PieceId) -> bool {
        let (torrent, index) = self.geometry.locate(piece);
        let parent = self.relay(torrent).and_then(|r| r.branches?[index as usize % 2].conn);
        let copies = u32::from(self.pieces.copies[piece.index()]);
        parent == Some(id)
            && self.left_to_trees(torrent).is_none_or(|c| copies < c.common)
            && self.conns.get(id).is_some_and(|c| !c.has.get(piece.0))
    }

    /// Whether anything still comes by trees.
    pub(super) fn has_trees(&self) -> bool {
        self.relays.iter().any(|relay| {
            let end = self.geometry.pieces_of(relay.torrent).map_or(0, |r| r.end);
            relay.branches.iter().flatten().any(|b| b.next < end)
        })
    }

    /// Bytes asked of parents and not yet here.
    pub(super) fn asked_of_parents(&self) -> u64 {
        let of = |id: Option<ConnId>| id.and_then(|id| self.conns.get(id)).map_or(0, |c| c.pending_bytes);
        let parents = self.relays.iter().filter_map(|r| r.branches).map(|[even, odd]| (even.conn, odd.conn));
        parents.map(|(even, odd)| of(even) + if odd == even { 0 } else { of(odd) }).sum()
    }
}
