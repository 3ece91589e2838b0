//! What a connection is to send, put there by whoever made the scheduler decide, taken by its task.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ezio_scheduler::{Blocks, Reason};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::pipeline::Content;

/// Why we close a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The scheduler says so.
    Scheduler(Reason),
    /// There is another one to the same peer.
    Duplicate,
    /// Its address has most connections, and somebody else has none.
    GivesWay,
    /// The swarm ends.
    ShutDown,
}

#[derive(Default)]
pub(super) struct Pending {
    /// Encoded messages, without blocks.
    pub(super) control: Vec<u8>,
    /// Blocks to send, in order.
    pub(super) serve: Vec<Blocks>,
    /// What was read or packed for this connection, by its order; none if reading failed.
    pub(super) loaded: Vec<(u64, Option<Content>)>,
    /// It is time to see whether the peer is silent, or we are.
    pub(super) idle: bool,
    pub(super) close: Option<Close>,
}

#[derive(Default)]
pub(super) struct Outbox {
    pending: Mutex<Pending>,
    news: Notify,
    /// Bytes of packs from its peer that are being unpacked.
    pub(super) unpacking: AtomicUsize,
}

impl Outbox {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    pub(super) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    pub(super) fn look_at_clock(&self) {
        self.lock().idle = true;
        self.wake();
    }

    pub(super) fn close(&self, why: Close) {
        self.lock().close.get_or_insert(why);
        self.wake();
    }
}
