//! A room of schedulers, joined by queues that keep order, delay at random, and fail.

mod wires;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use ezio_scheduler::{
    Blocks, Config, ConnId, Echo, Geometry, Input, Near, Output, Pace, PieceId, Place, Role, Routes,
    Scheduler, SiteId, Start, TorrentId, TorrentShape,
};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::ledger::Ledger;

/// What a room is; node 0 is the server, nodes 1, 2, … are members.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) seed: u64,
    pub(crate) torrents: Vec<TorrentShape>,
    pub(crate) members: usize,
    /// Which nodes know of no trees, bit by bit, the server's first.
    pub(crate) meshes: u8,
    /// Members from which on there are trees.
    pub(crate) forest: u32,
    /// How long after the last of those came the trees are planted.
    pub(crate) settle: Duration,
    /// Bytes of pieces that a member may keep in RAM.
    pub(crate) memory: u64,
    /// Whether a client of another kind is there too: it has everything, chokes, rejects, and may not speak BEP 6.
    pub(crate) foreign: Option<bool>,
    /// A member that sends wrong data.
    pub(crate) corrupt: Option<usize>,
    /// A member that falls silent, and when.
    pub(crate) silent: Option<(usize, Duration)>,
    /// When a connection breaks.
    pub(crate) breaks: Vec<Duration>,
    /// Sites over which the nodes are spread, and known; 0: nobody knows.
    pub(crate) sites: u16,
    /// Up to so many of them are a ring.
    pub(crate) ring: u32,
    /// How many in a hundred of a member's pieces are on its target already, which it finds out as it goes.
    pub(crate) old: u8,
    /// When the server tells everybody that the odd nodes are at one site and the even at another.
    pub(crate) found: Option<Duration>,
}

/// Requests that a client of another kind keeps, in blocks.
const FOREIGN_QUEUE: u32 = 12;
/// More than any of these rooms needs.
const LIMIT: Duration = Duration::from_secs(1800);

#[derive(Debug)]
enum Message {
    Bitfield(Vec<u32>),
    Have(PieceId),
    Interest(bool),
    Unchoke(bool),
    Suggest(PieceId),
    Place(Option<Place>),
    Report(Vec<Pace>),
    Probe,
    Echo,
    Echoes(Vec<Echo>),
    Near(Near<u64>),
    Meet(Vec<u64>),
    Request(Blocks),
    Cancel(Blocks),
    Reject(Blocks),
    Block(PieceId, u32, bool),
    Closed,
}

enum Event {
    /// To one end of a wire.
    Deliver(usize, usize, Message),
    /// The kernel took so many bytes at one end of a wire.
    Sent(usize, usize, u32),
    Hashed(usize, PieceId, bool),
    Stored(usize, PieceId),
    LookedFor(usize, PieceId),
    Tick(usize),
    Break,
    Found,
    Connect(usize, usize, TorrentId),
    ToggleChoke(usize, usize, bool),
}

/// One connection: two ends, each a node and its number for it, while open.
struct Wire {
    torrent: TorrentId,
    nodes: [usize; 2],
    ids: [Option<ConnId>; 2],
    /// The last message to each end arrives then.
    last: [Duration; 2],
    choked: bool,
}

enum Kind {
    Ours(Box<Scheduler>, Box<Ledger>),
    Foreign { fast: bool },
}

struct Node {
    kind: Kind,
    wires: BTreeMap<ConnId, usize>,
    /// Bytes a second, and until when its uplink is busy.
    rate: f64,
    busy: Duration,
    site: Option<SiteId>,
    /// Where the server said that it is, and others.
    near: Option<(SiteId, BTreeMap<SiteId, Vec<u64>>)>,
}

pub(crate) struct World {
    room: Room,
    rng: SmallRng,
    now: Duration,
    geometry: Geometry,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    events: BinaryHeap<Reverse<(Duration, u64)>>,
    pending: BTreeMap<u64, Event>,
    next: u64,
}

impl World {
    pub(crate) fn new(room: &Room) -> Self {
        let mut world = Self {
            rng: SmallRng::seed_from_u64(room.seed),
            now: Duration::ZERO,
            geometry: Geometry::new(room.torrents.iter().copied()),
            nodes: Vec::new(),
            wires: Vec::new(),
            events: BinaryHeap::new(),
            pending: BTreeMap::new(),
            next: 0,
            room: room.clone(),
        };
        for node in 0..=room.members {
            world.add_ours(node);
        }
        if let Some(fast) = room.foreign {
            world.add(Kind::Foreign { fast }, None);
        }
        for a in 0..world.nodes.len() {
            for b in 0..a {
                for torrent in 0..room.torrents.len() {
                    world.later(0..300, Event::Connect(a, b, TorrentId(torrent as u16)));
                }
            }
        }
        for &at in &room.breaks {
            world.at(at, Event::Break);
        }
        room.found.into_iter().for_each(|at| world.at(at, Event::Found));
        world
    }

