//! The event loop.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::neighbours::Neighbours;
use crate::scheduler::{
    Blocks, Config, ConnId, Geometry, Input, Output, Peer, PieceId, Place, Role, SENT_AT_ONCE, Scheduler,
    SiteId, Start, TorrentId, TorrentShape,
};

use super::link::{Link, Nanos};
use super::node::{Message, Node};
use super::report::Report;
use super::room::Room;
use super::tcp::{HEADER, LOW_WATER, Segment, Stream};

/// Time between the arrival of a segment and the program's answer.
const WAKE_UP: Nanos = 50_000;
/// A connection and its handshakes.
const CONNECT: Nanos = 3_000_000;

#[derive(Debug, Clone, Copy)]
enum What {
    Start(u32),
    Kill(u32),
    Connect(u32, u32),
    Closed(u32, ConnId),
    /// A segment leaves link `hop` of its path.
    Data {
        stream: u32,
        segment: Segment,
        sent_at: Nanos,
        hop: u8,
    },
    Ack {
        stream: u32,
        len: u32,
        sent_at: Nanos,
        hop: u8,
    },
    Lost {
        stream: u32,
        segment: Segment,
    },
    Hashed(u32, PieceId),
    Wake(u32, Nanos),
}

#[derive(Debug)]
struct Event {
    at: Nanos,
    order: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

enum Told {
    Plain(Input<'static>),
    Bitfield(ConnId, Vec<u8>),
    Have(ConnId, PieceId),
}

/// A running room.
pub(super) struct World<'r> {
    room: &'r Room,
    geometry: Geometry,
    rng: SmallRng,
    now: Nanos,
    order: u64,
    events: BinaryHeap<Reverse<Event>>,
    count: u64,
    links: Vec<Link>,
    nodes: Vec<Node>,
    /// Two streams a connection: from the first end, from the second.
    streams: Vec<Stream>,
    /// Local connection ids at both ends.
    ends: Vec<[ConnId; 2]>,
    told: VecDeque<(u32, Told)>,
    dirty: Vec<u32>,
    /// Pieces that somebody but the server has.
    out: HashSet<u32>,
    healthy: Vec<bool>,
    left: usize,
    received: Vec<u64>,
}

impl<'r> World<'r> {
    pub(super) fn new(room: &'r Room) -> Self {
        let geometry =
            Geometry::new([TorrentShape { piece_length: room.piece_length, total_length: room.size.max(1) }]);
        let count = room.clients + 1;
        let link =
            |rate: f64| Link::new(rate, room.burst.max((rate / 2000.0) as u32), room.queue.as_secs_f64());
        let mut links: Vec<_> = (0..count).chain(0..count).map(|n| link(room.rate_of(n))).collect();
        links.extend((0..2 * room.switches).map(|_| link(room.trunk.unwrap_or(room.rate))));
        let mut rng = SmallRng::seed_from_u64(room.seed);
        let gap = room.spread.as_nanos() as u64 / room.clients.max(1) as u64;
        let nodes = (0..count).map(|n| Node {
            scheduler: None,
            conns: Vec::new(),
            wake: 0,
            bad: HashSet::new(),
            start: n.saturating_sub(1) as u64 * gap
                + if n == 0 { 0 } else { rng.random_range(5_000_000..15_000_000) },
            done: None,
            dead: false,
            corrupt: room.corrupt.contains(&n),
            outstanding: 0,
        });
        let nodes: Vec<_> = nodes.collect();
        let healthy: Vec<_> = (0..count)
            .map(|n| {
                n > 0
                    && !room.slow.iter().any(|s| s.0 == n)
                    && !room.killed.iter().any(|k| k.0 == n)
                    && !room.corrupt.contains(&n)
            })
            .collect();
        let left = healthy.iter().filter(|h| **h).count();
        let mut world = Self {
            room,
            geometry,
            rng,
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            count: 0,
            links,
            nodes,
            streams: Vec::new(),
            ends: Vec::new(),
            told: VecDeque::new(),
            dirty: Vec::new(),
            out: HashSet::new(),
            healthy,
            left,
            received: vec![0; 4 * room.steps],
        };
        for n in 0..count {
            world.at(world.nodes[n].start, What::Start(n as u32));
        }
        for &(n, t) in &room.killed {
            world.at(t.as_nanos() as u64, What::Kill(n as u32));
        }
        world
    }

