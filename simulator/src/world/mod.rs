//! The state of a room, and the event loop.

mod connections;
mod event;
mod machines;
mod packets;
mod summary;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::link::{Link, Nanos};
use super::node::Node;
use super::report::Report;
use super::room::Room;
use super::tcp::Stream;
use event::{Event, Told, What};
use ezio_scheduler::{ConnId, Geometry, Input, TorrentShape};

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
            found: None,
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
                    self.told.push_back((node, Told::Nothing));
                }
            }
        }
    }
}
