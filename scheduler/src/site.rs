//! Thin links between sites: what crosses, crosses once.
//!
//! A piece that nobody at this site has is fetched from elsewhere by one of the site's members, which all of them choose
//! alike by a hash of the piece and the member; the others wait until it is here. Who has nothing else left to wait for takes
//! the chosen one's place, the next in rank first.

use super::Scheduler;
use super::bits::Bits;
use super::event::Role;
use super::geometry::PieceId;
use super::peer::Conn;

/// Which pieces may be asked of peers at other sites.
pub(super) struct Crossing {
    /// What this site has.
    here: Bits,
    /// The members of this site but ourselves.
    members: Vec<u64>,
    own: u64,
    /// Ranks that may fetch.
    ranks: u32,
}

impl Crossing {
    pub(super) fn allows(&self, piece: PieceId) -> bool {
        if self.here.get(piece.0) {
            return false;
        }
        let own = mix(self.own, piece.0);
        let before = self.members.iter().filter(|&&member| mix(member, piece.0) < own).count();
        before < self.ranks as usize
    }
}

impl Scheduler {
    /// Whether a peer is known to be at another site.
    pub(super) fn crosses(&self, conn: &Conn) -> bool {
        conn.peer.site.zip(self.config.site).is_some_and(|(theirs, ours)| theirs != ours)
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
        let ranks = 1 + (self.idle().as_secs_f64() / self.config.tuning.next_rank.as_secs_f64()) as u32;
        Crossing { here, members, own: self.config.member, ranks }
    }

    /// When it has become known who is where: takes back what was asked across and need not come that way.
    pub(super) fn recall(&mut self) {
        if !std::mem::take(&mut self.due.moved) {
            return;
        }
        let crossing = self.crossing();
        let across = self.conns.iter().filter(|(_, conn)| self.crosses(conn));
        let void = across.flat_map(|(id, conn)| conn.pending.iter().map(move |p| (id, p.piece, p.block)));
        let void: Vec<_> = void.filter(|(_, piece, _)| !crossing.allows(*piece)).collect();
        for (id, piece, block) in void {
            self.cancel(id, piece, block);
            self.pieces.release(&self.geometry, piece, block, id);
        }
    }
}

/// A number for a member and a piece that says nothing about either (the finalizer of SplitMix64).
pub(super) fn mix(member: u64, piece: u32) -> u64 {
    let mut x = member ^ u64::from(piece).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
