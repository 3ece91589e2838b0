//! The server's part in large rooms: it gives every member a place in two trees ([`super::forest`]). What has not left the
//! server then goes down the trees, each piece once.
//!
//! Trees are fast as long as all is well; whoever fails holds up those below. So they are for a room whose members came
//! together, and until somebody comes or goes, says that its place is no good, or passes on too little. From then on, as in
//! every other room, nobody depends on anybody.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Place, Role};
use super::forest;
use super::geometry::{PieceId, TorrentId};
use super::peer::Conn;

/// All are there when nobody has come or gone for so long, and for a quarter of the time that coming took.
const CALM: Duration = Duration::from_millis(100);
/// Trees are planted before so many pieces have left, or one in so many.
const EARLY: (usize, usize) = (64, 16);
/// Time between two looks at who falls behind.
const LOOK: Duration = Duration::from_secs(8);
/// Pieces that most must have got in that time, for it to say something.
const ENOUGH: u32 = 16;

/// The members of one torrent.
#[derive(Debug)]
struct Crowd {
    /// When the first came, and when one last came or went.
    since: Duration,
    changed: Duration,
    trees: Option<Trees>,
    /// The time of trees is over.
    over: bool,
}

#[derive(Debug)]
struct Trees {
    /// The next piece that leaves for each.
    next: [u32; 2],
    /// How many pieces each member had at the last look; none: there was no look yet.
    had: HashMap<ConnId, Option<u32>>,
    looked: Duration,
    planted: Duration,
}

/// All trees, by torrent.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<TorrentId, Crowd>);

impl Scheduler {
    /// A member came.
    pub(super) fn member_came(&mut self, torrent: TorrentId, out: &mut Vec<Output>) {
        if self.config.role != Role::Server {
            return;
        }
        let now = self.now;
        let crowd = self.places.0.entry(torrent).or_insert(Crowd {
            since: now,
            changed: now,
            trees: None,
            over: false,
        });
        crowd.changed = now;
        if crowd.trees.is_none() {
            self.plant(torrent, out);
        }
    }

    /// A member of a torrent went, or its place is no good.
    pub(super) fn place_failed(&mut self, torrent: TorrentId, out: &mut Vec<Output>) {
        let end = self.geometry.pieces_of(torrent).map_or(0, |r| r.end);
        // When all has left, what is on its way arrives, or is asked for where it is.
        if self.trees(torrent).is_some_and(|trees| trees.next.iter().any(|&next| next < end)) {
            self.uproot(torrent, out);
        }
    }

    /// Gives places to those who came after the trees were planted, and looks who passes on too little.
    pub(super) fn tend(&mut self, out: &mut Vec<Output>) {
        for torrent in self.places.0.keys().copied().collect::<Vec<_>>() {
            let Some(crowd) = self.places.0.get(&torrent) else { continue };
            let Some(trees) = &crowd.trees else { continue };
            let calm = self.now - crowd.changed >= CALM.max((crowd.changed - crowd.since) / 4);
            if calm && trees.planted < crowd.changed {
                self.plant(torrent, out);
            } else if self.somebody_lags(torrent) {
                self.uproot(torrent, out);
            }
        }
    }

    fn trees(&mut self, torrent: TorrentId) -> Option<&mut Trees> {
        self.places.0.get_mut(&torrent)?.trees.as_mut()
    }

    fn plant(&mut self, torrent: TorrentId, out: &mut Vec<Output>) {
        let is_member = |c: &Conn| c.peer.role == Role::Member && c.peer.torrent == torrent && !c.closing;
        let members: Vec<(ConnId, &Conn)> = self.conns.iter().filter(|(_, c)| is_member(c)).collect();
        let Some(range) = self.geometry.pieces_of(torrent) else { return };
        // Trees know of no thin links.
        let at_one_site = members.iter().all(|m| m.1.peer.site == members[0].1.peer.site);
        let given = range.clone().filter(|&p| !self.steering.is_left(PieceId(p))).count();
        let over = self.places.0.get(&torrent).is_none_or(|crowd| crowd.over);
        if over || members.len() < self.config.tuning.forest as usize {
            return;
        }
        if !at_one_site || given > EARLY.0.max(range.len() / EARLY.1) {
            return self.uproot(torrent, out);
        }
        // What less than half of them have comes down the trees too.
        let spread = |p: u32| 2 * usize::from(self.pieces.copies[p as usize]) >= members.len();
        let next =
            [0, 1].map(|tree| range.clone().skip(tree).step_by(2).find(|&p| !spread(p)).unwrap_or(range.end));
        let from = next.map(|p| p - range.start);
        let number = |id: Option<ConnId>| {
            id.and_then(|id| self.conns.get(id)).map_or(self.config.member, |c| c.peer.member)
        };
        let ids: Vec<ConnId> = members.iter().map(|m| m.0).collect();
        for (&id, spot) in ids.iter().zip(forest::grow(&ids)) {
            let (parents, children) =
                (spot.parents.map(number), spot.children.map(|c| c.map(|c| number(Some(c)))));
            out.push(Output::Place(id, Some(Place { parents, children, from })));
        }
        let had = ids.into_iter().map(|id| (id, None)).collect();
        let trees = Trees { next, had, looked: self.now, planted: self.now };
        self.places.0.entry(torrent).and_modify(|crowd| crowd.trees = Some(trees));
    }

    fn uproot(&mut self, torrent: TorrentId, out: &mut Vec<Output>) {
        let Some(crowd) = self.places.0.get_mut(&torrent) else { return };
        crowd.over = true;
        let Some(trees) = crowd.trees.take() else { return };
        let open =
            |id: &ConnId| self.conns.get(*id).is_some_and(|c| c.peer.role == Role::Member && !c.closing);
        out.extend(trees.had.into_keys().filter(open).map(|id| Output::Place(id, None)));
    }

    /// A member asks the server for a piece: it goes down a tree now.
    pub(super) fn leaves(&mut self, piece: PieceId) {
        let (torrent, index) = self.geometry.locate(piece);
        if let Some(trees) = self.trees(torrent) {
            let next = &mut trees.next[index as usize % 2];
            *next = (*next).max(piece.0 + 2);
        }
    }

    /// Whether a piece has not left yet and will, down a tree.
    pub(super) fn is_for_trees(&mut self, piece: PieceId) -> bool {
        let (torrent, index) = self.geometry.locate(piece);
        self.trees(torrent).is_some_and(|trees| piece.0 >= trees.next[index as usize % 2])
    }

    /// Whether a member got less than two thirds of what most got between the last two looks, or nobody got anything.
    fn somebody_lags(&mut self, torrent: TorrentId) -> bool {
        let now = self.now;
        let Some(trees) = self.places.0.get_mut(&torrent).and_then(|crowd| crowd.trees.as_mut()) else {
            return false;
        };
        if now - trees.looked < LOOK {
            return false;
        }
        trees.looked = now;
        let mut got: Vec<u32> = Vec::new();
        for (&id, had) in &mut trees.had {
            let Some(has) = self.conns.get(id).map(|conn| conn.has.count()) else { continue };
            got.extend(had.replace(has).map(|had| has - had));
        }
        got.sort_unstable();
        let Some((&least, &most)) = got.first().zip(got.get(got.len() / 2)) else { return false };
        if most < ENOUGH { most == 0 } else { 3 * least < 2 * most }
    }
}
