//! Leases of `--dhcp full`. Pure; the time is given in seconds since 1970. A machine is its MAC: firmware, iPXE and
//! init send different client identifiers, and are to share one address.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ezio_contract::Mac;
use serde::{Deserialize, Serialize};

use super::subnet::Subnet;

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

/// Addresses that are handed out, of all subnets. A machine has one at a time: where it turns up in another subnet, it
/// has left the one before.
#[derive(Debug)]
pub(crate) struct Leases {
    /// The server's own address, which may lie within a range.
    reserved: Ipv4Addr,
    time_s: u64,
    by_mac: HashMap<Mac, Lease>,
    declined: HashMap<Ipv4Addr, u64>,
}

impl Leases {
    /// `known` are the leases of an earlier run; those that no subnet hands out any more are forgotten.
    pub(super) fn new(subnets: &[Subnet], reserved: Ipv4Addr, time_s: u64, known: Vec<Lease>) -> Self {
        let valid = |lease: &Lease| {
            lease.address != reserved && subnets.iter().any(|subnet| subnet.hands_out(lease.address))
        };
        let by_mac = known.into_iter().filter(valid).map(|lease| (lease.mac, lease)).collect();
        Self { reserved, time_s, by_mac, declined: HashMap::new() }
    }

    /// An address to offer in a subnet: the one that the machine had, else the one it asks for, else a free one, else the
    /// one that expired first. `None` when all are taken.
    pub(super) fn offer(
        &mut self,
        mac: Mac,
        wanted: Option<Ipv4Addr>,
        subnet: &Subnet,
        now: u64,
    ) -> Option<Ipv4Addr> {
        let fits = |address: &Ipv4Addr| self.is_free_for(*address, mac, subnet, now);
        let had = self.by_mac.get(&mac).map(|lease| lease.address).filter(fits);
        let address = had.or_else(|| wanted.filter(fits)).or_else(|| self.free(mac, subnet, now))?;
        let held = self.by_mac.get(&mac).filter(|l| l.address == address).map_or(0, |l| l.expires);
        self.put(mac, address, held.max(now + OFFER_S));
        Some(address)
    }

