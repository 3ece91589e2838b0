//! What a room's network looks like: the rate of every link, and which switch a host hangs on.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Of 1514 bytes on the wire, TCP carries 1448 (MTU 1500, timestamps on).
pub const TCP_SHARE: f64 = 1448.0 / 1514.0;

/// The network of a room. Host 0 is the server, hosts 1 to `members` are the machines.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// Machines beside the server.
    pub members: usize,
    /// Rate of every link in Mbit/s, each direction for itself; none is unlimited.
    pub mbit: Option<f64>,
    /// Hosts whose link has another rate, in Mbit/s.
    pub slow: BTreeMap<usize, f64>,
    /// Switches; 0 counts as one. Every further one hangs on the first, by a cable.
    pub switches: usize,
    /// Every further switch hangs on the one before it, instead of the first.
    pub chain: bool,
    /// Rate of the cables between switches in Mbit/s; none is that of the links.
    pub trunk: Option<f64>,
}

impl Links {
    /// Rate of one host's link in Mbit/s.
    #[must_use]
    pub fn rate_of(&self, host: usize) -> Option<f64> {
        self.slow.get(&host).copied().or(self.mbit)
    }

    /// Switch that a host hangs on: the server on the first, the machines in equal runs.
    #[must_use]
    pub fn switch_of(&self, host: usize) -> usize {
        host.checked_sub(1).map_or(0, |machine| machine * self.switches.max(1) / self.members.max(1))
    }

    /// The switch that a further one hangs on.
    #[must_use]
    pub fn uplink_of(&self, switch: usize) -> usize {
        if self.chain { switch.saturating_sub(1) } else { 0 }
    }

    /// Address of a host.
    #[must_use]
    pub fn address(&self, host: usize) -> Ipv4Addr {
        let (net, number) = (host / 200, host % 200 + 1);
        Ipv4Addr::new(10, 77, net as u8, number as u8)
    }

    /// First and last address of the machines on a switch; the server is on the first one's.
    #[must_use]
    pub fn range_of(&self, switch: usize) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let mut there = (0..=self.members).filter(|&host| self.switch_of(host) == switch);
        let first = there.next()?;
        let last = there.next_back().unwrap_or(first);
        Some((self.address(first), self.address(last)))
    }

    /// The physical limit S/B in seconds: no schedule brings `bytes` to a machine sooner.
    #[must_use]
    pub fn ideal_seconds(&self, bytes: u64) -> f64 {
        self.mbit.map_or(0.0, |mbit| bytes as f64 * 8.0 / (mbit * 1e6 * TCP_SHARE))
    }
}

/// `tc` arguments of a token bucket: enough burst for a timer tick, 30 ms of queue.
pub(super) fn token_bucket(mbit: f64) -> String {
    let burst = (mbit * 1e6 / 8.0 / 250.0).max(131_072.0) as u64;
    format!("tbf rate {}kbit burst {burst} latency 30ms", (mbit * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_switches_split_the_machines_in_two_ranges() {
        let links = Links { members: 38, switches: 2, ..Links::default() };
        assert_eq!(links.switch_of(0), 0);
        assert_eq!(links.switch_of(19), 0);
        assert_eq!(links.switch_of(20), 1);
        assert_eq!(links.range_of(0), Some((Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 20))));
        assert_eq!(links.range_of(1), Some((Ipv4Addr::new(10, 77, 0, 21), Ipv4Addr::new(10, 77, 0, 39))));
        assert_eq!(links.range_of(2), None);
    }

    #[test]
    fn switches_are_a_star_or_a_chain() {
        let star = Links { switches: 3, ..Links::default() };
        assert_eq!([1, 2].map(|switch| star.uplink_of(switch)), [0, 0]);
        let chain = Links { chain: true, ..star };
        assert_eq!([1, 2].map(|switch| chain.uplink_of(switch)), [0, 1]);
    }

    #[test]
    fn the_limit_is_what_tcp_carries() {
        let links = Links { members: 1, mbit: Some(20.0), ..Links::default() };
        let seconds = links.ideal_seconds(96 << 20);
        assert!((seconds - 42.1).abs() < 0.05, "{seconds}");
    }
}
