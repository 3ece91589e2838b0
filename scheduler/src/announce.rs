//! Telling others what is here. A HAVE is 9 bytes in a packet of 75, answered by an ACK of 66, to every peer, and wakes
//! both machines: they travel together, with whatever else goes to that peer, and nobody is told what it has already.

use std::time::Duration;

use super::Scheduler;
use super::bits::Bits;
use super::event::{ConnId, Output, Role};
use super::geometry::PieceId;
use super::peer::Conn;
use super::site::rank;

/// What is to be announced.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    /// Own pieces in the order of their coming; each connection knows how far it was told.
    log: Vec<PieceId>,
    due: Option<Duration>,
    /// Something is to be announced at once.
    urgent: bool,
}

impl Announcements {
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    pub(super) fn add(&mut self, piece: PieceId) {
        self.log.push(piece);
    }

    /// What is here is new to others near by.
    pub(super) fn hurry(&mut self) {
        self.urgent = true;
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }
}

impl Scheduler {
    /// A piece was verified: it is to be announced now where that matters, else to each peer when that was not told lately.
    pub(super) fn announce_fresh(&mut self, piece: PieceId) {
        let t = &self.config.tuning;
        let rare = if self.pieces.have.count() < t.ramp { t.rare_at_first } else { t.rare };
        if u32::from(self.pieces.copies[piece.index()]) < rare && !self.spread.is_under_way(self) {
            self.announcements.urgent = true;
        } else {
            self.announcements.due.get_or_insert(self.now + self.config.tuning.announce_sweep);
        }
    }

    /// Tells everybody what cannot wait; when it is time, those who were not told lately.
    pub(super) fn announce(&mut self) {
        let urgent = self.announcements.urgent;
        if !urgent && self.announcements.due.is_none_or(|due| due > self.now) {
            return;
        }
        (self.announcements.due, self.announcements.urgent) = (None, false);
        let log = self.announcements.len();
        let callees = self.callees();
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let Some(conn) = self.conns.get(id).filter(|c| c.announced < log) else { continue };
            let waits = self.now.saturating_sub(conn.told) < self.config.tuning.announce;
            if self.is_far(conn) {
                self.call(id, &callees);
            } else if waits && !urgent {
                self.announcements.due = Some(self.now + self.config.tuning.announce_sweep);
            } else {
                self.tell_all(id);
            }
        }
    }

    /// Tells everybody.
    pub(super) fn announce_all(&mut self) {
        (self.announcements.due, self.announcements.urgent) = (None, false);
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            self.announce_to(id);
        }
    }

    /// Tells one peer what it was not told, with whatever else goes to it: a far one only what it is to fetch.
    pub(super) fn announce_to(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        if self.is_far(conn) {
            let callees = self.callees();
            self.call(id, &callees);
        } else {
            self.tell_all(id);
        }
    }

    /// Whether a peer is a member at another site: there one member fetches what is here, and the others need not know.
    fn is_far(&self, conn: &Conn) -> bool {
        self.crosses(conn) && conn.peer.role == Role::Member
    }

    /// Who may ask something of this site.
    fn callees(&self) -> Vec<u64> {
        let Some(after) = self.ring().after else { return Vec::new() };
        let peers = self.conns.iter().map(|(_, conn)| conn.peer);
        let there = peers.filter(|peer| peer.role == Role::Member && peer.site == Some(after));
        there.map(|peer| peer.member).collect()
    }

    /// Tells a far peer of the pieces that it is to fetch.
    fn call(&mut self, id: ConnId, callees: &[u64]) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let log = &self.announcements.log;
        let from = std::mem::replace(&mut conn.called, log.len()).max(conn.announced);
        let Some(range) = self.geometry.pieces_of(conn.peer.torrent) else { return };
        if !callees.contains(&conn.peer.member) {
            return;
        }
        if conn.calls.len() == 0 {
            conn.calls = Bits::new(self.geometry.piece_count());
        }
        let ranks = self.config.tuning.called as usize;
        for &piece in &log[from..] {
            if range.contains(&piece.0)
                && !conn.has.get(piece.0)
                && rank(callees, conn.peer.member, piece) < ranks
                && conn.calls.set(piece.0)
            {
                self.out.push(Output::Have(id, piece));
            }
        }
    }

    /// Others may be next in rank now.
    pub(super) fn call_again(&mut self) {
        if self.config.site.is_none() {
            return;
        }
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            if let Some(conn) = self.conns.get_mut(id) {
                conn.called = 0;
            }
        }
        self.announcements.due.get_or_insert(self.now + self.config.tuning.announce_sweep);
    }

    /// Tells one peer everything it was not told.
    fn tell_all(&mut self, id: ConnId) {
        let log = &self.announcements.log;
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.announced == log.len() {
            return;
        }
        let Some(range) = self.geometry.pieces_of(conn.peer.torrent) else { return };
        // A server has everything; it steers by what others have.
        let server = conn.peer.role == Role::Server;
        let is_news =
            |p: &&PieceId| range.contains(&p.0) && (server || !conn.has.get(p.0)) && !conn.calls.get(p.0);
        let news = log[conn.announced..].iter().filter(is_news);
        self.out.extend(news.map(|&p| Output::Have(id, p)));
        conn.announced = log.len();
        conn.told = self.now;
    }
}