    /// Leases an address of a subnet, if this machine may have it.
    pub(super) fn lease(&mut self, mac: Mac, address: Ipv4Addr, subnet: &Subnet, now: u64) -> Option<Lease> {
        self.is_free_for(address, mac, subnet, now).then(|| self.put(mac, address, now + self.time_s))
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

    fn is_free_for(&self, address: Ipv4Addr, mac: Mac, subnet: &Subnet, now: u64) -> bool {
        let taken = self.by_mac.values().any(|l| l.address == address && l.mac != mac && l.expires > now);
        !taken && self.is_usable(address, subnet, now)
    }

    /// May the address be handed out at all?
    fn is_usable(&self, address: Ipv4Addr, subnet: &Subnet, now: u64) -> bool {
        let declined = self.declined.get(&address).is_some_and(|until| *until > now);
        subnet.hands_out(address) && address != self.reserved && !declined
    }

    fn free(&self, mac: Mac, subnet: &Subnet, now: u64) -> Option<Ipv4Addr> {
        let used: HashMap<Ipv4Addr, u64> = self.by_mac.values().map(|l| (l.address, l.expires)).collect();
        // At most a few addresses more than there are leases and declined ones are looked at.
        let fresh = subnet
            .range
            .addresses()
            .find(|a| !used.contains_key(a) && self.is_free_for(*a, mac, subnet, now));
        let expired = || {
            let over = used
                .iter()
                .filter(|(address, expires)| **expires <= now && self.is_usable(**address, subnet, now));
            over.min_by_key(|(address, expires)| (**expires, **address)).map(|(address, _)| *address)
        };
        fresh.or_else(expired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(range: &str) -> Subnet {
        Subnet { range: range.parse().unwrap(), mask: Ipv4Addr::new(255, 255, 255, 0), router: None }
    }

    fn leases(known: Vec<Lease>) -> Leases {
        Leases::new(&[subnet("10.0.0.1-10.0.0.9"), subnet("10.0.1.1-10.0.1.9")], a(1), 3600, known)
    }

    fn m(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    fn a(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn a_machine_keeps_its_address_and_others_get_others() {
        let (mut leases, net) = (leases(Vec::new()), &subnet("10.0.0.1-10.0.0.4"));
        assert_eq!(leases.offer(m(1), None, net, 0), Some(a(2)));
        assert_eq!(leases.lease(m(1), a(2), net, 0).unwrap().expires, 3600);
        assert_eq!(leases.offer(m(2), Some(a(2)), net, 1), Some(a(3)));
        assert_eq!(leases.offer(m(3), Some(a(4)), net, 1), Some(a(4)));
        assert_eq!(leases.offer(m(4), None, net, 1), None);
        assert_eq!(leases.offer(m(1), Some(a(4)), net, 2), Some(a(2)));
        assert_eq!(leases.lease(m(4), a(2), net, 2), None);
        // Offers that nobody took are free again, then expired leases.
        assert_eq!(leases.offer(m(4), None, net, 62), Some(a(3)));
        assert_eq!(leases.offer(m(5), None, net, 62), Some(a(4)));
        assert_eq!(leases.offer(m(6), None, net, 63), None);
        assert_eq!(leases.offer(m(1), None, net, 5000), Some(a(2)));
    }

    #[test]
    fn only_the_holder_declines_and_releases() {
        let (mut leases, net) = (leases(Vec::new()), &subnet("10.0.0.2-10.0.0.3"));
        leases.lease(m(1), a(2), net, 0);
        leases.decline(m(2), a(2), 1);
        assert_eq!(leases.offer(m(1), None, net, 1), Some(a(2)));
        leases.decline(m(1), a(2), 1);
        assert_eq!(leases.offer(m(1), None, net, 2), Some(a(3)));
        assert_eq!(leases.offer(m(2), None, net, 2), None);
        assert_eq!(leases.offer(m(2), None, net, 2 + DECLINED_S), Some(a(2)));
        assert_eq!(leases.release(m(2)).unwrap().address, a(2));
    }

    #[test]
    fn addresses_outside_and_reserved_ones_are_not_leased() {
        let (mut leases, net) = (leases(Vec::new()), &subnet("10.0.0.1-10.0.0.4"));
        assert_eq!(leases.lease(m(1), a(1), net, 0), None);
        assert_eq!(leases.lease(m(1), a(9), net, 0), None);
    }

    #[test]
    fn a_machine_that_moves_to_another_subnet_leaves_its_address_behind() {
        let mut leases = leases(Vec::new());
        let (here, there) = (&subnet("10.0.0.2-10.0.0.2"), &subnet("10.0.1.5-10.0.1.9"));
        leases.lease(m(1), a(2), here, 0).unwrap();
        assert_eq!(leases.offer(m(2), None, here, 1), None);
        assert_eq!(leases.lease(m(1), a(2), there, 1), None);
        assert_eq!(leases.offer(m(1), Some(a(2)), there, 1), Some(Ipv4Addr::new(10, 0, 1, 5)));
        assert_eq!(leases.offer(m(2), None, here, 1), Some(a(2)));
    }

    #[test]
    fn leases_outlive_a_restart_where_their_subnet_does() {
        let lease = |mac, address| Lease { mac, address, expires: 100 };
        let mut leases = leases(vec![lease(m(1), a(3)), lease(m(3), Ipv4Addr::new(10, 9, 0, 3))]);
        let net = &subnet("10.0.0.2-10.0.0.4");
        assert_eq!(leases.lease(m(2), a(3), net, 50), None);
        assert_eq!(leases.offer(m(1), None, net, 50), Some(a(3)));
        assert_eq!(leases.release(m(3)), None);
    }
}
