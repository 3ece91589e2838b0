//! Everything between the sockets and the scheduler: taking and making connections, moving messages and blocks, and
//! telling how far the job is.
//!
//! The order of locks: the core's, then those of the sites and of outboxes. The pipeline is never called with one of them held, for its
//! own (`pipeline`) may be held by a thread that has to tell the core.

mod connection;
mod core;
mod dial;
mod handshake;
mod listen;
mod outbox;
mod progress;
mod rate_limit;
mod receive;
mod search;
mod sites;
pub(crate) mod socket;
mod transmit;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use ezio_netproto::places::Places;
use ezio_scheduler::neighbours::{NEIGHBOURS, Neighbours};
use ezio_scheduler::{ConnId, Geometry, Input, Near, PieceId, Scheduler, SiteId, Start, TorrentId};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use self::core::{Core, Effects};
use crate::block::BlockPool;
use crate::config::{Config, Content, Role, Site, geometry};
use crate::pipeline::{Bounds, Pipeline, PipelineEvents};
use crate::storage::StorageError;
use crate::threads::Threads;
use crate::zeros::ZeroPieces;
use outbox::Close;
use rate_limit::RateLimit;
use sites::Sites;

pub(crate) use dial::AddressBook;
pub(crate) use handshake::new_peer_id;
pub(crate) use search::Search;

/// What a server keeps of what it has read: chunks of which further parts will be asked for.
const SERVER_CACHE: u64 = 16 << 20;

/// How far the job is, as the engine tells whoever waits for it.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Running,
    Complete,
    Broken(Arc<StorageError>),
}

/// What all tasks of a swarm share.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) contents: Vec<Content>,
    pub(crate) geometry: Geometry,
    pub(crate) peer_id: [u8; 20],
    /// Who we are on all our connections.
    member: [u8; 8],
    pub(crate) port: u16,
    torrents: HashMap<[u8; 20], TorrentId>,
    core: Mutex<Core>,
    pipeline: Arc<Pipeline>,
    pool: Arc<BlockPool>,
    pub(crate) addresses: AddressBook,
    sites: RwLock<Arc<Sites>>,
    limit_up: Option<RateLimit>,
    limit_down: Option<RateLimit>,
    pub(crate) wire: Wire,
    /// Of connections that come to us.
    pub(crate) places: Arc<Places>,
    pub(crate) watchers: progress::Watchers,
    pub(crate) outcome: watch::Sender<Outcome>,
    ticker: Notify,
}

impl Engine {
    /// An engine that listens on `port`.
    pub(crate) fn new(config: Config, contents: Vec<Content>, port: u16) -> Arc<Self> {
        let geometry = geometry(&contents);
        // Of the memory, the larger part is for what arrives and waits to be written; the rest keeps what was
        // written for upload, and as much again what came packed. A server only reads: the kernel keeps its files in memory, a second copy would not help.
        let arriving = config.memory / 8 * 5;
        let cache = if config.role == Role::Server { SERVER_CACHE } else { config.memory / 8 * 2 };
        let role = match config.role {
            Role::Server => ezio_scheduler::Role::Server,
            Role::Member => ezio_scheduler::Role::Member,
        };
        let mut policy = ezio_scheduler::Config::new(role, config.seed);
        let member: [u8; 8] = rand::random();
        policy.member = u64::from_be_bytes(member);
        policy.memory = arriving;
        let zeros = ZeroPieces::of(contents.iter().map(|c| &*c.metainfo), &geometry);
        let start: Vec<Start<'_>> =
            contents.iter().map(|c| if c.complete { Start::All } else { Start::None }).collect();
        let scheduler = Scheduler::new(policy, geometry.clone(), &start);
        // All of it is kept for use: memory that goes back and forth to the system costs as much as copying.
        let pool = BlockPool::new(config.memory);
        let targets = contents.iter().map(|c| (Arc::clone(&c.metainfo), Arc::clone(&c.storage))).collect();
        let torrents = (0..).zip(&contents).map(|(i, c)| (c.metainfo.info_hash().0, TorrentId(i))).collect();
        Arc::new_cyclic(|engine| Self {
            pipeline: Arc::new(Pipeline::new(
                targets,
                geometry.clone(),
                zeros,
                Arc::clone(&pool),
                Bounds { kept: cache, packed: config.memory / 4, gathered: arriving / 2 },
                Arc::new(Events(Weak::clone(engine))),
            )),
            peer_id: new_peer_id(),
            member,
            port,
            torrents,
            core: Mutex::new(Core::new(scheduler)),
            pool,
            addresses: AddressBook::new(),
            sites: RwLock::new(Arc::new(Sites::new(config.sites.clone()))),
            limit_up: config.limit_up.map(RateLimit::new),
            limit_down: config.limit_down.map(RateLimit::new),
            wire: Wire::default(),
            places: Places::new(config.max_connections),
            outcome: watch::Sender::new(Outcome::Running),
            ticker: Notify::new(),
            watchers: progress::Watchers::new(geometry.total_length()),
            geometry,
            contents,
            config,
        })
    }

