//! How fast each stream goes while it has something to carry: what members tell the server, which sees by it where thin links
//! are ([`super::shape`]).

use std::time::Duration;

use super::Scheduler;
use super::event::{ConnId, Output, Role};
use super::peer::Conn;
use super::stopwatch::Pace;

impl Scheduler {
    /// A member that was not told by an operator where it is tells a server how fast its streams are, when it is time: in trees,
    /// which only rooms at one switch keep, the less often the longer it has been there. A thousand reports and their ACKs are a
    /// twentieth of the server's link.
    pub(super) fn report(&mut self) {
        let Some(since) = self.probing.since() else { return };
        let t = &self.config.tuning;
        let rest = match self.spread.is_under_way(self) {
            true => (self.now - since).mul_f64(t.report_part),
            false => Duration::ZERO,
        };
        if self.now.saturating_sub(self.last_report) < t.report.max(rest) {
            return;
        }
        self.last_report = self.now;
        if !self.conns.iter().any(|(_, conn)| conn.stopwatch.has_run()) {
            return;
        }
        self.out.extend(self.server().map(Output::Report));
    }

    /// A server that a member can tell something.
    pub(super) fn server(&self) -> Option<ConnId> {
        let is_server = |conn: &Conn| conn.peer.role == Role::Server && !conn.closing;
        self.conns.iter().find(|(_, conn)| is_server(conn)).map(|(id, _)| id)
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