    fn add_ours(&mut self, node: usize) {
        let role = if node == 0 { Role::Server } else { Role::Member };
        let site = (self.room.sites > 0).then(|| SiteId(node as u16 % self.room.sites));
        let mut config = Config::new(role, self.rng.random());
        (config.member, config.memory, config.site) = (node as u64, self.room.memory, site);
        config.trees = self.room.meshes >> node.min(7) & 1 == 0;
        (config.tuning.forest, config.tuning.settle) = (self.room.forest, self.room.settle);
        config.tuning.ring = self.room.ring;
        let start = if node == 0 { Start::All } else { Start::None };
        let scheduler = Scheduler::new(config, self.geometry.clone(), &vec![start; self.room.torrents.len()]);
        let have: BTreeSet<u32> =
            if node == 0 { (0..self.geometry.piece_count()).collect() } else { BTreeSet::new() };
        let ledger = Ledger::new(have, self.room.memory);
        self.add(Kind::Ours(Box::new(scheduler), Box::new(ledger)), site);
        self.later(0..50, Event::Tick(node));
        if node > 0 && self.room.old > 0 {
            for piece in (0..self.geometry.piece_count()).map(PieceId) {
                // Some are found that nobody was told to wait for.
                if self.rng.random_bool(0.8) {
                    self.tell(node, Input::Sought(piece));
                }
                self.later(0..4000, Event::LookedFor(node, piece));
            }
        }
    }

    fn add(&mut self, kind: Kind, site: Option<SiteId>) {
        let rate = [0.2e6, 1e6, 10e6][self.rng.random_range(0..3)];
        self.nodes.push(Node { kind, wires: BTreeMap::new(), rate, busy: Duration::ZERO, site, near: None });
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.next += 1;
        self.events.push(Reverse((time.max(self.now), self.next)));
        self.pending.insert(self.next, event);
    }

    fn later(&mut self, ms: std::ops::Range<u64>, event: Event) {
        let wait = Duration::from_micros(self.rng.random_range(ms.start * 1000..ms.end * 1000));
        self.at(self.now + wait, event);
    }

    /// Until every member that is neither silent nor corrupt is complete.
    pub(crate) fn run(mut self) {
        while !self.is_done() {
            let Reverse((time, number)) = self.events.pop().expect("nothing will happen any more");
            assert!(time < LIMIT, "not done after {LIMIT:?}: {}", self.state());
            self.now = time;
            let event = self.pending.remove(&number).unwrap();
            self.happen(event);
        }
    }

    /// Who is not complete, and what it lacks.
    fn state(&self) -> String {
        let lacks = |(number, node): (usize, &Node)| match &node.kind {
            Kind::Ours(scheduler, ledger) if !ledger.complete => {
                Some(format!("node {number}: {}", ledger.state(scheduler)))
            }
            _ => None,
        };
        self.nodes.iter().enumerate().filter_map(lacks).collect::<Vec<_>>().join("; ")
    }

    fn is_done(&self) -> bool {
        (1..=self.room.members).filter(|n| self.room.corrupt != Some(*n)).all(|n| {
            self.room.silent.is_some_and(|(node, _)| node == n)
                || matches!(&self.nodes[n].kind, Kind::Ours(_, ledger) if ledger.complete)
        })
    }

