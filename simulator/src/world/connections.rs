//! Machines come, connect and go.

use rand::seq::SliceRandom;

use super::super::link::Nanos;
use super::super::node::Message;
use super::super::tcp::Stream;
use super::World;
use super::event::{Told, What};
use ezio_scheduler::neighbours::{FAR, Neighbours};
use ezio_scheduler::{
    Config, ConnId, Input, Near, Peer, PieceId, Place, REQUEST_QUEUE, Role, Scheduler, SiteId, Start,
    TorrentId,
};

/// A connection and its handshakes.
const CONNECT: Nanos = 3_000_000;

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
        let rule = self.rule(node);
        let room = (1..self.nodes.len() as u32).filter(|&n| !self.is_far(n, node)).count();
        others.retain(|&n| n > 0 && !self.is_far(n, node) && self.takes(n, node));
        others.shuffle(&mut self.rng);
        others.truncate(rule.enough(room));
        // Everybody knows the server.
        if node > 0 && !self.nodes[0].dead {
            others.push(0);
        }
        others
    }

    /// Whether a machine takes one more connection, to `other`.
    fn takes(&self, node: u32, other: u32) -> bool {
        let rule = self.rule(node);
        let far = self.is_far(node, other);
        let known = self.streams_of(node).filter(|stream| self.is_far(node, stream.dst) == far).count();
        known < rule.most(far)
    }

    fn rule(&self, node: u32) -> Neighbours {
        let rule = Neighbours::up_to(self.room.neighbours);
        if self.own_site(node).is_some() { rule.at_a_site() } else { rule }
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

    /// The server has told a machine where it is, or how pieces travel: it learns where its neighbours are, and dials those that it is to
    /// know.
    pub(super) fn learn_near(&mut self, node: u32, near: Near<u64>) {
        let next = near.routes.sites();
        self.told.push_back((node, Told::Routes(near.routes)));
        if !self.room.sites_known {
            let of = near.members.iter().flat_map(|(site, there)| there.iter().map(|m| (*m as u32, *site)));
            self.nodes[node as usize].found = Some((near.site, of.collect()));
            self.told.push_back((node, Told::Plain(Input::OwnSite(Some(near.site)))));
            for at in 0..self.nodes[node as usize].conns.len() {
                let (conn, end) = self.nodes[node as usize].conns[at];
                let other = self.streams[(conn * 2 + u32::from(end)) as usize].dst;
                let site = self.site_seen(node, other);
                self.told.push_back((node, Told::Plain(Input::PeerSite(ConnId(at as u32), site))));
            }
        }
        if self.room.clients <= self.room.neighbours {
            return;
        }
        let rule = self.rule(node);
        let room = 1 + self.members_at(node, near.site).len();
        self.dial_at(node, near.site, rule.enough(room));
        for site in next {
            self.dial_at(node, site, FAR);
        }
    }

    /// Dials machines at a site until so many are known there.
    fn dial_at(&mut self, node: u32, site: SiteId, enough: usize) {
        let (known, mut strangers): (Vec<u32>, Vec<u32>) =
            self.members_at(node, site).into_iter().partition(|&other| self.are_connected(node, other));
        strangers.retain(|&other| !self.room.sites_known || self.takes(other, node));
        strangers.shuffle(&mut self.rng);
        strangers.truncate(enough.saturating_sub(known.len()));
        self.dial(node, strangers);
    }

    /// The machines at a site that one can know of: by the server's word, or by the table and the tracker.
    fn members_at(&self, node: u32, site: SiteId) -> Vec<u32> {
        let is_there = |&other: &u32| {
            let there = &self.nodes[other as usize];
            other != node
                && there.scheduler.is_some()
                && !there.dead
                && self.site_seen(node, other) == Some(site)
        };
        (1..self.nodes.len() as u32).filter(is_there).collect()
    }

    /// Where a machine takes another to be.
    fn site_seen(&self, node: u32, other: u32) -> Option<SiteId> {
        let Some((own, found)) = &self.nodes[node as usize].found else { return self.site(other) };
        match other {
            // It is to be asked from everywhere.
            0 => Some(*own),
            _ => Some(found.get(&other).copied().unwrap_or(SiteId::ELSEWHERE)),
        }
    }

    /// Where a machine takes itself to be.
    fn own_site(&self, node: u32) -> Option<SiteId> {
        self.nodes[node as usize].found.as_ref().map_or_else(|| self.site(node), |(own, _)| Some(*own))
    }

    fn is_far(&self, a: u32, b: u32) -> bool {
        self.own_site(a) != self.site_seen(a, b) && a > 0 && b > 0
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
