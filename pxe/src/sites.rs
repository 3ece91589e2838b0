//! Ranges of addresses: which machines are behind which switch, and which addresses DHCP hands out.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ezio_swarm::Site;
use serde::Deserialize;

/// IPv4 addresses from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AddressRange {
    pub(crate) first: Ipv4Addr,
    pub(crate) last: Ipv4Addr,
}

impl AddressRange {
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Each of them, in order.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        (self.first.to_bits()..=self.last.to_bits()).map(Ipv4Addr::from_bits)
    }

    /// The networks that cover the range exactly: address and prefix length.
    fn networks(&self) -> Vec<(Ipv4Addr, u8)> {
        let (mut first, last) = (u64::from(self.first.to_bits()), u64::from(self.last.to_bits()));
        let mut networks = Vec::new();
        while first <= last {
            let aligned = if first == 0 { 32 } else { first.trailing_zeros().min(32) };
            let fitting = (last - first + 1).ilog2();
            let bits = aligned.min(fitting);
            networks.push((Ipv4Addr::from_bits(first as u32), (32 - bits) as u8));
            first += 1 << bits;
        }
        networks
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "{text:?} is no range: write FIRST-LAST, NETWORK/BITS or one IPv4 address, such as 10.0.0.5-10.0.0.9"
            )
        };
        let address = |text: &str| text.trim().parse::<Ipv4Addr>().map_err(|_| refuse());
        let (first, last) = if let Some((first, last)) = text.split_once('-') {
            (address(first)?, address(last)?)
        } else if let Some((network, bits)) = text.split_once('/') {
            let bits: u32 = bits.trim().parse().ok().filter(|bits| *bits <= 32).ok_or_else(refuse)?;
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            let network = address(network)?.to_bits() & !host;
            (Ipv4Addr::from_bits(network), Ipv4Addr::from_bits(network | host))
        } else {
            (address(text)?, address(text)?)
        };
        if first > last { Err(refuse()) } else { Ok(Self { first, last }) }
    }
}

impl TryFrom<String> for AddressRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// One range of a site: `NAME=RANGE`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SiteRange {
    pub(crate) name: String,
    pub(crate) range: AddressRange,
}

impl FromStr for SiteRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, range) = text.split_once('=').ok_or_else(|| format!("{text:?}: write NAME=FIRST-LAST"))?;
        if name.trim().is_empty() {
            return Err(format!("{text:?}: the site has no name"));
        }
        Ok(Self { name: name.trim().to_owned(), range: range.parse()? })
    }
}

impl TryFrom<String> for SiteRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Number of the site of an address, counted from 0 in the order of the names; the first range that fits counts.
pub(crate) fn site_of(ranges: &[SiteRange], address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address.to_canonical() else { return None };
    let found = ranges.iter().find(|r| r.range.contains(address))?;
    number_of(ranges, &found.name)
}

fn number_of(ranges: &[SiteRange], name: &str) -> Option<usize> {
    ranges.iter().position(|r| r.name == name)
}

/// The table as the swarm wants it.
pub(crate) fn for_swarm(ranges: &[SiteRange]) -> Vec<Site> {
    let mut sites = Vec::new();
    for range in ranges {
        let number = number_of(ranges, &range.name).unwrap_or_default() as u16;
        for (network, prefix) in range.range.networks() {
            sites.push(Site { network: IpAddr::V4(network), prefix, site: number });
        }
    }
    sites
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_in_three_forms() {
        assert_eq!(range("10.0.0.5-10.0.0.9").to_string(), "10.0.0.5-10.0.0.9");
        assert_eq!(range("10.0.3.7/22").to_string(), "10.0.0.0-10.0.3.255");
        assert_eq!(range("0.0.0.0/0").to_string(), "0.0.0.0-255.255.255.255");
        assert_eq!(range("10.0.0.1").to_string(), "10.0.0.1-10.0.0.1");
        for bad in ["", "10.0.0.9-10.0.0.5", "10.0.0.0/33", "a-b", "10.0.0.1-"] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_of_one_name_are_one_site() {
        let table: Vec<SiteRange> = ["L=10.0.0.2-10.0.0.20", "R=10.0.0.21-10.0.0.39", "L=10.1.0.0/16"]
            .map(|t| t.parse().unwrap())
            .into();
        let site = |a: &str| site_of(&table, a.parse().unwrap());
        assert_eq!(site("10.0.0.20"), site("10.1.2.3"));
        assert_ne!(site("10.0.0.20"), site("10.0.0.21"));
        assert_eq!(site("192.168.0.1"), None);
        assert_eq!(site("::ffff:10.0.0.2"), site("10.0.0.2"));
    }

    proptest! {
        #[test]
        fn networks_cover_a_range_exactly(a: u32, length in 0u32..5000) {
            let last = a.saturating_add(length);
            let range = AddressRange { first: a.into(), last: last.into() };
            let mut next = u64::from(a);
            for (network, prefix) in range.networks() {
                prop_assert_eq!(u64::from(network.to_bits()), next);
                prop_assert_eq!(next % (1u64 << (32 - prefix)), 0);
                next += 1u64 << (32 - prefix);
            }
            prop_assert_eq!(next, u64::from(last) + 1);
        }
    }
}