    fn at(&mut self, at: Nanos, what: What) {
        self.order += 1;
        self.events.push(Reverse(Event { at, order: self.order, what }));
    }

    pub(super) fn run(mut self) -> Report {
        let limit = self.room.limit.as_nanos() as u64;
        while self.left > 0
            && let Some(Reverse(event)) = self.events.pop()
            && event.at < limit
        {
            self.now = event.at;
            self.count += 1;
            self.happens(event.what);
            while let Some((node, told)) = self.told.pop_front() {
                self.tell(node, told);
            }
            while let Some(stream) = self.dirty.pop() {
                self.flush(stream);
            }
        }
        self.report()
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Start(node) => self.start(node),
            What::Kill(node) => self.kill(node),
            What::Connect(a, b) => self.connect(a, b),
            What::Closed(node, conn) => self.told.push_back((node, Told::Plain(Input::Closed(conn)))),
            What::Data { stream, segment, sent_at, hop } => self.data(stream, segment, sent_at, hop),
            What::Ack { stream, len, sent_at, hop } => self.ack(stream, len, sent_at, hop),
            What::Lost { stream, segment } => {
                self.streams[stream as usize].lost(self.now, segment);
                self.dirty.push(stream);
            }
            What::Hashed(node, piece) => self.hashed(node, piece),
            What::Wake(node, at) => {
                if self.nodes[node as usize].wake == at {
                    self.nodes[node as usize].wake = 0;
                    self.told.push_back((node, Told::Plain(Input::Tick)));
                }
            }
        }
    }

    fn start(&mut self, node: u32) {
        let server = node == 0;
        let mut config = Config::new(
            if server { Role::Server } else { Role::Member },
            self.room.seed << 20 | u64::from(node),
        );
        config.tuning = self.room.tuning.clone();
        config.member = u64::from(node);
        config.site = self.site(node);
        let start = if server { Start::All } else { Start::None };
        self.nodes[node as usize].scheduler = Some(Scheduler::new(config, self.geometry.clone(), &[start]));
        let mut chosen: Vec<u32> = (0..self.nodes.len() as u32)
            .filter(|&n| {
                n != node && self.nodes[n as usize].scheduler.is_some() && !self.nodes[n as usize].dead
            })
            .collect();
        let rule = Neighbours::up_to(self.room.neighbours);
        if self.room.clients > self.room.neighbours {
            chosen.retain(|&n| n > 0 && self.nodes[n as usize].conns.len() < rule.most());
            chosen.shuffle(&mut self.rng);
            chosen.truncate(rule.enough(self.room.clients));
            // Everybody knows the server.
            if node > 0 && !self.nodes[0].dead {
                chosen.push(0);
            }
        }
        for other in chosen {
            self.at(self.now + CONNECT, What::Connect(node, other));
        }
    }

    fn connect_parents(&mut self, node: u32, place: Option<Place>) {
        for parent in place.into_iter().flat_map(|p| p.parents) {
            self.at(self.now + CONNECT, What::Connect(node, parent as u32));
        }
    }

    fn are_connected(&self, a: u32, b: u32) -> bool {
        let streams = self.nodes[a as usize].conns.iter().map(|&(conn, end)| conn * 2 + u32::from(end));
        streams.map(|s| &self.streams[s as usize]).any(|s| s.dst == b && !s.dead)
    }

    fn site(&self, node: u32) -> Option<SiteId> {
        (self.room.switches > 1 && self.room.sites_known)
            .then(|| SiteId(self.room.switch_of(node as usize) as u16))
    }

