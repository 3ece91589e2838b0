//! The subnets of `--dhcp full`: which addresses are handed out in each, and which one a request comes from.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use ezio_netproto::dhcp::{Message, option};
use serde::Deserialize;

use super::mode::Pool;
use crate::sites::AddressRange;
use crate::wake::Network;

/// One `--dhcp-range`: `FIRST-LAST[,mask=BITS][,router=ADDRESS]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct DhcpRange {
    addresses: AddressRange,
    mask: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
}

impl DhcpRange {
    /// The network that it is in, where that is not the interface's own.
    pub(crate) fn network(&self) -> Option<Network> {
        Some(Network { address: self.addresses.first, mask: self.mask? })
    }
}

impl FromStr for DhcpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let mut range =
            Self { addresses: parts.next().unwrap_or_default().parse()?, mask: None, router: None };
        for part in parts {
            let refuse = || {
                format!(
                    "{part:?} in {text:?}: write FIRST-LAST,mask=24,router=ADDRESS (mask as bits or as address)"
                )
            };
            match part.split_once('=').ok_or_else(refuse)? {
                ("mask", mask) => range.mask = Some(parse_mask(mask).ok_or_else(refuse)?),
                ("router", router) => range.router = Some(router.parse().map_err(|_| refuse())?),
                _ => return Err(refuse()),
            }
        }
        Ok(range)
    }
}

impl TryFrom<String> for DhcpRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// `24` or `255.255.255.0`: of a network in which there are machines.
fn parse_mask(text: &str) -> Option<Ipv4Addr> {
    let bits = match text.parse::<Ipv4Addr>() {
        Ok(mask) if mask.to_bits().count_zeros() == mask.to_bits().trailing_zeros() => {
            mask.to_bits().leading_ones()
        }
        Ok(_) => return None,
        Err(_) => text.parse().ok()?,
    };
    (8..=30).contains(&bits).then(|| Ipv4Addr::from_bits(u32::MAX << (32 - bits)))
}

/// A subnet, and what is handed out in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subnet {
    pub(super) range: AddressRange,
    pub(super) mask: Ipv4Addr,
    pub(super) router: Option<Ipv4Addr>,
}

impl Subnet {
    fn network(&self) -> Ipv4Addr {
        self.range.first & self.mask
    }

    pub(super) fn broadcast(&self) -> Ipv4Addr {
        self.range.first | !self.mask
    }

    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        address & self.mask == self.network()
    }

    /// May this address be a machine's?
    pub(super) fn hands_out(&self, address: Ipv4Addr) -> bool {
        let taken = [Some(self.network()), Some(self.broadcast()), self.router];
        self.range.contains(address) && !taken.contains(&Some(address))
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.contains(self.range.last),
            "--dhcp-range {}: it is larger than its network, {self}",
            self.range
        );
        if let Some(router) = self.router {
            ensure!(
                self.contains(router),
                "--dhcp-range {}: its router {router} is not in {self}",
                self.range
            );
        }
        Ok(())
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.mask.to_bits().leading_ones())
    }
}

/// The subnets that the operator wants. `own` and `mask` are those of the interface.
pub(super) fn subnets(pool: &Pool, own: Ipv4Addr, mask: Ipv4Addr) -> Result<Vec<Subnet>> {
    let mut subnets: Vec<Subnet> =
        pool.ranges.iter().map(|range| subnet(range, own, mask)).collect::<Result<_>>()?;
    if subnets.is_empty() {
        subnets.push(Subnet { range: default_range(own, mask)?, mask, router: None });
    }
    if let Some(router) = pool.router {
        match subnets.iter_mut().find(|subnet| subnet.contains(router)) {
            Some(subnet) => subnet.router = subnet.router.or(Some(router)),
            None => bail!("--router {router} is in no network that addresses are handed out in"),
        }
    }
    subnets.iter().try_for_each(Subnet::check)?;
    for (index, subnet) in subnets.iter().enumerate() {
        let meets = |other: &&Subnet| other.contains(subnet.network()) || subnet.contains(other.network());
        if let Some(other) = subnets.iter().take(index).find(meets) {
            bail!(
                "--dhcp-range {} and {} are in one network, {subnet}: one range a network",
                other.range,
                subnet.range
            );
        }
    }
    Ok(subnets)
}

fn subnet(range: &DhcpRange, own: Ipv4Addr, mask: Ipv4Addr) -> Result<Subnet> {
    let DhcpRange { addresses, router, .. } = *range;
    let is_own = addresses.first & mask == own & mask;
    match (range.mask.or(is_own.then_some(mask)), router) {
        (Some(mask), None) if !is_own => bail!(
            "--dhcp-range {addresses},mask={mask}: machines of another network than the interface's reach this server by a \
             router: add router=ADDRESS"
        ),
        (Some(mask), router) => Ok(Subnet { range: addresses, mask, router }),
        (None, _) => bail!(
            "--dhcp-range {addresses} is not in the interface's network: add mask=BITS and router=ADDRESS of the machines there"
        ),
    }
}