    fn is_silent(&self, node: usize) -> bool {
        self.room.silent.is_some_and(|(silent, since)| silent == node && self.now >= since)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(node) => {
                self.poll(node);
                self.later(1..60, Event::Tick(node));
            }
            Event::Hashed(node, piece, right) if right => {
                self.tell(node, Input::Verified(piece));
                self.later(1..500, Event::Stored(node, piece));
            }
            Event::Hashed(node, piece, _) => self.tell(node, Input::Failed(piece)),
            Event::LookedFor(node, piece) => match self.rng.random_range(0..100) < self.room.old {
                true => self.tell(node, Input::Found(piece)),
                false => self.tell(node, Input::Absent(piece)),
            },
            Event::Stored(node, piece) => self.tell(node, Input::Stored(piece)),
            Event::Sent(wire, end, bytes) => {
                if let Some(id) = self.wires[wire].ids[end] {
                    self.tell(self.wires[wire].nodes[end], Input::Sent(id, bytes));
                }
            }
            Event::Deliver(wire, end, message) => self.deliver(wire, end, message),
            Event::Found => {
                let routes = Routes::of_all(None, &[0, 1].map(SiteId).into(), 2);
                for node in 0..=self.room.members {
                    let [own, other] = [node, node + 1].map(|node| SiteId(node as u16 % 2));
                    let at = |site: SiteId| {
                        (1..=self.room.members as u64).filter(|n| n % 2 == site.0.into()).collect()
                    };
                    let members = BTreeMap::from([own, other].map(|site| (site, at(site))));
                    self.learn_near(node, Near { site: own, routes: routes[&own].clone(), members });
                }
            }
            Event::Break => {
                let open: Vec<usize> = (0..self.wires.len())
                    .filter(|&w| self.wires[w].ids.iter().all(Option::is_some))
                    .collect();
                if !open.is_empty() {
                    let wire = open[self.rng.random_range(0..open.len())];
                    self.close(wire, 0);
                }
            }
            Event::Connect(a, b, torrent) => self.connect(a, b, torrent),
            Event::ToggleChoke(wire, end, choked) => {
                self.wires[wire].choked = choked;
                self.send(wire, 1 - end, Message::Unchoke(!choked));
                if self.wires[wire].ids[end].is_some() {
                    self.later(200..2000, Event::ToggleChoke(wire, end, !choked));
                }
            }
        }
    }

    fn tell(&mut self, node: usize, input: Input<'_>) {
        if self.is_silent(node) {
            return;
        }
        let Kind::Ours(scheduler, ledger) = &mut self.nodes[node].kind else { return };
        ledger.tell(&input, scheduler);
        scheduler.handle(self.now, input);
        // Several of these may come together.
        let several =
            matches!(input, Input::Have(..) | Input::Requested(..) | Input::Stored(_) | Input::PeerSite(..));
        if !several || self.rng.random_bool(0.5) {
            self.poll(node);
        }
    }

    fn poll(&mut self, node: usize) {
        if self.is_silent(node) {
            return;
        }
        let Kind::Ours(scheduler, _) = &mut self.nodes[node].kind else { return };
        let mut out = Vec::new();
        scheduler.poll(self.now, &mut out);
        self.act(node, out);
    }

    fn act(&mut self, node: usize, out: Vec<Output>) {
        let mut closing = Vec::new();
        for output in out {
            let Kind::Ours(scheduler, ledger) = &mut self.nodes[node].kind else { return };
            let told = match output {
                Output::Report(id) => Some((id, Message::Report(scheduler.take_report()))),
                Output::Echoes(id) => Some((id, Message::Echoes(scheduler.take_echoes()))),
                Output::Near(id) => scheduler.near(id).map(|near| (id, Message::Near(near))),
                Output::Meet(id) => Some((id, Message::Meet(scheduler.to_meet(id)))),
                _ => None,
            };
            if let Some(right) = ledger.said(output, scheduler)
                && let Output::Check(piece) = output
            {
                self.later(1..200, Event::Hashed(node, piece, right));
            }
            let (id, message) = match output {
                Output::Request(id, blocks) => (id, Message::Request(blocks)),
                Output::Cancel(id, blocks) => (id, Message::Cancel(blocks)),
                Output::Reject(id, blocks) => (id, Message::Reject(blocks)),
                Output::Have(id, piece) => (id, Message::Have(piece)),
                Output::Suggest(id, piece) => (id, Message::Suggest(piece)),
                Output::Place(id, place) => (id, Message::Place(place)),
                Output::Probe(id) => (id, Message::Probe),
                Output::Interested(id) => (id, Message::Interest(true)),
                Output::NotInterested(id) => (id, Message::Interest(false)),
                Output::Unchoke(id) => (id, Message::Unchoke(true)),
                Output::Serve(id, blocks) => {
                    let wire = self.nodes[node].wires[&id];
                    self.upload(wire, usize::from(self.wires[wire].nodes[1] == node), blocks);
                    continue;
                }
                Output::Disconnect(id, _) => {
                    closing.push(id);
                    continue;
                }
                Output::Report(_) | Output::Echoes(_) | Output::Near(_) | Output::Meet(_) => match told {
                    Some(told) => told,
                    None => continue,
                },
                Output::Check(_) | Output::Discard(_) | Output::Complete => continue,
            };
            let wire = self.nodes[node].wires[&id];
            self.send(wire, usize::from(self.wires[wire].nodes[0] == node), message);
        }
        if let Kind::Ours(scheduler, ledger) = &self.nodes[node].kind {
            ledger.check(scheduler);
        }
        for id in closing {
            let wire = self.nodes[node].wires[&id];
            self.close(wire, usize::from(self.wires[wire].nodes[1] == node));
        }
    }
}
