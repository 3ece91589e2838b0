//! Machines come, connect and go.

use std::collections::HashSet;

use rand::seq::SliceRandom;

use super::super::link::Nanos;
use super::super::node::Message;
use super::super::tcp::Stream;
use super::World;
use super::event::{Told, What};
use ezio_scheduler::neighbours::{FAR, Neighbours};
use ezio_scheduler::{
    Config, ConnId, Input, Near, Peer, PieceId, Place, REQUEST_QUEUE, Ring, Role, Scheduler, SiteId, Start,
    TorrentId,
};

/// A connection and its handshakes.
const CONNECT: Nanos = 3_000_000;
/// Sites as a machine knows them that was told who is near.
const BEFORE: SiteId = SiteId(0);
const HERE: SiteId = SiteId(1);
const AFTER: SiteId = SiteId(2);
const ELSEWHERE: SiteId = SiteId(3);

impl World<'_> {
    pub(super) fn start(&mut self, node: u32) {
        let server = node == 0;
        let mut config = Config::new(
            if server { Role::Server } else { Role::Member },
            self.room.seed << 20 | u64::from(node),
        );
        config.tuning = self.room.tuning.clone();
        config.trees = self.room.trees;
        config.member = u64::from(node);
        config.site = self.site(node);
        let start = if server { Start::All } else { Start::None };
        self.nodes[node as usize].scheduler = Some(Scheduler::new(config, self.geometry.clone(), &[start]));
        let others = self.choose_neighbours(node);
        self.dial(node, others);
    }

    /// Whom a machine that starts dials: everybody who is there, or as many as [`Neighbours`] says.
    fn choose_neighbours(&mut self, node: u32) -> Vec<u32> {
        let is_there = |n: &u32| {
            let other = &self.nodes[*n as usize];
            *n != node && other.scheduler.is_some() && !other.dead
        };
        let mut others: Vec<u32> = (0..self.nodes.len() as u32).filter(is_there).collect();
        if self.room.clients <= self.room.neighbours {
            return others;
        }
        let rule = Neighbours::up_to(self.room.neighbours);
        let rule = if self.site(node).is_some() { rule.at_a_site() } else { rule };
        let takes_us = |n: u32| {
            let far = self.is_far(n, node);
            self.streams_of(n).filter(|stream| self.is_far(n, stream.dst) == far).count() < rule.most(far)
        };
        others.retain(|&n| n > 0 && takes_us(n));
        others.shuffle(&mut self.rng);
        let (mut chosen, far): (Vec<u32>, Vec<u32>) =
            others.into_iter().partition(|&n| !self.is_far(n, node));
        let room = (1..self.nodes.len() as u32).filter(|&n| !self.is_far(n, node)).count();
        chosen.truncate(rule.enough(room));
        for side in self.ring(node) {
            chosen.extend(far.iter().copied().filter(|&n| self.site(n) == Some(side)).take(FAR));
        }
        // Everybody knows the server.
        if node > 0 && !self.nodes[0].dead {
            chosen.push(0);
        }
        chosen
    }

    pub(super) fn connect_parents(&mut self, node: u32, place: Option<Place>) {
        self.dial(node, place.into_iter().flat_map(|p| p.parents).map(|parent| parent as u32));
    }

    pub(super) fn dial(&mut self, node: u32, others: impl IntoIterator<Item = u32>) {
        for other in others {
            self.at(self.now + CONNECT, What::Connect(node, other));
        }
    }

    fn are_connected(&self, a: u32, b: u32) -> bool {
        self.streams_of(a).any(|stream| stream.dst == b && !stream.dead)
    }

    fn streams_of(&self, node: u32) -> impl Iterator<Item = &Stream> {
        let streams = self.nodes[node as usize].conns.iter().map(|&(conn, end)| conn * 2 + u32::from(end));
        streams.map(|stream| &self.streams[stream as usize])
    }

    /// The server has told a machine who is near: it learns where its neighbours are, and dials those that it does not know.
    pub(super) fn learn_near(&mut self, node: u32, told: Near<u64>) {
        let set = |members: Vec<u64>| -> HashSet<u32> { members.into_iter().map(|m| m as u32).collect() };
        let told = told.sites().map(set);
        let (near, before) = (told[0].clone(), told[1].clone());
        self.nodes[node as usize].near = Some(told);
        self.told.push_back((node, Told::Plain(Input::OwnSite(Some(HERE)))));
        for at in 0..self.nodes[node as usize].conns.len() {
            let (conn, end) = self.nodes[node as usize].conns[at];
            let other = self.streams[(conn * 2 + u32::from(end)) as usize].dst;
            let site = self.site_seen(node, other);
            self.told.push_back((node, Told::Plain(Input::PeerSite(ConnId(at as u32), site))));
        }
        if self.room.clients > self.room.neighbours {
            let rule = Neighbours::up_to(self.room.neighbours).at_a_site();
            let mut strangers: Vec<u32> =
                near.iter().copied().filter(|&n| !self.are_connected(node, n)).collect();
            strangers.sort_unstable();
            strangers.shuffle(&mut self.rng);
            let known = near.len() - strangers.len();
            let enough = rule.enough(1 + near.len()).saturating_sub(known);
            let (known, mut far): (Vec<u32>, Vec<u32>) =
                before.into_iter().partition(|&n| self.are_connected(node, n));
            far.sort_unstable();
            far.shuffle(&mut self.rng);
            far.truncate(FAR.saturating_sub(known.len()));
            self.dial(node, strangers.into_iter().take(enough).chain(far));
        }
    }

    /// Where a machine takes another to be.
    fn site_seen(&self, node: u32, other: u32) -> Option<SiteId> {
        let Some(told) = &self.nodes[node as usize].near else { return self.site(other) };
        let site = told.iter().zip([HERE, BEFORE, AFTER]).find(|(members, _)| members.contains(&other));
        (other > 0).then_some(site.map_or(ELSEWHERE, |(_, site)| site))
    }

    fn is_far(&self, a: u32, b: u32) -> bool {
        self.site(a) != self.site(b) && a > 0 && b > 0
    }

    /// The sites before and after a machine's own, each once. (On real links those of the site after dial us when they come.)
    fn ring(&self, node: u32) -> impl Iterator<Item = SiteId> + use<> {
        let all = (0..self.room.switches).map(|switch| SiteId(switch as u16));
        let ring = self.site(node).map(|own| Ring::new(own, all)).unwrap_or_default();
        ring.before.into_iter().chain(ring.after.filter(|_| ring.after != ring.before))
    }

    fn site(&self, node: u32) -> Option<SiteId> {
        (self.room.switches > 1 && self.room.sites_known)
            .then(|| SiteId(self.room.switch_of(node as usize) as u16))
    }

    pub(super) fn connect(&mut self, a: u32, b: u32) {
        if self.nodes[a as usize].dead || self.nodes[b as usize].dead || self.are_connected(a, b) {
            return;
        }
        let conn = self.ends.len() as u32;
        let mut ids = [ConnId(0); 2];
        for (end, (node, other)) in [(a, b), (b, a)].into_iter().enumerate() {
            self.streams.push(Stream::new(node, other));
            ids[end] = ConnId(self.nodes[node as usize].conns.len() as u32);
            self.nodes[node as usize].conns.push((conn, end as u8));
            let peer = Peer {
                torrent: TorrentId(0),
                member: u64::from(other),
                role: if other == 0 { Role::Server } else { Role::Member },
                site: self.site_seen(node, other),
                fast: true,
                queue: REQUEST_QUEUE,
            };
            self.told.push_back((node, Told::Plain(Input::Connected(ids[end], peer))));
            let mut bits = vec![0u8; (self.geometry.piece_count() as usize).div_ceil(8)];
            if let Some(scheduler) = &self.nodes[node as usize].scheduler {
                for p in (0..self.geometry.piece_count()).filter(|&p| scheduler.has(PieceId(p))) {
                    bits[p as usize / 8] |= 128 >> (p % 8);
                }
            }
            self.send(conn * 2 + end as u32, Message::Bitfield(bits));
        }
        self.ends.push(ids);
    }

    pub(super) fn kill(&mut self, node: u32) {
        self.nodes[node as usize].dead = true;
        for at in 0..self.nodes[node as usize].conns.len() {
            self.close(node, ConnId(at as u32), self.room.silent_death);
        }
    }

    /// Closes a connection from `node`'s side.
    pub(super) fn close(&mut self, node: u32, id: ConnId, silent: bool) {
        let (conn, end) = self.nodes[node as usize].conns[id.0 as usize];
        let out = conn * 2 + u32::from(end);
        if self.streams[out as usize].dead {
            return;
        }
        self.streams[out as usize].dead = true;
        self.streams[(out ^ 1) as usize].dead = true;
        let other = self.streams[out as usize].dst;
        let other_id = self.ends[conn as usize][1 - usize::from(end)];
        self.at(self.now + if silent { 5_000_000_000 } else { 1_000_000 }, What::Closed(other, other_id));
        if !self.nodes[node as usize].dead {
            self.told.push_back((node, Told::Plain(Input::Closed(id))));
        }
    }
}