    /// Starts `threads` and `tasks`, and looks for what is left to `search`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn run(
        self: &Arc<Self>,
        listener: tokio::net::TcpListener,
        search: Option<Search>,
        tasks: &mut JoinSet<()>,
        threads: &Threads,
    ) -> std::io::Result<()> {
        self.pipeline.run(self.config.hashing, threads)?;
        search.map_or(Ok(()), |search| search.run(self, threads))?;
        tasks.spawn(listen::run(Arc::clone(self), listener));
        tasks.spawn(dial::run(Arc::clone(self)));
        tasks.spawn(progress::run(Arc::clone(self)));
        tasks.spawn(tick(Arc::clone(self)));
        tasks.spawn(connection::watch(Arc::clone(self)));
        // A job that has everything is complete without anything happening.
        self.with_core(|_| ());
        Ok(())
    }

    /// Has the lock for `act`, then does what the scheduler decided.
    fn with_core<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        self.with_core_of(None, act)
    }

    /// As [`Engine::with_core`], for a connection's task, which looks into its outbox before it waits.
    fn with_core_of<T>(&self, own: Option<ConnId>, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut effects = Effects::default();
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.look_at_clock();
        let result = act(&mut core);
        core.dispatch(own, &mut effects);
        drop(core);
        for outbox in effects.wake {
            outbox.wake();
        }
        for (piece, blocks, packs) in effects.check {
            self.pipeline.check(piece, blocks, packs);
        }
        if effects.begun {
            self.watchers.publish(self);
        }
        if effects.complete {
            self.pipeline.finish();
        }
        result
    }

    /// Who is where.
    fn sites(&self) -> Arc<Sites> {
        Arc::clone(&self.sites.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A server told us who is where; `own` is our address on the way to it.
    fn learn_sites(&self, table: &[Site], own: IpAddr) {
        if let Some(sites) = self.sites().learn(table, own) {
            self.with_core(|core| self.take_sites(core, sites));
        }
    }

    /// The server says how pieces travel, or has found out who is where; it is to be asked from everywhere, so it counts as near itself.
    fn learn_near(&self, core: &mut Core, mut near: Near<SocketAddr>, server: SocketAddr) {
        near.members.entry(near.site).or_default().push(server);
        let sites = self.sites().found(near);
        self.take_sites(core, sites);
    }

    fn take_sites(&self, core: &mut Core, sites: Sites) {
        let sites = Arc::new(sites);
        *self.sites.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&sites);
        core.input(Input::OwnSite(sites.own()));
        core.input(Input::Routes(sites.routes()));
        let all: Vec<_> = core.conns().map(|(id, c)| (id, c.address.ip())).collect();
        for (id, address) in all {
            core.input(Input::PeerSite(id, sites.of(address)));
        }
    }

    /// Bytes of a torrent that are not verified yet.
    pub(crate) fn left(&self, torrent: usize) -> u64 {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let torrent = TorrentId(u16::try_from(torrent).unwrap_or(u16::MAX));
        let pieces = self.geometry.pieces_of(torrent).unwrap_or_default().map(PieceId);
        pieces.filter(|&p| !core.scheduler.has(p)).map(|p| u64::from(self.geometry.piece_size(p))).sum()
    }

    /// Whether we are at one of several sites, in a room too large for all to know each other.
    fn is_at_a_site(&self) -> bool {
        self.addresses.is_large() && self.sites().own().is_some()
    }

    /// The rule for how many neighbours we have.
    fn neighbours(&self) -> Neighbours {
        if self.is_at_a_site() { NEIGHBOURS.at_a_site() } else { NEIGHBOURS }
    }

    /// Whether an address is one of those of which we know few: at another site, in a large room.
    fn is_far(&self, address: IpAddr) -> bool {
        self.addresses.is_large() && self.sites().is_across(address)
    }

    /// Connections for a torrent: to machines that are not far, and to far ones at each site.
    fn connections_of(&self, torrent: TorrentId) -> (usize, BTreeMap<SiteId, usize>) {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let (sites, mut there) = (self.sites(), BTreeMap::new());
        let far = core.conns().filter(|(_, c)| c.torrent == torrent && self.is_far(c.address.ip()));
        for site in far.filter_map(|(_, c)| sites.of(c.address.ip())) {
            *there.entry(site).or_default() += 1;
        }
        (self.count_connections(&core, torrent, false), there)
    }

    fn count_connections(&self, core: &Core, torrent: TorrentId, far: bool) -> usize {
        core.conns().filter(|(_, c)| c.torrent == torrent && self.is_far(c.address.ip()) == far).count()
    }

    /// All connections for a torrent, by its place in the job.
    pub(crate) fn connections_of_torrent(&self, torrent: usize) -> usize {
        let torrent = TorrentId(u16::try_from(torrent).unwrap_or(u16::MAX));
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.conns().filter(|(_, c)| c.torrent == torrent).count()
    }

    /// Is every piece verified?
    pub(crate) fn is_complete(&self) -> bool {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).scheduler.is_complete()
    }

    /// Bytes of these pieces.
    fn size_of(&self, pieces: impl IntoIterator<Item = u32>) -> u64 {
        pieces.into_iter().map(|piece| u64::from(self.geometry.piece_size(PieceId(piece)))).sum()
    }

    /// Somebody is connected, and nothing was asked of anybody.
    fn waits_for_nothing(&self) -> bool {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.scheduler.outstanding() == 0 && core.conns().next().is_some()
    }

    /// What is to be looked for on the targets before all others.
    fn next_sought(&self) -> Option<PieceId> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner).scheduler.next_sought()
    }

    /// Payload bytes received and sent so far.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let stats = self.core.lock().unwrap_or_else(PoisonError::into_inner).scheduler.stats();
        (stats.received, stats.sent)
    }

    /// Ends the pipeline's threads and all connections.
    pub(crate) fn close(&self) {
        self.pipeline.close();
        self.with_core(|core| core.conns().for_each(|(_, c)| c.outbox.close(Close::ShutDown)));
    }
}

