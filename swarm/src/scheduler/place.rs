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
use super::forest::Forest;
use super::geometry::{PieceId, TorrentId};
use super::peer::Conn;

/// Members get places before so many pieces have left, or one in so many.
const EARLY: (usize, usize) = (64, 16);
/// Time between two looks at who falls behind: long beside the two seconds that a HAVE waits for company.
const LOOK: Duration = Duration::from_secs(8);
/// Pieces that most must have got in that time, for it to say something.
const ENOUGH: u32 = 16;

/// The trees of one torrent.
#[derive(Debug)]
struct Trees {
    forest: Forest,
    /// Nobody has gone.
    whole: bool,
    /// The next piece that leaves for each.
    next: [u32; 2],
    /// How many pieces each member had at the last look.
    had: HashMap<ConnId, u32>,
    looked: Duration,
}

/// All trees, by torrent; none: there are to be none any more.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<TorrentId, Option<Trees>>);

impl Places {
    fn get(&self, torrent: TorrentId) -> Option<&Trees> {
        self.0.get(&torrent)?.as_ref()
    }

    fn get_mut(&mut self, torrent: TorrentId) -> Option<&mut Trees> {
        self.0.get_mut(&torrent)?.as_mut()
    }
}

impl Scheduler {
    /// A member came: it gets a place if it is early; who is late, or behind a thin link, of which trees know nothing, has
    /// the trees taken back.
    pub(super) fn member_came(&mut self, id: ConnId, torrent: TorrentId, out: &mut Vec<Output>) {
        let Some(range) = self.geometry.pieces_of(torrent).filter(|_| self.config.role == Role::Server)
        else {
            return;
        };
        let members: Vec<ConnId> = self.members_of(torrent).collect();
        let large = members.len() >= self.config.tuning.forest as usize;
        match self.places.0.get(&torrent) {
            // It may have been away when the trees were taken back.
            Some(None) => return out.push(Output::Place(id, None)),
            None if !large => return,
            _ => {}
        }
        let given = range.clone().filter(|&p| !self.steering.is_left(PieceId(p))).count();
        let early = given <= EARLY.0.max(range.len() / EARLY.1);
        let site = |id: ConnId| self.conns.get(id).and_then(|conn| conn.peer.site);
        let at_one_site = members.iter().all(|other| site(*other) == site(id));
        let whole = self.places.get(torrent).is_none_or(|trees| trees.whole);
        if !early || !at_one_site || !whole {
            return self.uproot(torrent, out);
        }
        let changed = if let Some(trees) = self.places.get_mut(torrent) {
            trees.forest.join(id)
        } else {
            let mut forest = Forest::default();
            members.iter().for_each(|&id| drop(forest.join(id)));
            let next = [range.start, range.start + 1];
            let trees = Trees { forest, whole: true, next, had: HashMap::new(), looked: self.now };
            self.places.0.insert(torrent, Some(trees));
            members
        };
        self.tell_places(torrent, &changed, out);
    }

    fn members_of(&self, torrent: TorrentId) -> impl Iterator<Item = ConnId> {
        let is_member =
            move |c: &Conn| c.peer.role == Role::Member && c.peer.torrent == torrent && !c.closing;
        self.conns.iter().filter(move |(_, c)| is_member(c)).map(|(id, _)| id)
    }

    fn tell_places(&self, torrent: TorrentId, members: &[ConnId], out: &mut Vec<Output>) {
        let Some(trees) = self.places.get(torrent) else { return };
        let Some(range) = self.geometry.pieces_of(torrent) else { return };
        // What most have does not come down any more.
        let count = trees.forest.members().count();
        let spread = |p: u32| 2 * usize::from(self.pieces.copies[p as usize]) >= count;
        let from = [0, 1].map(|tree| (range.clone().skip(tree).step_by(2)).find(|&p| !spread(p)));
        let from = from.map(|first| first.unwrap_or(range.end) - range.start);
        let number = |id: ConnId| self.conns.get(id).map_or(0, |c| c.peer.member);
        for &id in members {
            let Some(spot) = trees.forest.spot(id) else { continue };
            let parents = spot.parents.map(|parent| parent.map_or(self.config.member, number));
            let place = Place { parents, children: spot.children.map(|child| child.map(number)), from };
            out.push(Output::Place(id, Some(place)));
        }
    }

    /// A member of a torrent went, or its place is no good.
    pub(super) fn place_failed(&mut self, torrent: TorrentId, out: &mut Vec<Output>) {
        let end = self.geometry.pieces_of(torrent).map_or(0, |r| r.end);
        let Some(trees) = self.places.get_mut(torrent) else { return };
        trees.whole = false;
        // When all has left, what is on its way arrives, or is asked for where it is.
        if trees.next.iter().any(|&next| next < end) {
            self.uproot(torrent, out);
        }
    }

    /// Looks who passes on too little.
    pub(super) fn look_at_places(&mut self, out: &mut Vec<Output>) {
        for torrent in self.places.0.keys().copied().collect::<Vec<_>>() {
            if self.somebody_lags(torrent) {
                self.uproot(torrent, out);
            }
        }
    }

    fn uproot(&mut self, torrent: TorrentId, out: &mut Vec<Output>) {
        if self.places.0.get_mut(&torrent).and_then(Option::take).is_none() {
            return;
        }
        // Those, too, that have come back on another connection.
        out.extend(self.members_of(torrent).map(|id| Output::Place(id, None)));
    }

    /// A member asks the server for a piece: it goes down a tree now.
    pub(super) fn leaves(&mut self, piece: PieceId) {
        let (torrent, index) = self.geometry.locate(piece);
        if let Some(trees) = self.places.get_mut(torrent) {
            let next = &mut trees.next[index as usize % 2];
            *next = (*next).max(piece.0 + 2);
        }
    }

    /// Whether a piece has not left yet and will, down a tree.
    pub(super) fn is_for_trees(&self, piece: PieceId) -> bool {
        let (torrent, index) = self.geometry.locate(piece);
        self.places.get(torrent).is_some_and(|trees| piece.0 >= trees.next[index as usize % 2])
    }

    /// Whether a member got less than two thirds of what most got between the last two looks, or nobody got anything.
    fn somebody_lags(&mut self, torrent: TorrentId) -> bool {
        let now = self.now;
        let Some(trees) = self.places.get_mut(torrent) else { return false };
        if now - trees.looked < LOOK {
            return false;
        }
        trees.looked = now;
        let mut got: Vec<u32> = Vec::new();
        for id in trees.forest.members() {
            let Some(has) = self.conns.get(id).map(|conn| conn.has.count()) else { continue };
            got.extend(trees.had.insert(id, has).map(|had| has.saturating_sub(had)));
        }
        got.sort_unstable();
        let Some((&least, &most)) = got.first().zip(got.get(got.len() / 2)) else { return false };
        if most < ENOUGH { most == 0 } else { 3 * least < 2 * most }
    }
}
