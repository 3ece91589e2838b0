//! A running swarm, as its user sees it.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ezio_contract::report::Progress;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::config::{Config, Content, Role};
use crate::room::Room;
use crate::session::{Engine, Outcome, socket};
use crate::storage::{StorageError, WriteStats};
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

/// A running swarm. Dropping it stops it; [`Swarm::shutdown`] stops it and says farewell to the trackers.
pub struct Swarm {
    listen: SocketAddr,
    engine: Arc<Engine>,
    tasks: JoinSet<()>,
    announcers: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// All farewells together take no longer.
const FAREWELL: Duration = Duration::from_secs(3);

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
        engine.run(listener, search, &mut tasks).map_err(|e| SwarmError::Thread(Arc::new(e)))?;
        let (stop, stopped) = watch::channel(false);
        let mut announcers = JoinSet::new();
        for (torrent, urls) in trackers {
            let mut known = HashSet::new();
            for url in urls.into_iter().filter(|u| known.insert(u.clone())) {
                announcers.spawn(tracker::run(Arc::clone(&engine), torrent, url, stopped.clone()));
            }
        }
        Ok(Self { listen: address, engine, tasks, announcers, stop })
    }

    /// Where connections are taken.
    #[must_use]
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen
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

    /// Ends all connections and tells the trackers; takes a few seconds at most.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.engine.close();
        let farewells = async { while self.announcers.join_next().await.is_some() {} };
        // Who cannot be told forgets us by itself.
        let _ = timeout(FAREWELL, farewells).await;
        self.tasks.shutdown().await;
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.engine.close();
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