    fn connect(&mut self, a: u32, b: u32) {
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
                site: self.site(other),
                fast: true,
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

    fn kill(&mut self, node: u32) {
        self.nodes[node as usize].dead = true;
        for at in 0..self.nodes[node as usize].conns.len() {
            self.close(node, ConnId(at as u32), self.room.silent_death);
        }
    }

    /// Closes a connection from `node`'s side.
    fn close(&mut self, node: u32, id: ConnId, silent: bool) {
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

    fn send(&mut self, stream: u32, message: Message) {
        let s = &mut self.streams[stream as usize];
        if s.dead {
            return;
        }
        if let Message::Block(blocks, intact) = message {
            s.waiting.push_back((blocks, intact));
        } else {
            let bytes = message.bytes();
            s.write(message, bytes);
        }
        self.dirty.push(stream);
    }

    /// Lets a stream send what it may.
    fn flush(&mut self, stream: u32) {
        loop {
            let s = &mut self.streams[stream as usize];
            if s.dead {
                return;
            }
            let drained = s.unsent() < LOW_WATER;
            if drained && s.unreported > 0 {
                let (src, bytes) = (s.src, std::mem::take(&mut s.unreported));
                let id = self.ends[stream as usize / 2][stream as usize % 2];
                self.told.push_back((src, Told::Plain(Input::Sent(id, bytes))));
                return self.after_sent(stream);
            }
            while drained
                && s.unreported < SENT_AT_ONCE
                && let Some((blocks, intact)) = s.waiting.pop_front()
            {
                let bytes = self.geometry.bytes_of(blocks);
                s.write(Message::Block(blocks, intact), bytes + 13);
                s.unreported += bytes;
            }
            let Some(segment) = s.next_segment(self.now) else { return };
            s.queued += 1;
            let link = s.src as usize;
            match self.links[link].take(self.now, segment.wire(), false) {
                Some(at) => {
                    let sent_at = self.now;
                    self.at(at, What::Data { stream, segment, sent_at, hop: 0 });
                }
                None => {
                    s.queued -= 1;
                    let delay = s.loss_delay();
                    self.at(self.now + delay, What::Lost { stream, segment });
                }
            }
        }
    }

    /// A block has left the driver's hands: the scheduler hears of it before the stream goes on.
    fn after_sent(&mut self, stream: u32) {
        while let Some((node, told)) = self.told.pop_front() {
            self.tell(node, told);
        }
        self.flush(stream);
    }

    /// The link that a packet takes as hop `hop` of its way; none when it is there.
    fn link(&self, src: u32, dst: u32, hop: u8) -> Option<usize> {
        let nodes = self.nodes.len();
        let (a, b) = (self.room.switch_of(src as usize), self.room.switch_of(dst as usize));
        let mut path = [None; 4];
        path[0] = Some(src as usize);
        let mut n = 1;
        if a != b {
            for (on, link) in [(a > 0, 2 * nodes + 2 * a), (b > 0, 2 * nodes + 2 * b + 1)] {
                if on {
                    path[n] = Some(link);
                    n += 1;
                }
            }
        }
        path[n] = Some(nodes + dst as usize);
        path.get(usize::from(hop)).copied().flatten()
    }

    fn data(&mut self, stream: u32, segment: Segment, sent_at: Nanos, hop: u8) {
        let s = &mut self.streams[stream as usize];
        if hop == 0 {
            s.queued -= 1;
            self.dirty.push(stream);
        }
        let s = &self.streams[stream as usize];
        if s.dead {
            return;
        }
        let (src, dst) = (s.src, s.dst);
        if let Some(link) = self.link(src, dst, hop + 1) {
            let latency = self.room.latency.as_nanos() as u64;
            match self.links[link].take(self.now + latency, segment.wire(), false) {
                Some(at) => self.at(at, What::Data { stream, segment, sent_at, hop: hop + 1 }),
                None => {
                    let delay = self.streams[stream as usize].loss_delay();
                    self.at(self.now + delay, What::Lost { stream, segment });
                }
            }
            return;
        }
        if let Some(at) = self.links[dst as usize].take(self.now, HEADER, true) {
            self.at(at, What::Ack { stream, len: segment.len, sent_at, hop: 0 });
        }
        self.streams[stream as usize].arrived(segment);
        let id = self.ends[stream as usize / 2][1 - stream as usize % 2];
        while let Some(message) = self.streams[stream as usize].delivered() {
            self.receive(dst, id, message);
        }
    }

    fn ack(&mut self, stream: u32, len: u32, sent_at: Nanos, hop: u8) {
        let s = &self.streams[stream as usize];
        if s.dead {
            return;
        }
        if let Some(link) = self.link(s.dst, s.src, hop + 1) {
            let latency = self.room.latency.as_nanos() as u64;
            if let Some(at) = self.links[link].take(self.now + latency, HEADER, true) {
                self.at(at, What::Ack { stream, len, sent_at, hop: hop + 1 });
            }
            return;
        }
        self.streams[stream as usize].acked(self.now, len, sent_at);
        self.dirty.push(stream);
    }

    fn receive(&mut self, node: u32, id: ConnId, message: Message) {
        let input = match message {
            Message::Bitfield(bits) => {
                self.told.push_back((node, Told::Bitfield(id, bits)));
                return;
            }
            Message::Have(piece) => {
                self.told.push_back((node, Told::Have(id, piece)));
                return;
            }
            Message::Interested(true) => Input::Interested(id),
            Message::Interested(false) => Input::NotInterested(id),
            Message::Choked(true) => Input::Choked(id),
            Message::Choked(false) => Input::Unchoked(id),
            Message::Request(b) => Input::Requested(id, b),
            Message::Cancel(b) => Input::Cancelled(id, b),
            Message::Reject(b) => Input::Rejected(id, b),
            Message::Suggest(p) => Input::Suggested(id, p),
            Message::Place(place) => {
                self.connect_parents(node, place);
                Input::Placed(id, place)
            }
            Message::Block(b, good) => {
                let n = &mut self.nodes[node as usize];
                if n.scheduler.as_ref().is_some_and(|s| s.wants(b.piece, b.first)) {
                    if good {
                        n.bad.remove(&(b.piece.0, b.first));
                    } else {
                        n.bad.insert((b.piece.0, b.first));
                    }
                    if node > 0 {
                        let step =
                            (self.now as f64 / 1e9 / self.room.ideal_s() * self.room.steps as f64) as usize;
                        if let Some(r) = self.received.get_mut(step) {
                            *r += u64::from(self.geometry.bytes_of(b));
                        }
                    }
                }
                Input::Arrived(id, b)
            }
        };
        self.told.push_back((node, Told::Plain(input)));
    }

    fn hashed(&mut self, node: u32, piece: PieceId) {
        let n = &mut self.nodes[node as usize];
        let blocks = self.geometry.blocks_in(piece);
        let bad = (0..blocks).any(|b| n.bad.contains(&(piece.0, b)));
        n.bad.retain(|b| b.0 != piece.0);
        if bad {
            self.told.push_back((node, Told::Plain(Input::Failed(piece))));
            return;
        }
        self.told.push_back((node, Told::Plain(Input::Verified(piece))));
        self.told.push_back((node, Told::Plain(Input::Stored(piece))));
        if self.out.insert(piece.0)
            && self.out.len() as u32 == self.geometry.piece_count()
            && self.room.server_leaves
        {
            self.at(self.now + 1, What::Kill(0));
        }
    }

    fn tell(&mut self, node: u32, told: Told) {
        let n = &mut self.nodes[node as usize];
        if n.dead {
            return;
        }
        let Some(scheduler) = n.scheduler.as_mut() else { return };
        let now = Duration::from_nanos(self.now);
        let mut out = Vec::new();
        match told {
            Told::Plain(input) => scheduler.handle(now, input, &mut out),
            Told::Bitfield(id, bits) => scheduler.handle(now, Input::Bitfield(id, &bits), &mut out),
            Told::Have(id, piece) => scheduler.handle(now, Input::Have(id, &[piece]), &mut out),
        }
        n.outstanding = n.outstanding.max(scheduler.outstanding());
        if let Some(wake) = scheduler.next_wakeup() {
            let wake = wake.as_nanos() as u64;
            if n.wake == 0 || wake < n.wake {
                let wake = wake.max(self.now + 1);
                n.wake = wake;
                self.at(wake, What::Wake(node, wake));
            }
        }
        for output in out {
            self.act(node, output);
        }
    }

    fn act(&mut self, node: u32, output: Output) {
        let (id, message) = match output {
            Output::Request(id, b) => (id, Message::Request(b)),
            Output::Cancel(id, b) => (id, Message::Cancel(b)),
            Output::Reject(id, b) => (id, Message::Reject(b)),
            Output::Have(id, p) => (id, Message::Have(p)),
            Output::Suggest(id, p) => (id, Message::Suggest(p)),
            Output::Place(id, place) => (id, Message::Place(place)),
            Output::Interested(id) => (id, Message::Interested(true)),
            Output::NotInterested(id) => (id, Message::Interested(false)),
            Output::Unchoke(id) => (id, Message::Choked(false)),
            Output::Choke(id) => (id, Message::Choked(true)),
            Output::Serve(id, blocks) => {
                let good = !self.nodes[node as usize].corrupt;
                let stream = self.stream(node, id);
                for b in blocks.first..blocks.first + blocks.count {
                    self.send(stream, Message::Block(Blocks::one(blocks.piece, b), good));
                }
                return;
            }
            Output::Check(piece) => {
                let bytes = u64::from(self.geometry.piece_size(piece));
                self.at(self.now + WAKE_UP + bytes, What::Hashed(node, piece));
                return;
            }
            Output::Discard(_) => return,
            Output::Disconnect(id, _) => return self.close(node, id, false),
            Output::Complete => {
                let n = &mut self.nodes[node as usize];
                if node > 0 && n.done.is_none() {
                    n.done = Some(self.now);
                    self.left -= usize::from(self.healthy[node as usize]);
                }
                return;
            }
        };
        self.send(self.stream(node, id), message);
    }

    fn stream(&self, node: u32, id: ConnId) -> u32 {
        let (conn, end) = self.nodes[node as usize].conns[id.0 as usize];
        conn * 2 + u32::from(end)
    }

    fn report(self) -> Report {
        let ideal_s = self.room.ideal_s();
        let size = self.room.size as f64;
        let in_ideals = |ns: Nanos| ns as f64 / 1e9 / ideal_s;
        let counted = || self.nodes.iter().zip(&self.healthy).filter(|(_, h)| **h).map(|(n, _)| n);
        let mut done: Vec<f64> = counted().filter_map(|n| n.done).map(in_ideals).collect();
        done.sort_by(f64::total_cmp);
        let own = counted().filter_map(|n| Some(in_ideals(n.done? - n.start))).fold(0.0, f64::max);
        let stats: Vec<_> =
            self.nodes.iter().skip(1).filter_map(|n| n.scheduler.as_ref()).map(Scheduler::stats).collect();
        let clients = self.room.clients as f64;
        let mean =
            |f: fn(&crate::scheduler::Stats) -> u64| stats.iter().map(|s| f(s) as f64).sum::<f64>() / clients;
        let idle = |f: fn(&crate::scheduler::Stats) -> Duration| {
            stats.iter().map(|s| f(s).as_secs_f64()).sum::<f64>() / clients / (self.now as f64 / 1e9)
        };
        let (bytes, dropped) = self.links.iter().fold((0, 0), |(b, d), l| (b + l.bytes, d + l.dropped));
        let elapsed = self.now as f64 / 1e9;
        let capacity = clients * self.room.rate / 8.0 * elapsed;
        let sent: u64 = stats.iter().map(|s| s.sent).sum();
        let up: u64 = self.links[1..=self.room.clients].iter().map(|l| l.bytes).sum();
        let trunks = self.links[2 * self.nodes.len()..].iter().skip(3).step_by(2);
        let crossed = trunks.map(|l| l.bytes as f64 / size).fold(0.0, f64::max);
        let step = clients * self.room.rate / 8.0 * 1448.0 / 1514.0 * ideal_s / self.room.steps as f64;
        let last_used = self.received.iter().rposition(|r| *r > 0).map_or(0, |p| p + 1);
        Report {
            healthy: self.healthy.iter().filter(|h| **h).count(),
            done: done.len(),
            ideal_s,
            last: if self.left == 0 { done.last().copied().unwrap_or(f64::NAN) } else { f64::INFINITY },
            median: done.get(done.len() / 2).copied().unwrap_or(f64::INFINITY),
            worst_own: own,
            server_copies: self.links[0].bytes as f64 / size,
            duplicates: mean(|s| s.wasted) / size,
            corrupt: mean(|s| s.corrupt) / size,
            late: mean(|s| s.late),
            drops: dropped as f64 * 3000.0 / bytes.max(1) as f64 * 1000.0,
            uplink: (sent as f64 / capacity, up as f64 / capacity),
            idle: (idle(|s| s.idle_up), idle(|s| s.idle_down)),
            crossed,
            phases: self.received[..last_used].iter().map(|r| *r as f64 / step).collect(),
            events: self.count,
        }
    }
}
