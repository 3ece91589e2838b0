//! Errands: a piece that somebody has brought to its site, from the server or from across, is left to one machine at each site that it
//! goes on to: the first in rank of the members known there fetches it for all. It is offered the piece (SUGGEST PIECE of BEP 6), as
//! members do.
//!
//! So a piece costs the cable one HAVE, where all know all as where each knows a few of those there. Others that have it tell
//! some as well, in case that an errand is lost with a machine, but later, in company ([`super::announce`]); and who only heard of
//! a piece waits until it has nothing else to wait for: somebody else is about to fetch it.

use std::collections::BTreeSet;

use super::Scheduler;
use super::bits::Bits;
use super::event::{ConnId, Output, Role};
use super::geometry::PieceId;
use super::peer::Conn;
use super::rank::{mix, rank};
use super::routes::SiteId;

/// Pieces at other sites.
#[derive(Debug)]
pub(super) struct Errands {
    /// Places in the log of own pieces of those that are to be left to somebody, and at which site; none: wherever they go on to.
    brought: Vec<(usize, Option<SiteId>)>,
    /// What was left to us to fetch.
    pub(super) ours: Bits,
    /// What we heard of, since we know who is where.
    pub(super) heard: Bits,
}

impl Errands {
    pub(super) fn new(pieces: u32) -> Self {
        Self { brought: Vec::new(), ours: Bits::new(pieces), heard: Bits::new(pieces) }
    }
}

impl Scheduler {
    /// A piece is about to be here, and a block of it came from this member.
    pub(super) fn came_from(&mut self, member: usize) {
        let Some((_, conn)) = self.conns.iter().find(|(_, conn)| conn.member == member) else { return };
        let server = conn.peer.role == Role::Server;
        let across = !server && self.crosses(conn);
        if across {
            self.announcements.hurry();
        }
        if server || across {
            self.errands.brought.push((self.announcements.len(), None));
            self.due.entrust = true;
        }
    }

    /// Pieces go elsewhere from now on. What came before it was known who is where may have come from anywhere, and who seemed to have
    /// a piece at another site may not be there: of those here that have it the first in rank has brought it.
    pub(super) fn bring_again(&mut self) {
        let here = self.conns.iter().map(|(_, conn)| conn).filter(|conn| self.may_be_here(conn));
        let here: Vec<&Conn> = here.collect();
        let is_first = |piece: PieceId| {
            let have = here.iter().filter(|conn| conn.has.get(piece.0));
            let have: Vec<u64> = have.map(|conn| conn.peer.member).collect();
            rank(&have, self.config.member, piece) == 0
        };
        let first: Vec<usize> = self.announcements.places(is_first).collect();
        let before = self.errands.brought.drain(..).map(|(place, _)| place);
        let places: BTreeSet<usize> = before.chain(first).collect();
        self.errands.brought.extend(places.into_iter().map(|place| (place, None)));
    }

    /// A machine at another site is gone: what it was told of and may not have fetched is left to another there.
    pub(super) fn resume_errands(&mut self, gone: &Conn) {
        if self.is_far(gone) {
            let open = |piece: PieceId| gone.calls.get(piece.0) && !gone.has.get(piece.0);
            let places = self.announcements.places(open);
            self.errands.brought.extend(places.map(|place| (place, gone.peer.site)));
            self.due.entrust = true;
        }
    }

    /// Leaves it to others to fetch what we have brought here.
    pub(super) fn entrust(&mut self) {
        if self.routes.are_unknown() || !std::mem::take(&mut self.due.entrust) {
            return;
        }
        for (place, site) in std::mem::take(&mut self.errands.brought) {
            let Some(piece) = self.announcements.at(place) else { continue };
            let next = self.routes.of(piece).to.clone();
            for site in next.into_iter().filter(|next| site.is_none_or(|site| site == *next)) {
                // Who knows nobody there does it later.
                if !self.leave(place, piece, site) {
                    self.errands.brought.push((place, Some(site)));
                }
            }
        }
    }

    /// Leaves it to one machine at another site to fetch a piece, if nobody there is known to have it. Whether somebody is known there.
    fn leave(&mut self, place: usize, piece: PieceId, site: SiteId) -> bool {
        let torrent = self.geometry.locate(piece).0;
        let is_there = |(_, conn): &(ConnId, &Conn)| {
            let peer = &conn.peer;
            peer.role == Role::Member && peer.site == Some(site) && peer.torrent == torrent && !conn.closing
        };
        let there: Vec<_> = self.conns.iter().filter(is_there).collect();
        if there.iter().any(|(_, conn)| conn.has.get(piece.0)) {
            return true;
        }
        let first = there.into_iter().min_by_key(|(_, conn)| mix(conn.peer.member, piece.0));
        let Some(id) = first.map(|(id, _)| id) else { return false };
        if let Some(conn) = self.conns.get_mut(id) {
            if conn.note_call(piece, self.geometry.piece_count()) && conn.announced <= place {
                self.out.push(Output::Have(id, piece));
            }
            self.out.push(Output::Suggest(id, piece));
        }
        true
    }