/// Payload bytes as they were on the wire: of packs those that were sent, not those that they stand for.
#[derive(Default)]
pub(crate) struct Wire {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Wire {
    fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Received and sent so far.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

/// Wakes the scheduler when it wants to look at the clock.
async fn tick(engine: Arc<Engine>) {
    loop {
        let wakeup = engine.core.lock().unwrap_or_else(PoisonError::into_inner).next_wakeup();
        match wakeup {
            Some(wait) => tokio::time::sleep(wait.max(std::time::Duration::from_millis(2))).await,
            None => engine.ticker.notified().await,
        }
        engine.with_core(|_| ());
    }
}

/// What the pipeline tells; the pipeline must not keep the engine alive.
struct Events(Weak<Engine>);

impl Events {
    fn tell(&self, act: impl FnOnce(&Engine)) {
        if let Some(engine) = self.0.upgrade() {
            act(&engine);
        }
    }
}

impl PipelineEvents for Events {
    fn verified(&self, piece: PieceId) {
        self.tell(|e| e.with_core(|core| core.input(Input::Verified(piece))));
    }

    fn failed(&self, piece: PieceId) {
        tracing::warn!(piece = piece.0, "a piece has a wrong hash: it is fetched again");
        self.tell(|e| e.with_core(|core| core.input(Input::Failed(piece))));
    }

    fn stored(&self, pieces: &[PieceId]) {
        self.tell(|e| e.with_core(|core| pieces.iter().for_each(|&p| core.input(Input::Stored(p)))));
    }

    fn broken(&self, error: StorageError) {
        self.tell(|e| {
            e.outcome.send_replace(Outcome::Broken(Arc::new(error)));
        });
    }

    fn finished(&self) {
        self.tell(|e| {
            e.watchers.publish(e);
            e.outcome.send_replace(Outcome::Complete);
        });
    }
}
