//! What measures how fast a stream goes while it has something to carry.
//!
//! It is the sender who measures, from the moment it gives a connection something to send until the kernel has sent that: so
//! neither how much is asked for counts, nor how long requests wait for their turn.

use std::time::Duration;

/// What went to one member since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// To whom ([`super::Peer::member`]).
    pub member: u64,
    /// Payload bytes that were sent.
    pub bytes: u32,
    /// For how long there was something to send.
    pub busy: Duration,
}

/// The clock of one connection.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    bytes: u64,
    busy: Duration,
    /// There has been something to send since then.
    since: Option<Duration>,
}

impl Stopwatch {
    /// There is something to send.
    pub(super) fn start(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// Some was sent; `all`: there is nothing more.
    pub(super) fn sent(&mut self, now: Duration, bytes: u32, all: bool) {
        self.bytes += u64::from(bytes);
        if all && let Some(since) = self.since.take() {
            self.busy += now.saturating_sub(since);
        }
    }

    /// Whether it has run since it was read.
    pub(super) fn has_run(&self) -> bool {
        self.bytes > 0 || self.since.is_some()
    }

    /// What it shows, from 0 again; none if that says nothing.
    pub(super) fn read(&mut self, now: Duration, brief: Duration) -> Option<(u32, Duration)> {
        if let Some(since) = &mut self.since {
            self.busy += now.saturating_sub(*since);
            *since = now;
        }
        if self.bytes == 0 && self.busy < brief {
            return None;
        }
        let bytes = u32::try_from(std::mem::take(&mut self.bytes)).unwrap_or(u32::MAX);
        Some((bytes, std::mem::take(&mut self.busy)))
    }
}
