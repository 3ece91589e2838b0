//! Who is at which site: the operator's table, as the server has it and tells it; or, without one, who is near by what the
//! server has found out.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use ezio_scheduler::{Near, Ring, SiteId};

use crate::config::Site;

/// Sites as a machine knows them that was told where it is: pieces come from the one before its own, and go to the one after.
const BEFORE: SiteId = SiteId(0);
const HERE: SiteId = SiteId(1);
const AFTER: SiteId = SiteId(2);
const ELSEWHERE: SiteId = SiteId(3);

/// The table, and where we are ourselves.
#[derive(Debug)]
pub(super) struct Sites {
    table: Vec<Site>,
    own: Option<SiteId>,
    /// Who is here, at the site before and at the one after, where there is no table.
    found: Option<[HashSet<IpAddr>; 3]>,
}

impl Sites {
    /// By this table, our own place unknown.
    pub(super) fn new(table: Vec<Site>) -> Self {
        Self { table, own: None, found: None }
    }

    /// By a server's table, if that is another one; `own` is our address on the way to it.
    pub(super) fn learn(&self, table: &[Site], own: IpAddr) -> Option<Self> {
        let mut new = (self.table.as_slice() != table).then(|| Self::new(table.to_vec()))?;
        new.own = new.of(own);
        Some(new)
    }

    /// By what the server has found out; none where the operator's table says who is where.
    pub(super) fn found(&self, near: Near<SocketAddr>) -> Option<Self> {
        let set = |list: Vec<SocketAddr>| list.iter().map(|at| at.ip().to_canonical()).collect();
        let found = Some(near.sites().map(set));
        self.table.is_empty().then(|| Self { table: Vec::new(), own: Some(HERE), found })
    }

    /// Our own site.
    pub(super) fn own(&self) -> Option<SiteId> {
        self.own
    }

    /// Where an address is.
    pub(super) fn of(&self, address: IpAddr) -> Option<SiteId> {
        if let Some(found) = &self.found {
            let site = found.iter().zip([HERE, BEFORE, AFTER]);
            let site = site.into_iter().find(|(there, _)| there.contains(&address.to_canonical()));
            return Some(site.map_or(ELSEWHERE, |(_, site)| site));
        }
        let found = self.table.iter().find(|site| contains(site, address.to_canonical()));
        found.map(|site| SiteId(site.site))
    }

    /// The site before ours in the ring, among those of these addresses: what is not here is asked of it.
    pub(super) fn before(&self, addresses: impl Iterator<Item = IpAddr>) -> Option<SiteId> {
        Ring::new(self.own?, addresses.filter_map(|address| self.of(address))).before
    }

    /// Whether an address is known to be at another site than ours.
    pub(super) fn is_across(&self, address: IpAddr) -> bool {
        self.own.is_some() && self.of(address).is_some_and(|site| Some(site) != self.own)
    }
}

fn contains(site: &Site, address: IpAddr) -> bool {
    match (site.network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => {
            let shift = 32u32.saturating_sub(u32::from(site.prefix));
            (n.to_bits() ^ a.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(n), IpAddr::V6(a)) => {
            let shift = 128u32.saturating_sub(u32::from(site.prefix));
            (n.to_bits() ^ a.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        let site = |network: &str, prefix| Site { network: network.parse().unwrap(), prefix, site: 1 };
        let ip = |a: &str| a.parse::<IpAddr>().unwrap();
        assert!(contains(&site("10.0.1.7", 24), ip("10.0.1.200")));
        assert!(!contains(&site("10.0.1.0", 24), ip("10.0.2.1")));
        assert!(contains(&site("0.0.0.0", 0), ip("1.2.3.4")));
        assert!(contains(&site("10.0.0.1", 32), ip("10.0.0.1")));
        assert!(!contains(&site("10.0.0.1", 255), ip("10.0.0.2")));
        assert!(contains(&site("fd00::", 64), ip("fd00::1")));
        assert!(!contains(&site("fd00::", 64), ip("10.0.0.1")));
    }

    #[test]
    fn who_is_elsewhere_is_known_once_the_table_has_come() {
        let site = |prefix, site| Site { network: "10.0.0.0".parse().unwrap(), prefix, site };
        let ip = |a: &str| a.parse::<IpAddr>().unwrap();
        let none = Sites::new(Vec::new());
        let table = [site(25, 0), site(24, 1)];
        let sites = none.learn(&table, ip("10.0.0.9")).unwrap();
        assert!(sites.learn(&table, ip("10.0.0.9")).is_none());
        let across = |address: &str| (none.is_across(ip(address)), sites.is_across(ip(address)));
        assert_eq!(across("10.0.0.10"), (false, false));
        assert_eq!(across("10.0.0.200"), (false, true));
        assert_eq!(across("::ffff:10.0.0.200"), (false, true));
        assert_eq!(across("10.9.9.9"), (false, false), "not in the table");
        let before = |of: &Sites, others: &[&str]| of.before(others.iter().map(|other| ip(other)));
        assert_eq!(before(&sites, &["10.0.0.10", "10.9.9.9", "10.0.0.200"]), Some(SiteId(1)));
        assert_eq!((before(&sites, &["10.0.0.10"]), before(&none, &["10.0.0.200"])), (None, None));
    }

    #[test]
    fn whoever_was_not_found_near_is_elsewhere_unless_there_is_a_table() {
        let ip = |a: &str| a.parse::<IpAddr>().unwrap();
        let at = |a: &str| vec![SocketAddr::new(ip(a), 1)];
        let told = |near: &str| Near { near: at(near), before: at("10.0.0.7"), after: at("10.0.0.8") };
        let sites = Sites::new(Vec::new()).found(told("::ffff:10.0.0.9")).unwrap();
        let of = |address: &str| sites.of(ip(address));
        assert_eq!(
            [of("10.0.0.7"), of("10.0.0.8"), of("10.0.0.6")],
            [Some(BEFORE), Some(AFTER), Some(ELSEWHERE)]
        );
        let across = |address: &str| sites.is_across(ip(address));
        assert_eq!((across("10.0.0.9"), across("10.0.0.10")), (false, true));
        let later = sites.found(told("10.0.0.10")).unwrap();
        assert!(later.is_across(ip("10.0.0.9")) && !later.is_across(ip("10.0.0.10")));
        let table = Sites::new(vec![Site { network: ip("10.0.0.0"), prefix: 24, site: 0 }]);
        assert!(table.found(told("10.0.0.9")).is_none());
    }
}
