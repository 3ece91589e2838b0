//! A running swarm, as its user sees it.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use ezio_contract::report::Progress;
use ezio_netproto::places::Places;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::config::{Config, Content, Role};
use crate::room::Room;
use crate::session::{Engine, Outcome, socket};
use crate::storage::{StorageError, WriteStats};
use crate::threads::Threads;
use crate::tracker;

/// Why a swarm cannot start, or ended.
#[derive(Debug, Clone, Error)]
pub enum SwarmError {
    /// There is nothing to do.
    #[error("no torrent to share")]
    NoContent,
    /// The same torrent twice.
    #[error("torrent {0:?} is given twice")]
    Twice(String),
    /// The address to listen on cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The system has no thread left.
    #[error("cannot start a thread")]
    Thread(#[source] Arc<io::Error>),
    /// A target failed: the job cannot complete.
    #[error("the target failed")]
    Storage(#[source] Arc<StorageError>),
    /// It was shut down before it was complete.
    #[error("shut down before it was complete")]
    ShutDown,
}

/// A running swarm. Dropping it stops it; [`Swarm::shutdown`] stops it, says farewell to the trackers, and waits.
pub struct Swarm {
    listen: SocketAddr,
    engine: Running,
    tasks: JoinSet<()>,
    announcers: JoinSet<()>,
    threads: Threads,
    stop: watch::Sender<bool>,
}

/// An engine that closes when its swarm lets go of it.
struct Running(Arc<Engine>);

impl Deref for Running {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// All farewells together take no longer.
const FAREWELL: Duration = Duration::from_secs(3);
/// A disk answers what it was asked last within that time, or is given up: that of Linux for one SCSI command.
const LAST_ANSWER: Duration = Duration::from_secs(30);

impl Swarm {
    /// Starts listening, announcing and transferring. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There is no content, one is given twice, the address cannot be listened on, or no thread can be started.
    pub async fn start(config: Config, contents: Vec<Content>) -> Result<Self, SwarmError> {
        // A server of an image that is made anew (swap alone) has nothing to share, and is asked for nothing.
        let nothing = contents.is_empty() && config.role != Role::Server;
        if nothing || contents.len() > usize::from(u16::MAX) {
            return Err(SwarmError::NoContent);
        }
        let mut seen = HashSet::new();
        if let Some(twice) = contents.iter().find(|c| !seen.insert(c.metainfo.info_hash())) {
            return Err(SwarmError::Twice(twice.metainfo.name().to_owned()));
        }
        let refuse = |e| SwarmError::Listen { address: config.listen, source: Arc::new(e) };
        let listener = listen(config.listen).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let trackers: Vec<_> = (0..).zip(&contents).map(|(i, c)| (i, c.trackers.clone())).collect();
        let engine = Engine::new(config, contents, address.port());
        let mut tasks = JoinSet::new();
        let asked = Arc::clone(&engine);
        let search = spawn_blocking(move || asked.ask_targets()).await.unwrap_or_default();
        let threads = Threads::new();
        engine.run(listener, search, &mut tasks, &threads).map_err(|e| SwarmError::Thread(Arc::new(e)))?;
        let (stop, stopped) = watch::channel(false);
        let mut announcers = JoinSet::new();
        for (torrent, urls) in trackers {
            let mut known = HashSet::new();
            for url in urls.into_iter().filter(|u| known.insert(u.clone())) {
                announcers.spawn(tracker::run(Arc::clone(&engine), torrent, url, stopped.clone()));
            }
        }
        Ok(Self { listen: address, engine: Running(engine), tasks, announcers, threads, stop })
    }

    /// Where connections are taken.
    #[must_use]
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen
    }

    /// The bound on connections that come to us.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        Arc::clone(&self.engine.places)
    }

    /// How far the job is, over all torrents; changes a few times a second, and with the first byte and the first piece.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.engine.watchers.progress.subscribe()
    }

    /// Who is connected and how far each is; changes about once a second.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<Room> {
        self.engine.watchers.room.subscribe()
    }

    /// Payload bytes received and sent so far, as they were on the wire: between machines that take packs, fewer than what
    /// [`Swarm::progress`] counts.
    #[must_use]
    pub fn on_wire(&self) -> (u64, u64) {
        self.engine.wire.bytes()
    }

    /// What was written so far, over all targets.
    #[must_use]
    pub fn write_stats(&self) -> WriteStats {
        self.engine
            .contents
            .iter()
            .map(|c| c.storage.write_stats())
            .fold(WriteStats::default(), WriteStats::plus)
    }

    /// Waits until every piece is verified, written and synced. It serves others before and after.
    ///
    /// # Errors
    /// A target failed, or the swarm was shut down.
    pub async fn completed(&self) -> Result<(), SwarmError> {
        let mut outcome = self.engine.outcome.subscribe();
        let end = outcome.wait_for(|o| !matches!(o, Outcome::Running)).await;
        match end.as_deref() {
            Ok(Outcome::Broken(error)) => Err(SwarmError::Storage(Arc::clone(error))),
            Ok(_) => Ok(()),
            Err(_) => Err(SwarmError::ShutDown),
        }
    }

    /// Adds peers to dial for all torrents.
    pub fn add_peers(&self, peers: &[SocketAddr]) {
        for torrent in 0..self.engine.contents.len() {
            self.engine.addresses.add(torrent, peers, true);
        }
    }

    /// Ends all connections, tells the trackers, and lets go of the targets: nothing here holds them afterwards. It takes
    /// a few seconds at most, unless a disk does not answer.
    pub async fn shutdown(self) {
        let Self { engine, mut tasks, mut announcers, threads, stop, .. } = self;
        stop.send_replace(true);
        engine.close();
        let farewells = async { while announcers.join_next().await.is_some() {} };
        // Who cannot be told forgets us by itself.
        let _ = timeout(FAREWELL, farewells).await;
        announcers.shutdown().await;
        tasks.shutdown().await;
        drop(engine);
        // Whoever opens a target next learns from the system that it is in use.
        let _ = timeout(LAST_ANSWER, threads.ended()).await;
    }
}

/// Connections that the kernel keeps for us while we are busy: a whole room dials at once.
const BACKLOG: u32 = 1024;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket::open(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
