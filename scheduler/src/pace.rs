//! How fast each stream goes while it has something to carry: what members tell the server, which sees by it where thin links
//! are ([`super::shape`]).
//!
//! It is the sender who measures, from the moment it gives a connection something to send until the kernel has sent that: so
//! neither how much is asked for counts, nor how long requests wait for their turn.

use std::time::Duration;

use super::Scheduler;
use super::event::{Output, Role};
use super::peer::Conn;

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
    fn has_run(&self) -> bool {
        self.bytes > 0 || self.since.is_some()
    }

    /// What it shows, from 0 again; none if that says nothing.
    fn read(&mut self, now: Duration, brief: Duration) -> Option<(u32, Duration)> {
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

impl Scheduler {
    /// A member tells a server how fast its streams are, when it is time.
    pub(super) fn report(&mut self) {
        if self.config.role != Role::Member
            || self.now.saturating_sub(self.last_report) < self.config.tuning.report
        {
            return;
        }
        self.last_report = self.now;
        if !self.conns.iter().any(|(_, conn)| conn.stopwatch.has_run()) {
            return;
        }
        let is_server = |c: &Conn| c.peer.role == Role::Server && !c.closing;
        self.out.extend(self.conns.iter().find(|(_, c)| is_server(c)).map(|(id, _)| Output::Report(id)));
    }

    /// What [`Output::Report`] is to carry. The next begins where this one ends.
    pub fn take_report(&mut self) -> Vec<Pace> {
        // What seems faster than the link went into a buffer.
        let link = self.link.per_s().max(1.0);
        let mut paces = Vec::new();
        for at in 0..self.conns.ids().len() {
            let id = self.conns.ids()[at];
            let (now, brief) = (self.now, self.config.tuning.brief);
            if let Some(conn) = self.conns.get_mut(id)
                && conn.peer.role == Role::Member
                && let Some((bytes, busy)) = conn.stopwatch.read(now, brief)
            {
                let busy = busy.max(Duration::from_secs_f64(f64::from(bytes) / link));
                paces.push(Pace { member: conn.peer.member, bytes, busy });
            }
        }
        paces
    }
}
