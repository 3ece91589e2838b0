//! Thin links between sites: what crosses, crosses once.
//!
//! A piece that nobody at this site has is fetched from elsewhere by one of the site's members: the one that it was left to
//! ([`super::errand`]), or, of what was elsewhere before we knew of sites, the one that all of them choose alike by a hash of the
//! piece and the member; the others wait until it is here. Who has nothing else left to wait for takes the chosen one's place, the
//! next in rank first.

use std::collections::BTreeSet;

use super::Scheduler;
use super::bits::Bits;
use super::errand::Errands;
use super::event::Role;
use super::geometry::PieceId;
use super::peer::Conn;
use super::rank::rank;
use super::routes::{Route, Routes, SiteId};

/// Which pieces may be asked of peers at other sites.
pub(super) struct Crossing {
    /// What this site has.
    here: Bits,
    /// The members of this site but ourselves.
    members: Vec<u64>,
    own: u64,
    /// Ranks that may fetch.
    ranks: u32,
    routes: Routes,
}

impl Crossing {
    /// Whether this piece may be asked of a peer at another site.
    pub(super) fn allows(&self, errands: &Errands, conn: &Conn, piece: PieceId) -> bool {
        if self.here.get(piece.0) || !self.comes_from(conn, self.routes.of(piece)) {
            return false;
        }
        // What was left to somebody comes soon.
        let ranks = self.ranks as usize - usize::from(errands.heard.get(piece.0));
        errands.ours.get(piece.0) || rank(&self.members, self.own, piece) < ranks
    }

    /// Whether a peer elsewhere may be asked for some.
    pub(super) fn may_ask(&self, conn: &Conn) -> bool {
        self.routes.0.iter().any(|route| self.comes_from(conn, route))
    }

    /// Who has nothing to wait for asks anybody.
    fn comes_from(&self, conn: &Conn, route: &Route) -> bool {
        self.ranks > 1 || conn.peer.site.is_some_and(|site| route.from.contains(&site))
    }
}

impl Scheduler {
    /// Whether a peer is known to be at another site.
    pub(super) fn crosses(&self, conn: &Conn) -> bool {
        conn.peer.site.zip(self.config.site).is_some_and(|(theirs, ours)| theirs != ours)
    }

    /// Whether a peer is a member that may be at this site.
    pub(super) fn may_be_here(&self, conn: &Conn) -> bool {
        conn.peer.role == Role::Member && !conn.closing && !self.crosses(conn)
    }

    /// The sites that have members, as the server sees it.
    pub(super) fn populated(&self) -> BTreeSet<SiteId> {
        let members = self.conns.iter().map(|(_, conn)| conn).filter(|conn| !conn.closing);
        members.filter(|conn| conn.peer.role == Role::Member).filter_map(|conn| conn.peer.site).collect()
    }

    /// What may be asked across.
    pub(super) fn crossing(&self) -> Crossing {
        let mut here = Bits::new(self.geometry.piece_count());
        let mut members = Vec::new();
        for (_, conn) in self.conns.iter().filter(|(_, conn)| self.may_be_here(conn)) {
            here.add_all(&conn.has);
            if !members.contains(&conn.peer.member) {
                members.push(conn.peer.member);
            }
        }
        // Before that nobody knew what to wait for.
        let idle = self.idle().min(self.now.saturating_sub(self.sited));
        let ranks = 1 + (idle.as_secs_f64() / self.config.tuning.next_rank.as_secs_f64()) as u32;
        Crossing { here, members, own: self.config.member, ranks, routes: self.routes.clone() }
    }

    /// When it has become known who is where: takes back what was asked across and need not come that way.
    pub(super) fn recall(&mut self) {
        if !std::mem::take(&mut self.due.moved) {
            return;
        }
        self.call_again();
        self.bring_again();
        self.due.entrust = true;
        let crossing = self.crossing();
        let across = self.conns.iter().filter(|(_, conn)| self.crosses(conn));
        let asked = across.flat_map(|(id, conn)| conn.pending.iter().map(move |p| (id, conn, p)));
        let void = asked.filter(|(_, conn, p)| !crossing.allows(&self.errands, conn, p.piece));
        let void: Vec<_> = void.map(|(id, _, p)| (id, p.piece, p.block)).collect();
        for (id, piece, block) in void {
            self.cancel(id, piece, block);
            self.pieces.release(&self.geometry, piece, block, id);
        }
    }
}
