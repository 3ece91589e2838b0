//! What came out.

use std::fmt;

/// Result of a simulated room. Times of clients are multiples of S/B, for the healthy ones only.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Clients that count: not slow, not killed, not corrupt.
    pub healthy: usize,
    /// Those of them that are complete.
    pub done: usize,
    /// S/B, in seconds.
    pub ideal_s: f64,
    /// Last client, from the first one's start.
    pub last: f64,
    /// Median client.
    pub median: f64,
    /// The client that took longest from its own start.
    pub worst_own: f64,
    /// Bytes on the server's link, in image sizes.
    pub server_copies: f64,
    /// Payload that arrived unwanted, per client, in image sizes.
    pub duplicates: f64,
    /// Payload with a wrong hash, per client, in image sizes.
    pub corrupt: f64,
    /// Blocks asked for twice, per client.
    pub late: f64,
    /// Packets dropped at full queues, of a thousand.
    pub drops: f64,
    /// Mean use of the clients' uplinks until the last is done: payload, and all bytes.
    pub uplink: (f64, f64),
    /// Part of the time in which a client was asked for nothing; in which it had nothing outstanding.
    pub idle: (f64, f64),
    /// Image copies that crossed from the server's switch to others, per switch.
    pub crossed: f64,
    /// Clients that the server told who is near.
    pub placed: usize,
    /// Mean download rate of a client, in B, in each step of the time ([`super::Room::steps`] of S/B).
    pub phases: Vec<f64>,
    /// Simulated events.
    pub events: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "last {:.3} median {:.3} own {:.3} | done {}/{} of S/B {:.1} s | server {:.3} S | dup {:.4} corrupt {:.4} S, late {:.0} | drops {:.1}/1000 | uplinks {:.3} (all bytes {:.3}) | idle up {:.3} down {:.3}",
            self.last,
            self.median,
            self.worst_own,
            self.done,
            self.healthy,
            self.ideal_s,
            self.server_copies,
            self.duplicates,
            self.corrupt,
            self.late,
            self.drops,
            self.uplink.0,
            self.uplink.1,
            self.idle.0,
            self.idle.1
        )?;
        if self.crossed > 0.0 {
            write!(f, " | crossed {:.2} S", self.crossed)?;
        }
        if self.placed > 0 {
            write!(f, " | {} told who is near", self.placed)?;
        }
        write!(f, "\n  download rate over time:")?;
        self.phases.iter().try_for_each(|p| write!(f, " {p:.2}"))
    }
}
