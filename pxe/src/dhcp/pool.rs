//! Leases of `--dhcp full`. Pure; the time is given in seconds since 1970. A machine is its MAC: firmware, iPXE and
//! init send different client identifiers, and are to share one address.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ezio_contract::Mac;
use serde::{Deserialize, Serialize};

use crate::sites::AddressRange;

/// How long an offered address is held for the one it was offered to, in seconds.
const OFFER_S: u64 = 60;
/// How long an address that somebody declined, because another has it, is left alone, in seconds.
const DECLINED_S: u64 = 600;

/// A lease, or an offer of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) mac: Mac,
    pub(crate) address: Ipv4Addr,
    /// Seconds since 1970.
    pub(crate) expires: u64,
}

/// Addresses that are handed out.
#[derive(Debug)]
pub(crate) struct Leases {
    range: AddressRange,
    /// The server's own address and the router's, which may lie within the range.
    reserved: Vec<Ipv4Addr>,
    time_s: u64,
    by_mac: HashMap<Mac, Lease>,
    declined: HashMap<Ipv4Addr, u64>,
}

impl Leases {
    pub(crate) fn new(range: AddressRange, reserved: Vec<Ipv4Addr>, time_s: u64, known: Vec<Lease>) -> Self {
        let valid = known
            .into_iter()
            .filter(|lease| range.contains(lease.address) && !reserved.contains(&lease.address));
        let by_mac = valid.map(|lease| (lease.mac, lease)).collect();
        Self { range, reserved, time_s, by_mac, declined: HashMap::new() }
    }

    /// An address to offer: the one that it had, else the one it asks for, else a free one, else the one that
    /// expired first. `None` when all are taken.
    pub(crate) fn offer(&mut self, mac: Mac, wanted: Option<Ipv4Addr>, now: u64) -> Option<Ipv4Addr> {
        let had = self.by_mac.get(&mac).map(|lease| lease.address).filter(|a| self.is_free_for(*a, mac, now));
        let wanted = || wanted.filter(|a| self.is_free_for(*a, mac, now));
        let address = had.or_else(wanted).or_else(|| self.free(mac, now))?;
        let held = self.by_mac.get(&mac).filter(|l| l.address == address).map_or(0, |l| l.expires);
        self.put(mac, address, held.max(now + OFFER_S));
        Some(address)
    }

    /// Leases an address, if this machine may have it.
    pub(crate) fn lease(&mut self, mac: Mac, address: Ipv4Addr, now: u64) -> Option<Lease> {
        self.is_free_for(address, mac, now).then(|| self.put(mac, address, now + self.time_s))
    }

    /// The machine has no use for its address any more.
    pub(crate) fn release(&mut self, mac: Mac) -> Option<Lease> {
        self.by_mac.remove(&mac)
    }

    /// Somebody else has this address, says the machine that it was leased to.
    pub(crate) fn decline(&mut self, mac: Mac, address: Ipv4Addr, now: u64) {
        // Only the holder may say so, or one machine could decline them all.
        if self.by_mac.get(&mac).is_some_and(|lease| lease.address == address) {
            self.by_mac.remove(&mac);
            self.declined.insert(address, now + DECLINED_S);
        }
    }

    fn put(&mut self, mac: Mac, address: Ipv4Addr, expires: u64) -> Lease {
        // Whoever had it before has lost it: it was free.
        self.by_mac.retain(|_, lease| lease.address != address);
        let lease = Lease { mac, address, expires };
        self.by_mac.insert(mac, lease.clone());
        lease
    }

    fn is_free_for(&self, address: Ipv4Addr, mac: Mac, now: u64) -> bool {
        let taken = self.by_mac.values().any(|l| l.address == address && l.mac != mac && l.expires > now);
        !taken && self.is_usable(address, now)
    }

    /// May the address be handed out at all?
    fn is_usable(&self, address: Ipv4Addr, now: u64) -> bool {
        let declined = self.declined.get(&address).is_some_and(|until| *until > now);
        self.range.contains(address) && !self.reserved.contains(&address) && !declined
    }

    fn free(&self, mac: Mac, now: u64) -> Option<Ipv4Addr> {
        let used: HashMap<Ipv4Addr, u64> = self.by_mac.values().map(|l| (l.address, l.expires)).collect();
        let all = || (self.range.first.to_bits()..=self.range.last.to_bits()).map(Ipv4Addr::from_bits);
        // At most one address more than there are leases, reservations and declined ones is looked at.
        let fresh = all().find(|a| !used.contains_key(a) && self.is_free_for(*a, mac, now));
        let expired = || {
            let over =
                used.iter().filter(|(address, expires)| **expires <= now && self.is_usable(**address, now));
            over.min_by_key(|(address, expires)| (**expires, **address)).map(|(address, _)| *address)
        };
        fresh.or_else(expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(range: &str) -> Leases {
        Leases::new(range.parse().unwrap(), vec![Ipv4Addr::new(10, 0, 0, 1)], 3600, Vec::new())
    }

    fn m(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn a(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn a_machine_keeps_its_address_and_others_get_others() {
        let mut leases = leases("10.0.0.1-10.0.0.4");
        assert_eq!(leases.offer(m(1), None, 0), Some(a(2)));
        assert_eq!(leases.lease(m(1), a(2), 0).unwrap().expires, 3600);
        assert_eq!(leases.offer(m(2), Some(a(2)), 1), Some(a(3)));
        assert_eq!(leases.offer(m(3), Some(a(4)), 1), Some(a(4)));
        assert_eq!(leases.offer(m(4), None, 1), None);
        assert_eq!(leases.offer(m(1), Some(a(4)), 2), Some(a(2)));
        assert_eq!(leases.lease(m(4), a(2), 2), None);
        // Offers that nobody took are free again, then expired leases.
        assert_eq!(leases.offer(m(4), None, 62), Some(a(3)));
        assert_eq!(leases.offer(m(5), None, 62), Some(a(4)));
        assert_eq!(leases.offer(m(6), None, 63), None);
        assert_eq!(leases.offer(m(1), None, 5000), Some(a(2)));
    }

    #[test]
    fn only_the_holder_declines_and_releases() {
        let mut leases = leases("10.0.0.2-10.0.0.3");
        leases.lease(m(1), a(2), 0);
        leases.decline(m(2), a(2), 1);
        assert_eq!(leases.offer(m(1), None, 1), Some(a(2)));
        leases.decline(m(1), a(2), 1);
        assert_eq!(leases.offer(m(1), None, 2), Some(a(3)));
        assert_eq!(leases.offer(m(2), None, 2), None);
        assert_eq!(leases.offer(m(2), None, 2 + DECLINED_S), Some(a(2)));
        assert_eq!(leases.release(m(2)).unwrap().address, a(2));
    }

    #[test]
    fn addresses_outside_and_reserved_ones_are_not_leased() {
        let mut leases = leases("10.0.0.1-10.0.0.4");
        assert_eq!(leases.lease(m(1), a(1), 0), None);
        assert_eq!(leases.lease(m(1), a(9), 0), None);
    }

    #[test]
    fn leases_outlive_a_restart() {
        let known = vec![Lease { mac: m(1), address: a(3), expires: 100 }];
        let mut leases = Leases::new("10.0.0.2-10.0.0.4".parse().unwrap(), vec![], 3600, known);
        assert_eq!(leases.lease(m(2), a(3), 50), None);
        assert_eq!(leases.offer(m(1), None, 50), Some(a(3)));
    }
}
