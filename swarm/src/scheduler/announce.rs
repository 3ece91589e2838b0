//! Telling others what is here. A HAVE is 9 bytes in a packet of 75, answered by an ACK of 66, to every peer: they
//! travel together, with whatever else goes to that peer, and nobody is told what it has already. While pieces come down
//! trees other members need not know of them soon.

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Role};
use super::geometry::PieceId;
use super::peer::Conn;

/// While there are trees, a member is told so often. (Simulated with 400 machines: last 1.075 S/B with 1 s, 1.064 with 2 s.)
const RARELY: Duration = Duration::from_secs(2);

/// What is to be announced.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    /// Own pieces in the order of their coming; each connection knows how far it was told.
    log: Vec<PieceId>,
    due: Option<Duration>,
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
    /// A piece was verified: announces it now where that matters, else soon.
    pub(super) fn announce_fresh(&mut self, piece: PieceId, out: &mut Vec<Output>) {
        let t = &self.config.tuning;
        let rare = if self.pieces.have.count() < t.ramp { t.rare.0 } else { t.rare.1 };
        if self.pieces.copies[piece.index()] < rare && !self.has_trees() {
            self.announce_all(out);
        } else {
            let due = self.now + self.config.tuning.announce;
            self.announcements.due.get_or_insert(due);
        }
    }

    /// Announces when it is time.
    pub(super) fn announce_due(&mut self, out: &mut Vec<Output>) {
        if self.announcements.due.is_some_and(|due| due <= self.now) {
            self.announce_all(out);
        }
    }

    /// Tells everybody; while there are trees, members who were told lately have to wait.
    pub(super) fn announce_all(&mut self, out: &mut Vec<Output>) {
        self.announcements.due = None;
        let (trees, later) = (self.has_trees(), self.now + self.config.tuning.announce);
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let waits = |c: &Conn| c.peer.role == Role::Member && self.now.saturating_sub(c.told) < RARELY;
            if trees && self.conns.get(id).is_some_and(waits) {
                self.announcements.due = Some(later);
            } else {
                self.announce_to(id, out);
            }
        }
    }

    /// Tells one peer everything it was not told.
    pub(super) fn announce_to(&mut self, id: ConnId, out: &mut Vec<Output>) {
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
        out.extend(news.map(|&p| Output::Have(id, p)));
        conn.announced = log.len();
        conn.told = self.now;
    }
}
