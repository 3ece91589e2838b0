//! Telling others what is here. A HAVE is 9 bytes in a packet of 75, answered by an ACK of 66, to every peer, and wakes
//! both machines: they travel together, with whatever else goes to that peer, and nobody is told what it has already.

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Role};
use super::geometry::PieceId;
use super::peer::Conn;
use super::rank::rank;
use super::routes::SiteId;

/// What is to be announced.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    /// Own pieces in the order of their coming; each connection knows how far it was told.
    log: Vec<PieceId>,
    due: Option<Duration>,
    /// Something is to be announced at once;
    urgent: bool,
    /// or to the server alone.
    found: bool,
}

/// Who calls whom at another site. If all that have a piece did, HAVEs would be a fifth of what a cable between two switches of 48
/// carries.
#[derive(Debug)]
struct Calls {
    /// Members there.
    callees: Vec<u64>,
    /// Of these the first so many in rank are called: the one that is to fetch a piece, and who is next.
    called: usize,
    /// Of the members at this site the first so many in rank call.
    callers: usize,
}

impl Announcements {
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    pub(super) fn at(&self, place: usize) -> Option<PieceId> {
        self.log.get(place).copied()
    }

    /// The places of such pieces.
    pub(super) fn places(&self, is_one: impl Fn(PieceId) -> bool) -> impl Iterator<Item = usize> {
        self.log.iter().enumerate().filter(move |(_, piece)| is_one(**piece)).map(|(place, _)| place)
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

    /// A piece lies on the target. Members look for it too; the server waits to hear what nobody has.
    pub(super) fn announce_found(&mut self) {
        self.announcements.found = true;
        self.announcements.due.get_or_insert(self.now + self.config.tuning.announce_sweep);
    }

    /// Tells everybody what cannot wait; when it is time, those who were not told lately.
    pub(super) fn announce(&mut self) {
        if std::mem::take(&mut self.announcements.found) {
            let servers = self.conns.iter().filter(|(_, conn)| conn.peer.role == Role::Server);
            let servers: Vec<ConnId> = servers.map(|(id, _)| id).collect();
            servers.into_iter().for_each(|id| self.tell_all(id));
        }
        let urgent = self.announcements.urgent;
        if !urgent && self.announcements.due.is_none_or(|due| due > self.now) {
            return;
        }
        (self.announcements.due, self.announcements.urgent) = (None, false);
        let log = self.announcements.len();
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let Some(conn) = self.conns.get(id).filter(|c| c.announced < log) else { continue };
            let far = self.is_far(conn);
            if far && conn.called >= log {
                continue;
            }
            let t = &self.config.tuning;
            let waits = self.now.saturating_sub(conn.told) < if far { t.announce_far } else { t.announce };
            if waits && (far || !urgent) {
                self.announcements.due = Some(self.now + self.config.tuning.announce_sweep);
            } else if far {
                self.call(id);
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
            self.call(id);
        } else {
            self.tell_all(id);
        }
    }

    /// Whether a peer is a member at another site: there one member fetches what is here, and the others need not know.
    pub(super) fn is_far(&self, conn: &Conn) -> bool {
        self.crosses(conn) && conn.peer.role == Role::Member
    }

    /// Who may ask something of this site at another one, and how many of it tell them; `here` are members at this one but ourselves.
    fn calls(&self, site: SiteId, here: &[u64]) -> Calls {
        let callees = self.members_at(site);
        // In a room too large for a full mesh each knows a part of those there: so many more call, and each of them fewer.
        let t = &self.config.tuning;
        let (known, all) = (callees.len().max(1), callees.len().max(here.len() + 1));
        let callers = (t.callers as usize * all).div_ceil(known);
        let called = (t.called as usize * known).div_ceil(all);
        Calls { callees, called, callers }
    }

    /// The members at a site that we know, each once.
    fn members_at(&self, site: SiteId) -> Vec<u64> {
        let peers = self.conns.iter().map(|(_, conn)| conn.peer);
        let there = peers.filter(|peer| peer.role == Role::Member && peer.site == Some(site));
        let mut members: Vec<u64> = there.map(|peer| peer.member).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// Those at the own site but ourselves; none where there are no sites.
    pub(super) fn members_here(&self) -> Vec<u64> {
        self.config.site.map_or_else(Vec::new, |own| self.members_at(own))
    }

    /// Tells a far peer of the pieces that it is to fetch.
    fn call(&mut self, id: ConnId) {
        let log = &self.announcements.log;
        let Some(conn) = self.conns.get_mut(id) else { return };
        let from = std::mem::replace(&mut conn.called, log.len()).max(conn.announced);
        let Some(site) = conn.peer.site.filter(|site| self.routes.lead_to(*site)) else { return };
        conn.told = self.now;
        let here = self.members_here();
        let calls = self.calls(site, &here);
        let (log, routes) = (&self.announcements.log, &self.routes);
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(range) = self.geometry.pieces_of(conn.peer.torrent) else { return };
        for &piece in &log[from..] {
            if range.contains(&piece.0)
                && !conn.has.get(piece.0)
                && routes.of(piece).to.contains(&site)
                && rank(&calls.callees, conn.peer.member, piece) < calls.called
                && rank(&here, self.config.member, piece) < calls.callers
                && conn.note_call(piece, self.geometry.piece_count())
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
            let far = self.conns.get(id).is_some_and(|conn| self.is_far(conn));
            if let Some(conn) = self.conns.get_mut(id) {
                conn.called = 0;
                if far {
                    conn.told = Duration::ZERO;
                }
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

#[cfg(test)]
mod tests {
    use super::super::poll::tell;
    use super::super::{
        BLOCK_SIZE, Config, Geometry, Input, Peer, REQUEST_QUEUE, Routes, Start, TorrentId, TorrentShape,
    };
    use super::*;

    const PIECES: u32 = 64;

    /// What a member tells, of eight at its site, when it has found all pieces: how many of them near ones hear of, and far ones.
    fn told(far: u64) -> (usize, usize) {
        let shape = TorrentShape { piece_length: BLOCK_SIZE, total_length: u64::from(PIECES * BLOCK_SIZE) };
        let mut config = Config::new(Role::Member, 1);
        (config.member, config.site) = (100, Some(SiteId(0)));
        let mut scheduler = Scheduler::new(config, Geometry::new([shape]), &[Start::None]);
        let mut out = Vec::new();
        for number in 0..7 + far {
            let site = Some(SiteId(u16::from(number >= 7)));
            let (torrent, role) = (TorrentId(0), Role::Member);
            let peer = Peer { torrent, member: number, role, site, fast: true, queue: REQUEST_QUEUE };
            tell(&mut scheduler, Duration::ZERO, Input::Connected(ConnId(number as u32), peer), &mut out);
        }
        let routes = Routes::of_all(None, &[0, 1].map(SiteId).into(), 2);
        scheduler.handle(Duration::ZERO, Input::Routes(&routes[&SiteId(0)]));
        out.clear();
        for piece in (0..PIECES).map(PieceId) {
            tell(&mut scheduler, Duration::from_secs(1), Input::Sought(piece), &mut out);
            tell(&mut scheduler, Duration::from_secs(1), Input::Found(piece), &mut out);
        }
        scheduler.poll(Duration::from_secs(9), &mut out);
        let heard = |far: bool| {
            let to = |output: &&Output| matches!(output, Output::Have(id, _) if (id.0 >= 7) == far);
            out.iter().filter(to).count()
        };
        (heard(false), heard(true))
    }

    #[test]
    fn of_those_at_a_site_some_call_and_few_are_called() {
        let (near, far) = told(8);
        assert_eq!(near, 7 * PIECES as usize);
        let own = |piece: &PieceId| rank(&[0, 1, 2, 3, 4, 5, 6], 100, *piece) < 4;
        let pieces = (0..PIECES).map(PieceId).filter(own).count();
        assert!(far == 2 * pieces && (20..44).contains(&pieces), "{far} {pieces}");
        // Who knows two of eight there calls one of them, whatever its rank.
        assert_eq!(told(2).1, PIECES as usize);
    }
}
