//! The server's part in large rooms: it gives every member a place in two trees ([`super::forest`]). What has not left the
//! server then goes down the trees, each piece once.
//!
//! Trees are fast as long as all is well; whoever fails holds up those below. So they are for a room whose members came
//! together, who was quick so far is at the top, and they last until somebody goes, says that its place is no good, or passes
//! on too little ([`super::watch`]). From then on, as in every other room, nobody depends on anybody.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Place, Role};
use super::forest::Forest;
use super::geometry::{PieceId, TorrentId};
use super::peer::Conn;
use super::watch::Watch;

/// The trees of one torrent.
#[derive(Debug)]
pub(super) struct Trees {
    pub(super) forest: Forest,
    /// Nobody has gone.
    whole: bool,
    /// The next piece that leaves for each.
    next: [u32; 2],
    pub(super) watch: Watch,
}

impl Trees {
    /// Whether a piece before `end` has not left yet.
    fn leaves(&self, end: u32) -> bool {
        self.next.iter().any(|&next| next < end)
    }
}

/// What is with the trees of a torrent.
#[derive(Debug)]
enum State {
    /// The room is large, since then: trees will be planted when it is known who is quick.
    Large(Duration),
    Planted(Trees),
    /// There are to be none any more.
    Over,
}

/// All trees, by torrent; none: the room is small.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<TorrentId, State>);

impl Places {
    fn get(&self, torrent: TorrentId) -> Option<&Trees> {
        let State::Planted(trees) = self.0.get(&torrent)? else { return None };
        Some(trees)
    }

    pub(super) fn get_mut(&mut self, torrent: TorrentId) -> Option<&mut Trees> {
        let State::Planted(trees) = self.0.get_mut(&torrent)? else { return None };
        Some(trees)
    }
}

impl Scheduler {
    /// A member has come. Where there are trees it gets a place, if it is early; who is late, or behind a thin link, of
    /// which trees know nothing, has them taken back.
    pub(super) fn seat(&mut self, id: ConnId) {
        let Some(torrent) = self.conns.get(id).map(|conn| conn.peer.torrent) else { return };
        match self.places.0.get(&torrent) {
            // It may have been away when the trees were taken back.
            Some(State::Over) => self.out.push(Output::Place(id, None)),
            Some(State::Planted(trees)) => {
                let joins = trees.whole && self.may_have_trees(torrent);
                match self.places.get_mut(torrent).filter(|_| joins).map(|trees| trees.forest.join(id)) {
                    Some(changed) => self.tell_places(torrent, &changed),
                    None => self.uproot(torrent),
                }
            }
            Some(State::Large(_)) => {}
            None => {
                if self.members_of(torrent).count() >= self.config.tuning.forest as usize {
                    self.places.0.insert(torrent, State::Large(self.now));
                }
            }
        }
    }

    /// Whether little has left yet, and all members are at one site.
    fn may_have_trees(&self, torrent: TorrentId) -> bool {
        let Some(range) = self.geometry.pieces_of(torrent) else { return false };
        let t = &self.config.tuning;
        let given = range.clone().filter(|&p| !self.steering.is_left(PieceId(p))).count();
        let mut sites = self.members_of(torrent).map(|id| self.conns.get(id).and_then(|conn| conn.peer.site));
        let first = sites.next();
        given as f64 <= f64::from(t.early).max(range.len() as f64 * t.early_part)
            && sites.all(|site| Some(site) == first)
    }

    /// Plants trees where it is time, and takes back those that hold up the room.
    pub(super) fn tend_places(&mut self) {
        if !std::mem::take(&mut self.due.trees) {
            return;
        }
        let settle = self.config.tuning.settle;
        for torrent in self.places.0.keys().copied().collect::<Vec<_>>() {
            match self.places.0.get(&torrent) {
                Some(State::Large(since)) if self.now - *since >= settle => self.plant(torrent),
                Some(State::Planted(trees)) => {
                    let end = self.geometry.pieces_of(torrent).map_or(0, |r| r.end);
                    // When all has left, what is on its way arrives, or is asked for where it is.
                    let leaves = trees.leaves(end);
                    if (leaves && !trees.whole) || self.hold_up(torrent, leaves) {
                        self.uproot(torrent);
                    }
                }
                _ => {}
            }
        }
    }

