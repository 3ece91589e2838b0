//! Thin links between sites: what crosses, crosses once.
//!
//! A piece that nobody at this site has is fetched from elsewhere by one of the site's members: the one that it was left to
//! ([`super::errand`]), or, of what was elsewhere before we knew of sites, the one that all of them choose alike by a hash of the
//! piece and the member; the others wait until it is here. Who has nothing else left to wait for takes the chosen one's place, the
//! next in rank first.

use super::Scheduler;
use super::bits::Bits;
use super::errand::Errands;
use super::event::{Role, SiteId};
use super::geometry::PieceId;
use super::peer::Conn;
use super::rank::rank;

/// The sites as a ring, in the order of their numbers: each asks pieces of the one before it alone. So each trunk carries a
/// piece once each way, in a star as in a chain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ring {
    /// The site that pieces come from.
    pub before: Option<SiteId>,
    /// The site that asks for them.
    pub after: Option<SiteId>,
}

impl Ring {
    /// The neighbours of `own` among these.
    pub fn new(own: SiteId, sites: impl Iterator<Item = SiteId>) -> Self {
        // In their order from the own on: the higher ones, then the lower ones.
        let others: Vec<_> = sites.filter(|site| *site != own).map(|site| (site < own, site)).collect();
        let site = |end: Option<&(bool, SiteId)>| end.map(|(_, site)| *site);
        Self { before: site(others.iter().max()), after: site(others.iter().min()) }
    }
}

/// Which pieces may be asked of peers at other sites.
pub(super) struct Crossing {
    /// What this site has.
    here: Bits,
    /// The members of this site but ourselves.
    members: Vec<u64>,
    own: u64,
    /// Ranks that may fetch.
    ranks: u32,
    /// The site that pieces come from.
    before: Option<SiteId>,
}

impl Crossing {
    pub(super) fn allows(&self, errands: &Errands, piece: PieceId) -> bool {
        if self.here.get(piece.0) {
            return false;
        }
        // What was left to somebody comes soon.
        let ranks = self.ranks as usize - usize::from(errands.heard.get(piece.0));
        errands.ours.get(piece.0) || rank(&self.members, self.own, piece) < ranks
    }

    /// Whether a peer elsewhere may be asked: who has nothing to wait for asks anybody.
    pub(super) fn comes_from(&self, conn: &Conn) -> bool {
        self.ranks > 1 || conn.peer.site == self.before
    }
}

impl Scheduler {
    /// Whether a peer is known to be at another site.
    pub(super) fn crosses(&self, conn: &Conn) -> bool {
        conn.peer.site.zip(self.config.site).is_some_and(|(theirs, ours)| theirs != ours)
    }

    /// Where this site is in the ring.
    pub(super) fn ring(&self) -> Ring {
        let members = self.conns.iter().map(|(_, conn)| conn.peer).filter(|peer| peer.role == Role::Member);
        self.config.site.map_or(Ring::default(), |own| Ring::new(own, members.filter_map(|peer| peer.site)))
    }

    /// What may be asked across.
    pub(super) fn crossing(&self) -> Crossing {
        let mut here = Bits::new(self.geometry.piece_count());
        let mut members = Vec::new();
        for (_, conn) in self.conns.iter() {
            if conn.peer.role == Role::Member && !self.crosses(conn) && !conn.closing {
                here.add_all(&conn.has);
                if !members.contains(&conn.peer.member) {
                    members.push(conn.peer.member);
                }
            }
        }
        // Before that nobody knew what to wait for.
        let idle = self.idle().min(self.now.saturating_sub(self.sited));
        let ranks = 1 + (idle.as_secs_f64() / self.config.tuning.next_rank.as_secs_f64()) as u32;
        Crossing { here, members, own: self.config.member, ranks, before: self.ring().before }
    }

    /// When it has become known who is where: takes back what was asked across and need not come that way.
    pub(super) fn recall(&mut self) {
        if !std::mem::take(&mut self.due.moved) {
            return;
        }
        self.call_again();
        self.due.entrust = true;
        let crossing = self.crossing();
        let across = self.conns.iter().filter(|(_, conn)| self.crosses(conn));
        let asked = across.flat_map(|(id, conn)| conn.pending.iter().map(move |p| (id, conn, p)));
        let void = asked
            .filter(|(_, conn, p)| !crossing.comes_from(conn) || !crossing.allows(&self.errands, p.piece));
        let void: Vec<_> = void.map(|(id, _, p)| (id, p.piece, p.block)).collect();
        for (id, piece, block) in void {
            self.cancel(id, piece, block);
            self.pieces.release(&self.geometry, piece, block, id);
        }
    }
}