    /// A member elsewhere leaves it to us to fetch a piece for our site: at once if it is `able` to send.
    pub(super) fn take_errand(&mut self, id: ConnId, piece: PieceId, able: bool) {
        if self.conns.get(id).is_none_or(|conn| conn.peer.role != Role::Member) {
            return;
        }
        self.errands.ours.set(piece.0);
        self.due.fill = true;
        let (run, crossing) = (self.run(), self.crossing());
        let Some(conn) = self.conns.get(id) else { return };
        if able
            && crossing.allows(&self.errands, conn, piece)
            && self.pieces.active(piece).is_none()
            && self.pulled() + run <= 2 * self.ahead()
            && self.has_room(piece)
        {
            self.ask(id, piece, run);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::poll::tell;
    use super::super::{
        BLOCK_SIZE, Blocks, Config, Geometry, Input, Peer, REQUEST_QUEUE, Routes, SiteId, Start, TorrentId,
        TorrentShape,
    };
    use super::*;

    const SERVER: ConnId = ConnId(0);
    const PIECE: PieceId = PieceId(0);
    const BLOCK: Blocks = Blocks { piece: PIECE, first: 0, count: 1 };

    /// A member at site 0 of two, which knows the server, two at its own site and three at the other.
    fn member() -> (Scheduler, Vec<Output>) {
        let shape = TorrentShape { piece_length: BLOCK_SIZE, total_length: 4 * u64::from(BLOCK_SIZE) };
        let mut config = Config::new(Role::Member, 1);
        (config.member, config.site) = (100, Some(SiteId(0)));
        let mut scheduler = Scheduler::new(config, Geometry::new([shape]), &[Start::None]);
        let mut out = Vec::new();
        for number in 0..6u32 {
            let role = if number == 0 { Role::Server } else { Role::Member };
            let site = Some(SiteId(u16::from(number > 2)));
            let (torrent, member) = (TorrentId(0), number.into());
            let peer = Peer { torrent, member, role, site, fast: true, queue: REQUEST_QUEUE };
            for input in [Input::Connected(ConnId(number), peer), Input::Unchoked(ConnId(number))] {
                tell(&mut scheduler, Duration::ZERO, input, &mut out);
            }
        }
        let routes = Routes::of_all(None, &[0, 1].map(SiteId).into(), 2);
        scheduler.handle(Duration::ZERO, Input::Routes(&routes[&SiteId(0)]));
        tell(&mut scheduler, Duration::ZERO, Input::HaveAll(SERVER), &mut out);
        out.clear();
        (scheduler, out)
    }

    /// What it says when it has got a piece of this one, which had it.
    fn brings(from: ConnId) -> Vec<Output> {
        let (mut scheduler, mut out) = member();
        let now = Duration::from_millis(10);
        tell(&mut scheduler, now, Input::Have(from, &[PIECE]), &mut out);
        for input in [Input::Suggested(from, PIECE), Input::Arrived(from, BLOCK), Input::Verified(PIECE)] {
            tell(&mut scheduler, now, input, &mut out);
        }
        assert!(out.contains(&Output::Check(PIECE)), "{out:?}");
        out.retain(|o| matches!(o, Output::Have(id, _) | Output::Suggest(id, _) if id.0 > 2));
        out
    }

    #[test]
    fn who_brings_a_piece_to_its_site_leaves_it_to_one_at_the_next() {
        let first = (3..6).min_by_key(|&member| mix(member, PIECE.0)).unwrap();
        let first = ConnId(first as u32);
        assert_eq!(brings(SERVER), [Output::Have(first, PIECE), Output::Suggest(first, PIECE)]);
        assert_eq!(brings(ConnId(1)), [], "a machine near by has brought it");
        assert_eq!(brings(ConnId(4)), [], "it has come from there");
    }

    #[test]
    fn who_was_taken_for_one_at_another_site_has_not_brought_a_piece_there() {
        let (mut scheduler, mut out) = member();
        let now = Duration::from_millis(10);
        tell(&mut scheduler, now, Input::Have(ConnId(3), &[PIECE]), &mut out);
        for input in [Input::Suggested(SERVER, PIECE), Input::Arrived(SERVER, BLOCK), Input::Verified(PIECE)]
        {
            tell(&mut scheduler, now, input, &mut out);
        }
        let left = |out: &[Output]| {
            let to = out.iter().filter_map(|o| match o {
                Output::Suggest(id, _) if id.0 > 2 => Some(*id),
                _ => None,
            });
            to.collect::<Vec<_>>()
        };
        assert_eq!(left(&out), [], "one there has it");
        scheduler.handle(now, Input::PeerSite(ConnId(3), Some(SiteId(2))));
        scheduler.poll(Duration::from_secs(1), &mut out);
        let first = (4..6).min_by_key(|&member| mix(member, PIECE.0)).unwrap();
        assert_eq!(left(&out), [ConnId(first as u32)]);
    }

    #[test]
    fn who_was_only_told_of_a_piece_leaves_it_to_another() {
        let asked = |suggested| {
            let (mut scheduler, mut out) = member();
            let now = Duration::from_millis(10);
            let told = Input::Have(ConnId(4), &[PIECE]);
            tell(&mut scheduler, now, told, &mut out);
            if suggested {
                tell(&mut scheduler, now, Input::Suggested(ConnId(4), PIECE), &mut out);
            }
            out.contains(&Output::Request(ConnId(4), BLOCK))
        };
        assert_eq!([false, true].map(asked), [false, true]);
    }

    #[test]
    fn what_has_just_come_is_not_fetched_again() {
        let (mut scheduler, mut out) = member();
        let now = Duration::from_millis(10);
        let told = Input::Have(ConnId(4), &[PIECE]);
        for input in [told, Input::Suggested(SERVER, PIECE), Input::Arrived(SERVER, BLOCK)] {
            tell(&mut scheduler, now, input, &mut out);
        }
        out.clear();
        scheduler.handle(now, Input::Suggested(ConnId(4), PIECE));
        tell(&mut scheduler, now, Input::Verified(PIECE), &mut out);
        assert!(
            !out.iter().any(|o| matches!(o, Output::Request(_, blocks) if blocks.piece == PIECE)),
            "{out:?}"
        );
    }
}
