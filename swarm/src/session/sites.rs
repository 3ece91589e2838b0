//! Who is at which site: the operator's table, as the server has it and tells it; or, without one, by what the server has found out.
//! How pieces travel between sites the server says in both cases.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use ezio_scheduler::{Near, Routes, SiteId};

use crate::config::Site;

/// The table, and where we are ourselves.
#[derive(Debug, Default)]
pub(super) struct Sites {
    table: Vec<Site>,
    own: Option<SiteId>,
    /// Who is here, and at the sites on the routes, where there is no table.
    found: Option<HashMap<IpAddr, SiteId>>,
    routes: Routes,
}

impl Sites {
    /// By this table, our own place unknown.
    pub(super) fn new(table: Vec<Site>) -> Self {
        Self { table, ..Self::default() }
    }

    /// By a server's table, if that is another one; `own` is our address on the way to it.
    pub(super) fn learn(&self, table: &[Site], own: IpAddr) -> Option<Self> {
        let mut new = (self.table.as_slice() != table).then(|| Self::new(table.to_vec()))?;
        new.own = new.of(own);
        Some(new)
    }

    /// By what the server says of the routes, and, where no operator's table says who is where, has found out about that.
    pub(super) fn found(&self, near: Near<SocketAddr>) -> Self {
        let routes = near.routes;
        if !self.table.is_empty() {
            return Self { table: self.table.clone(), own: self.own, found: None, routes };
        }
        let found = near.members.into_iter().flat_map(|(site, there)| {
            there.into_iter().map(move |address| (address.ip().to_canonical(), site))
        });
        Self { table: Vec::new(), own: Some(near.site), found: Some(found.collect()), routes }
    }

    /// Our own site.
    pub(super) fn own(&self) -> Option<SiteId> {
        self.own
    }

    /// How pieces come to our own site, and go on.
    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Where an address is.
    pub(super) fn of(&self, address: IpAddr) -> Option<SiteId> {
        if let Some(found) = &self.found {
            return Some(found.get(&address.to_canonical()).copied().unwrap_or(SiteId::ELSEWHERE));
        }
        let found = self.table.iter().find(|site| contains(site, address.to_canonical()));
        found.map(|site| SiteId(site.site))
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
    use std::collections::BTreeMap;

    use ezio_scheduler::Route;

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
    }

    #[test]
    fn whoever_was_not_found_is_elsewhere_unless_there_is_a_table() {
        let ip = |a: &str| a.parse::<IpAddr>().unwrap();
        let at = |a: &str| vec![SocketAddr::new(ip(a), 1)];
        let route = Route { from: [SiteId(0)].into(), to: [SiteId(5)].into() };
        let routes = Routes([route.clone(), route]);
        let told = |near: &str| Near {
            site: SiteId(2),
            routes: routes.clone(),
            members: BTreeMap::from([
                (SiteId(2), at(near)),
                (SiteId(0), at("10.0.0.7")),
                (SiteId(5), at("10.0.0.8")),
            ]),
        };
        let sites = Sites::new(Vec::new()).found(told("::ffff:10.0.0.9"));
        assert_eq!((sites.own(), sites.routes()), (Some(SiteId(2)), &routes));
        let of = |address: &str| sites.of(ip(address)).unwrap();
        assert_eq!(
            [of("10.0.0.7"), of("10.0.0.8"), of("10.0.0.6")],
            [SiteId(0), SiteId(5), SiteId::ELSEWHERE]
        );
        let across = |address: &str| sites.is_across(ip(address));
        assert_eq!((across("10.0.0.9"), across("10.0.0.10")), (false, true));
        let later = sites.found(told("10.0.0.10"));
        assert!(later.is_across(ip("10.0.0.9")) && !later.is_across(ip("10.0.0.10")));
        let table = [Site { network: ip("10.0.0.0"), prefix: 24, site: 1 }];
        let table = Sites::new(Vec::new()).learn(&table, ip("10.0.0.3")).unwrap();
        assert_eq!((table.own(), table.routes()), (Some(SiteId(1)), &Routes::default()));
        let table = table.found(told("10.0.0.9"));
        assert_eq!(
            (table.own(), table.of(ip("10.0.0.9")), table.routes()),
            (Some(SiteId(1)), Some(SiteId(1)), &routes)
        );
    }
}
