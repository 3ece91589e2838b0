//! Who fetches what from whom, and who is served first: the policy of the swarm, as a pure state machine.
//!
//! A driver tells it what happens ([`Input`], with the time since any fixed moment), which changes its state and decides nothing;
//! [`Scheduler::poll`] then goes through its rules, in one order, and says what is to be done ([`Output`]). It knows no sockets
//! and no clock, and takes all chance from its seed: the same inputs give the same outputs, in a simulator of a thousand nodes
//! as on real connections.
//!
//! All torrents of a job are one set of pieces with global numbers ([`Geometry`]); a connection carries one of them.
//!
//! The policy, by file: `poll` has the order of the rules, `fetch` asks (rarest first from peers with short queues), `late` asks elsewhere what does not
//! come, `serve` chooses whom to send to, `offer` finds work for who has nothing to send, `announce` tells others what is
//! here, `steer` lets the server hand each piece out once before any twice, `site` keeps traffic off thin links, across which `errand`
//! sends one machine for each piece (the first in `rank`, that all reckon alike);
//! where these are the server finds out (`shape`) by how long members' probes took (`probe`, `echoes`), and by how fast they say that
//! their streams are (`pace`, `flows`). `spread` is all
//! that differs between small rooms and large ones, where the server plants two trees (`forest`, `place`), and members pass on
//! along them (`relay`).

pub mod neighbours;

mod announce;
mod answers;
mod bits;
mod config;
mod echoes;
mod errand;
mod event;
mod fetch;
mod flows;
mod forest;
mod geometry;
mod late;
mod members;
mod offer;
mod pace;
mod parts;
mod peer;
mod pieces;
mod place;
mod poll;
mod probe;
mod rank;
mod rate;
mod receive;
mod relay;
mod routes;
mod serve;
mod shape;
mod site;
mod sought;
mod spread;
mod steer;
mod stopwatch;
mod tuning;
mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use announce::Announcements;
use answers::Answers;
use errand::Errands;
use members::Members;
use peer::Conns;
use pieces::Pieces;
use place::Places;
use poll::Due;
use probe::Probing;
use rate::{LinkRate, Rate};
use relay::Relay;
use serve::Serving;
use shape::Shape;
use spread::{Mesh, Spread, Trees};
use steer::Steering;

pub use config::Config;
pub use event::{
    ConnId, Echo, Input, Near, Output, PACK_BLOCKS, PROBE, Peer, Place, REQUEST_QUEUE, Reason, Role,
    SENT_AT_ONCE,
};
pub use geometry::{BLOCK_SIZE, Blocks, Geometry, PieceId, TorrentId, TorrentShape};
pub use routes::{Route, Routes, SiteId};
pub use stopwatch::Pace;
pub use tuning::{NUMBERS, Number, Tuning};

/// What of a torrent is there at the start.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// All of it.
    All,
    /// Nothing of it.
    None,
    /// What this bitfield says, most significant bit first.
    Bitfield(&'a [u8]),
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payload bytes that came and were wanted.
    pub received: u64,
    /// Those of them that came from a server.
    pub received_from_server: u64,
    /// Payload bytes that came and were not wanted: second copies, or never asked for.
    pub wasted: u64,
    /// Payload bytes of pieces with a wrong hash.
    pub corrupt: u64,
    /// Payload bytes sent.
    pub sent: u64,
    /// Blocks asked for again because they were late.
    pub late: u64,
    /// Time in which nobody waited for anything of ours.
    pub idle_up: Duration,
    /// Time in which nothing was outstanding, before all was here.
    pub idle_down: Duration,
    /// Pieces verified, those of the start included.
    pub pieces: u32,
    /// Bytes of these pieces.
    pub verified: u64,
}

/// The state machine. See the module's text.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    geometry: Geometry,
    spread: &'static dyn Spread,
    rng: SmallRng,
    now: Duration,
    conns: Conns,
    members: Members,
    pieces: Pieces,
    /// Payload bytes asked for and not yet here, over all connections.
    pending_bytes: u64,
    /// Bytes of verified pieces that still wait in RAM for the target.
    unstored: u64,
    down: Rate,
    /// Of it, what was not on the wire.
    saved: Rate,
    up: Rate,
    link: LinkRate,
    serving: Serving,
    announcements: Announcements,
    errands: Errands,
    steering: Steering,
    places: Places,
    relays: Vec<Relay>,
    /// Pieces that servers suggested while they were sought, in the order of the suggestions.
    sought_soon: VecDeque<PieceId>,
    probing: Probing,
    shape: Shape,
    /// What rules have to look at.
    due: Due,
    /// What is to be done.
    out: Vec<Output>,
    stats: Stats,
    last_tick: Duration,
    last_offer: Duration,
    last_report: Duration,
    /// When it became known where this node is.
    sited: Duration,
    /// How pieces travel between sites, as far as this node's own has to do with it.
    routes: Routes,
    /// When a block last arrived.
    last_arrival: Duration,
    /// How long answers take, of all peers together.
    answers: Answers,
    complete: bool,
}