/// Addresses of a network that may be handed out when the operator names none: not those at its lower end, where
/// servers and routers are as a rule.
fn default_range(address: Ipv4Addr, mask: Ipv4Addr) -> Result<AddressRange> {
    let host = !mask.to_bits();
    ensure!(
        host >= 7,
        "the network {address}/{mask} is too small to choose addresses from: give --dhcp-range"
    );
    let network = address.to_bits() & mask.to_bits();
    let first = network + host / 4 + 1;
    Ok(AddressRange { first: first.into(), last: (network + host - 1).into() })
}

/// Suboption of a relay: the network that its client is in, where that is not the relay's own (RFC 3527).
const LINK_SELECTION: u8 = 5;

/// An address of the network that a request comes from by way of a relay, or asks for by itself (RFC 3011).
pub(super) fn remote_link(request: &Message) -> Option<Ipv4Addr> {
    let selected = request.options.of_relay(LINK_SELECTION).and_then(|value| value.first_chunk());
    let selected = selected.map(|octets: &[u8; 4]| Ipv4Addr::from(*octets));
    let asked = request.options.address(option::SUBNET_SELECTION);
    [selected, asked, Some(request.giaddr)].into_iter().flatten().find(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

    fn of(ranges: &[&str], router: Option<&str>) -> Result<Vec<Subnet>> {
        let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
        let router = router.map(|router| router.parse().unwrap());
        subnets(&Pool { ranges, router, dns: Vec::new(), lease_time: Duration::from_secs(3600) }, OWN, MASK)
    }

    fn shown(ranges: &[&str], router: Option<&str>) -> Vec<String> {
        let one = |s: &Subnet| format!("{} of {s} by {:?} to {}", s.range, s.router, s.broadcast());
        of(ranges, router).unwrap().iter().map(one).collect()
    }

    #[test]
    fn each_range_has_its_network_and_router() {
        assert_eq!(shown(&[], None), ["10.77.0.64-10.77.0.254 of 10.77.0.0/24 by None to 10.77.0.255"]);
        assert_eq!(
            shown(
                &[
                    "10.77.0.50-10.77.0.60",
                    "10.1.0.50-10.1.0.250,mask=24,router=10.1.0.1",
                    "10.2.4.0-10.2.7.255, router=10.2.7.254, mask=255.255.252.0",
                ],
                Some("10.77.0.254")
            ),
            [
                "10.77.0.50-10.77.0.60 of 10.77.0.0/24 by Some(10.77.0.254) to 10.77.0.255",
                "10.1.0.50-10.1.0.250 of 10.1.0.0/24 by Some(10.1.0.1) to 10.1.0.255",
                "10.2.4.0-10.2.7.255 of 10.2.4.0/22 by Some(10.2.7.254) to 10.2.7.255",
            ]
        );
    }

    #[test]
    fn addresses_that_are_no_machines_are_not_handed_out() {
        let subnet = &of(&["10.2.4.0-10.2.7.255,router=10.2.7.254,mask=22"], None).unwrap()[0];
        for (address, yes) in [([10, 2, 4, 0], false), ([10, 2, 4, 1], true), ([10, 2, 5, 0], true)] {
            assert_eq!(subnet.hands_out(address.into()), yes, "{address:?}");
        }
        for (address, yes) in [([10, 2, 7, 253], true), ([10, 2, 7, 254], false), ([10, 2, 7, 255], false)] {
            assert_eq!(subnet.hands_out(address.into()), yes, "{address:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_range_is_said() {
        let error = |ranges: &[&str], router| of(ranges, router).unwrap_err().to_string();
        assert!(error(&["10.1.0.50-10.1.0.60"], None).contains("mask=BITS"));
        assert!(error(&["10.1.0.50-10.1.0.60,mask=24"], None).contains("router=ADDRESS"));
        assert!(error(&["10.1.0.50-10.1.0.60,mask=24,router=10.2.0.1"], None).contains("not in 10.1.0.0/24"));
        assert!(error(&["10.1.0.50-10.1.1.60,mask=24,router=10.1.0.1"], None).contains("larger"));
        assert!(
            error(&["10.77.0.50-10.77.0.60", "10.77.0.70-10.77.0.80"], None).contains("one range a network")
        );
        let wide = "10.0.0.50-10.0.0.60,mask=8,router=10.0.0.1";
        assert!(error(&["10.77.0.50-10.77.0.60", wide], None).contains("one range a network"));
        assert!(error(&[], Some("192.168.0.1")).contains("--router"));
        for bad in ["mask=33", "mask=0", "mask=0.0.0.0", "mask=255.0.255.0", "router=x", "gw=1", "mask"] {
            assert!(format!("10.0.0.1-10.0.0.9,{bad}").parse::<DhcpRange>().is_err(), "{bad}");
        }
        assert!("".parse::<DhcpRange>().is_err());
        assert!(default_range(OWN, Ipv4Addr::new(255, 255, 255, 252)).is_err());
        assert_eq!(
            default_range(Ipv4Addr::new(10, 7, 5, 9), Ipv4Addr::new(255, 255, 0, 0)).unwrap().to_string(),
            "10.7.64.0-10.7.255.254"
        );
    }
}
