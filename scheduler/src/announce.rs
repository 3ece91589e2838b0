//! Telling others what is here. A HAVE is 9 bytes in a packet of 75, answered by an ACK of 66, to every peer, and wakes
//! both machines: they travel together, with whatever else goes to that peer, and nobody is told what it has already.

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Role};
use super::geometry::PieceId;

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

    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }
}

impl Scheduler {
    /// A piece was verified: it is to be announced now where that matters, else to each peer when that was not told lately.
    pub(super) fn announce_fresh(&mut self, piece: PieceId) {
        let t = &self.config.tuning;
        let rare = if self.pieces.have.count() < t.ramp { t.rare_at_first } else { t.rare };
        if u32::from(self.pieces.copies[piece.index()]) < rare && !self.has_trees() {
            self.announcements.urgent = true;
        } else {
            self.announcements.due.get_or_insert(self.now + self.config.tuning.announce_sweep);
        }
    }

    /// Tells everybody what cannot wait; when it is time, those who were not told lately.
    pub(super) fn announce(&mut self) {
        if self.announcements.urgent {
            return self.announce_all();
        }
        if self.announcements.due.is_none_or(|due| due > self.now) {
            return;
        }
        self.announcements.due = None;
        let log = self.announcements.len();
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let Some(conn) = self.conns.get(id).filter(|c| c.announced < log) else { continue };
            if self.now.saturating_sub(conn.told) < self.config.tuning.announce {
                self.announcements.due = Some(self.now + self.config.tuning.announce_sweep);
            } else {
                self.announce_to(id);
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

    /// Tells one peer everything it was not told.
    pub(super) fn announce_to(&mut self, id: ConnId) {
        let log = &self.announcements.log;
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.announced == log.len() {
            return;
        }
        let Some(range) = self.geometry.pieces_of(conn.peer.torrent) else { return };
        // A server has everything; it steers by what others have.
        let server = conn.peer.role == Role::Server;
        let news =
            log[conn.announced..].iter().filter(|p| range.contains(&p.0) && (server || !conn.has.get(p.0)));
        self.out.extend(news.map(|&p| Output::Have(id, p)));
        conn.announced = log.len();
        conn.told = self.now;
    }
}