    /// Plants trees, if it is not too late. Who got most is next to the server, and who got least has one below at most.
    fn plant(&mut self, torrent: TorrentId) {
        let range = self.geometry.pieces_of(torrent).filter(|_| self.may_have_trees(torrent));
        let Some(range) = range else {
            self.places.0.insert(torrent, State::Over);
            return;
        };
        let mut members: Vec<ConnId> = self.members_of(torrent).collect();
        members.sort_by_cached_key(|&id| Reverse(self.got(id)));
        let mut forest = Forest::default();
        members.iter().for_each(|&id| drop(forest.join(id)));
        let next = [range.start, range.start + 1];
        let trees = Trees { forest, whole: true, next, watch: Watch::new(self.now, self.stats.sent) };
        self.places.0.insert(torrent, State::Planted(trees));
        self.tell_places(torrent, &members);
    }

    /// Pieces that the machine behind a connection has, of all torrents.
    fn got(&self, id: ConnId) -> u32 {
        let member = self.conns.get(id).map(|conn| conn.member);
        self.conns.iter().filter(|(_, c)| Some(c.member) == member).map(|(_, c)| c.has.count()).sum()
    }

    fn members_of(&self, torrent: TorrentId) -> impl Iterator<Item = ConnId> {
        let is_member =
            move |c: &Conn| c.peer.role == Role::Member && c.peer.torrent == torrent && !c.closing;
        self.conns.iter().filter(move |(_, c)| is_member(c)).map(|(id, _)| id)
    }

    fn tell_places(&mut self, torrent: TorrentId, members: &[ConnId]) {
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
            self.out.push(Output::Place(id, Some(place)));
        }
    }

    /// A member of a torrent went, or its place is no good.
    pub(super) fn place_failed(&mut self, torrent: TorrentId) {
        if let Some(trees) = self.places.get_mut(torrent) {
            trees.whole = false;
            self.due.trees = true;
        }
    }

    /// Whether a member next to the server has got so much more than the other one that it is to wait. Both ask for all they
    /// can get, and the kernel may give one of them nearly the whole link; but all need both trees.
    pub(super) fn root_runs_ahead(&self, id: ConnId) -> bool {
        let next = |id: ConnId| self.conns.get(id)?.queue.front().map(|queued| queued.blocks.piece.0);
        let torrent = self.conns.get(id).map(|conn| conn.peer.torrent);
        let Some(trees) = torrent.and_then(|torrent| self.places.get(torrent)) else { return false };
        let [Some(even), Some(odd)] = trees.forest.roots() else { return false };
        let other = if id == even { odd } else { even };
        (id == even || id == odd)
            && next(id).zip(next(other)).is_some_and(|(own, other)| own > other + 2 * self.config.tuning.lead)
    }

    /// Takes back all trees, and plants no more.
    pub(super) fn uproot_all(&mut self) {
        for torrent in self.places.0.keys().copied().collect::<Vec<_>>() {
            if !matches!(self.places.0.get(&torrent), Some(State::Over)) {
                self.uproot(torrent);
            }
        }
    }

    fn uproot(&mut self, torrent: TorrentId) {
        self.places.0.insert(torrent, State::Over);
        // Those, too, that have come back on another connection.
        let members: Vec<ConnId> = self.members_of(torrent).collect();
        self.out.extend(members.into_iter().map(|id| Output::Place(id, None)));
    }

    /// A member asks the server for a piece: it goes down a tree now.
    pub(super) fn leaves_for_tree(&mut self, piece: PieceId) {
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
}