impl Scheduler {
    /// A scheduler for a job of `geometry`, which has `start` of each torrent (missing entries: nothing).
    pub fn new(config: Config, geometry: Geometry, start: &[Start<'_>]) -> Self {
        let count = geometry.piece_count();
        let mut scheduler = Self {
            rng: SmallRng::seed_from_u64(config.seed),
            now: Duration::ZERO,
            conns: Conns::default(),
            members: Members::default(),
            pieces: Pieces::new(count),
            pending_bytes: 0,
            unstored: 0,
            down: Rate::default(),
            saved: Rate::default(),
            up: Rate::default(),
            link: LinkRate::default(),
            serving: Serving::default(),
            announcements: Announcements::default(),
            errands: Errands::new(count),
            steering: Steering::new(count),
            places: Places::default(),
            relays: Vec::new(),
            sought_soon: VecDeque::new(),
            probing: Probing::default(),
            shape: Shape::default(),
            due: Due::default(),
            out: Vec::new(),
            stats: Stats::default(),
            last_tick: Duration::ZERO,
            last_offer: Duration::ZERO,
            last_report: Duration::ZERO,
            sited: Duration::ZERO,
            routes: Routes::default(),
            last_arrival: Duration::ZERO,
            answers: Answers::default(),
            complete: false,
            spread: if config.trees { &Trees } else { &Mesh },
            config,
            geometry,
        };
        for (t, start) in start.iter().enumerate() {
            scheduler.take_start(TorrentId(t as u16), *start);
        }
        scheduler
    }

    fn take_start(&mut self, torrent: TorrentId, start: Start<'_>) {
        let Some(range) = self.geometry.pieces_of(torrent) else { return };
        for (index, id) in range.enumerate() {
            let has = match start {
                Start::All => true,
                Start::None => false,
                Start::Bitfield(bits) => bits.get(index / 8).is_some_and(|b| b >> (7 - index % 8) & 1 == 1),
            };
            if has && self.pieces.have.set(id) {
                self.stats.pieces += 1;
                self.stats.verified += u64::from(self.geometry.piece_size(PieceId(id)));
            }
        }
    }

    /// Takes one input at time `now`, never before that of the call before. It changes state, and notes what follows from it
    /// without any choice; the rest is [`Scheduler::poll`]'s, once for all inputs that come together.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Connected(conn, peer) => self.on_connected(conn, peer),
            Input::Closed(conn) => self.on_closed(conn),
            Input::Bitfield(conn, bits) => self.on_bitfield(conn, Start::Bitfield(bits)),
            Input::HaveAll(conn) => self.on_bitfield(conn, Start::All),
            Input::HaveNone(conn) => self.on_bitfield(conn, Start::None),
            Input::Have(conn, pieces) => self.on_have(conn, pieces),
            Input::Choked(conn) => self.on_choked(conn),
            Input::Unchoked(conn) => self.on_unchoked(conn),
            Input::Interested(_) | Input::NotInterested(_) => self.due.steer = true,
            Input::Suggested(conn, piece) => self.on_suggested(conn, piece),
            Input::Placed(conn, place) => self.spread.is_placed(self, conn, place),
            Input::Reported(conn, paces) => self.on_reported(conn, paces),
            Input::Echoed(conn) => self.on_echoed(conn),
            Input::Echoes(conn, echoes) => self.on_echoes(conn, echoes),
            Input::Rejected(conn, blocks) => self.on_rejected(conn, blocks),
            Input::Arrived(conn, blocks) => self.on_arrived(conn, blocks),
            Input::Saved(bytes) => self.saved.add(bytes),
            Input::Verified(piece) => self.on_verified(piece),
            Input::Failed(piece) => self.on_failed(piece),
            Input::Stored(piece) => self.on_stored(piece),
            Input::Sought(piece) => self.on_sought(piece),
            Input::Found(piece) => self.on_found(piece),
            Input::Absent(piece) => self.on_absent(piece),
            Input::Requested(conn, blocks) => self.on_requested(conn, blocks),
            Input::Cancelled(conn, blocks) => self.on_cancelled(conn, blocks),
            Input::Sent(conn, bytes) => self.on_sent(conn, bytes),
            Input::Meet => self.probe_more(),
            Input::OwnSite(site) => {
                if std::mem::replace(&mut self.config.site, site).is_none() {
                    self.sited = self.now;
                    self.probe_again();
                }
                self.due.moved = true;
            }
            Input::Routes(routes) => {
                self.routes.clone_from(routes);
                self.due.moved = true;
            }
            Input::PeerSite(conn, site) => {
                if let Some(conn) = self.conns.get_mut(conn) {
                    conn.peer.site = site;
                }
                self.due.moved = true;
            }
        }
    }

    /// When [`Scheduler::poll`] is due at the latest, also if nothing happens; none while there is nothing to wait for.
    pub fn next_wakeup(&self) -> Option<Duration> {
        (!self.conns.ids().is_empty()).then(|| {
            let tick = self.last_tick + self.config.tuning.tick;
            self.announcements.due().map_or(tick, |due| due.min(tick)).max(self.now)
        })
    }

    /// Whether this block is still to come: if not, its bytes can be dropped (tell [`Input::Arrived`] all the same).
    pub fn wants(&self, piece: PieceId, block: u32) -> bool {
        self.pieces
            .active(piece)
            .and_then(|a| a.blocks.get(block as usize))
            .is_some_and(|b| matches!(b, pieces::Block::Asked(..)))
    }

    /// Whether this node has the piece, verified.
    pub fn has(&self, piece: PieceId) -> bool {
        self.pieces.have.get(piece.0)
    }

    /// Whether every piece is verified.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// How the job is cut.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How many pieces of this connection's torrent its peer has.
    pub fn pieces_of_peer(&self, conn: ConnId) -> u32 {
        self.conns.get(conn).map_or(0, |c| c.has.count())
    }

    /// Payload bytes asked for and not yet here.
    pub fn outstanding(&self) -> u64 {
        self.pending_bytes
    }

    /// Bytes of pieces in RAM or on their way to it, as bounded by [`Config::memory`].
    pub fn memory(&self) -> u64 {
        self.pieces.active_bytes + self.unstored
    }

    /// Whether a member was shunned for corrupt data.
    pub fn is_shunned(&self, member: u64) -> bool {
        self.members.is_shunned(member)
    }
}
