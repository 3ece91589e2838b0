//! How what has just left the server spreads: all that differs between small rooms and large ones.
//!
//! In a [`Mesh`] everything is asked of whoever has it. With [`Trees`], in rooms that are large enough, members ask for a piece
//! before their parents have it, and get it as soon as these do; until there are trees, and when they are taken back, all is as in
//! a mesh. What trees gain is what a room takes longer in a mesh (`simulate --trees off`).

use std::fmt::Debug;

use super::Scheduler;
use super::event::{ConnId, Place};
use super::geometry::{PieceId, TorrentId};
use super::relay::Coming;

/// What the other rules leave to it. What it does not say otherwise is as in a mesh.
pub(super) trait Spread: Debug + Send + Sync {
    // The server's part.

    /// A member has come.
    fn member_comes(&self, _: &mut Scheduler, _: ConnId) {}
    /// A member of a torrent has gone.
    fn member_goes(&self, _: &mut Scheduler, _: TorrentId) {}
    /// It became known that there are several sites.
    fn sites_found(&self, _: &mut Scheduler) {}
    /// A member asks for a piece, which so leaves the server.
    fn leaves(&self, _: &mut Scheduler, _: PieceId) {}
    /// Whether a piece that has not left is not to be suggested to anybody, for it is asked for without that.
    fn is_asked_unsuggested(&self, _: &Scheduler, _: PieceId) -> bool {
        false
    }
    /// Whether somebody has got so much that others go first.
    fn runs_ahead(&self, _: &Scheduler, _: ConnId) -> bool {
        false
    }

    // A member's part.

    /// The server says where this member is; or, to the server, a member that its place is no good.
    fn is_placed(&self, _: &mut Scheduler, _: ConnId, _: Option<Place>) {}
    /// A connection of a torrent is new, or gone.
    fn relatives_change(&self, _: &mut Scheduler, _: TorrentId) {}
    /// A peer has refused something.
    fn is_refused(&self, _: &mut Scheduler, _: ConnId) {}
    /// Asks for what peers do not have yet.
    fn ask_before(&self, _: &mut Scheduler) {}
    /// Whether peers may ask for a piece that is not here yet.
    fn takes_early_requests(&self, _: &Scheduler, _: PieceId) -> bool {
        false
    }
    /// What of a torrent comes without being asked of whoever has it.
    fn coming(&self, _: &Scheduler, _: TorrentId) -> Option<Coming> {
        None
    }
    /// Whether a peer was asked for a piece before it had it, and may take its time.
    fn awaits(&self, _: &Scheduler, _: ConnId, _: PieceId) -> bool {
        false
    }
    /// Bytes that were asked for in this way and are not here.
    fn early_bytes(&self, _: &Scheduler) -> u64 {
        0
    }
    /// Whether anything still comes in this way.
    fn is_under_way(&self, _: &Scheduler) -> bool {
        false
    }

    /// What is to be done now and then, on both sides.
    fn tend(&self, _: &mut Scheduler) {}
}

/// Everything is asked of whoever has it.
#[derive(Debug)]
pub(super) struct Mesh;

impl Spread for Mesh {}

/// Pieces travel down two trees in large rooms ([`super::place`], [`super::relay`]).
#[derive(Debug)]
pub(super) struct Trees;

impl Spread for Trees {
    fn member_comes(&self, s: &mut Scheduler, id: ConnId) {
        s.seat(id);
    }
    fn member_goes(&self, s: &mut Scheduler, torrent: TorrentId) {
        s.place_failed(torrent);
    }
    fn sites_found(&self, s: &mut Scheduler) {
        s.uproot_all();
    }
    fn leaves(&self, s: &mut Scheduler, piece: PieceId) {
        s.leaves_for_tree(piece);
    }
    fn is_asked_unsuggested(&self, s: &Scheduler, piece: PieceId) -> bool {
        s.is_for_trees(piece)
    }
    fn runs_ahead(&self, s: &Scheduler, id: ConnId) -> bool {
        s.root_runs_ahead(id)
    }
    fn is_placed(&self, s: &mut Scheduler, id: ConnId, place: Option<Place>) {
        s.on_placed(id, place);
    }
    fn relatives_change(&self, s: &mut Scheduler, torrent: TorrentId) {
        s.find_relatives(torrent);
    }
    fn is_refused(&self, s: &mut Scheduler, id: ConnId) {
        s.doubt_parent(id);
    }
    fn ask_before(&self, s: &mut Scheduler) {
        s.ask_parents();
    }
    fn takes_early_requests(&self, s: &Scheduler, piece: PieceId) -> bool {
        s.can_be_awaited(piece)
    }
    fn coming(&self, s: &Scheduler, torrent: TorrentId) -> Option<Coming> {
        s.left_to_trees(torrent)
    }
    fn awaits(&self, s: &Scheduler, id: ConnId, piece: PieceId) -> bool {
        s.awaits_parent(id, piece)
    }
    fn early_bytes(&self, s: &Scheduler) -> u64 {
        s.asked_of_parents()
    }
    fn is_under_way(&self, s: &Scheduler) -> bool {
        s.has_trees()
    }
    fn tend(&self, s: &mut Scheduler) {
        s.tend_places();
        s.take_places();
        s.doubt_places();
    }
}
