//! The kernel's `ip=` parameter (Documentation/admin-guide/nfs/nfsroot.rst):
//! `ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:DNS0:DNS1:NTP0`, or one autoconf word alone.

use std::net::{AddrParseError, Ipv4Addr};
use std::str::FromStr;

use thiserror::Error;

/// What `ip=` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IpParam {
    /// Ask DHCP, on this device or on every one.
    Dhcp { device: Option<String> },
    /// A fixed address.
    Static(StaticIp),
}

/// A fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaticIp {
    pub(crate) address: Ipv4Addr,
    /// Bits of the network part.
    pub(crate) prefix: u8,
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Boot server.
    pub(crate) server: Option<Ipv4Addr>,
    /// Card; else the one that booted, else the first with a link.
    pub(crate) device: Option<String>,
    pub(crate) dns: Vec<Ipv4Addr>,
}

/// Why an `ip=` is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum IpParamError {
    #[error("{field} {value:?}")]
    Address { field: &'static str, value: String, source: AddrParseError },
    #[error("netmask {0:?} is neither a mask nor a number of bits")]
    Netmask(String),
    #[error("{0:?} is no way to get an address (dhcp, on, any, off, none)")]
    Autoconf(String),
    #[error("no client address to use without DHCP")]
    NoAddress,
}

impl FromStr for IpParam {
    type Err = IpParamError;

    fn from_str(value: &str) -> Result<Self, IpParamError> {
        let fields: Vec<&str> = value.split(':').map(str::trim).collect();
        if let [word] = fields.as_slice()
            && word.parse::<Ipv4Addr>().is_err()
        {
            return match uses_dhcp(word)? {
                true => Ok(Self::Dhcp { device: None }),
                false => Err(IpParamError::NoAddress),
            };
        }
        let field = |i: usize| fields.get(i).copied().filter(|f| !f.is_empty());
        let device = field(5).map(str::to_owned);
        let Some(address) = optional_address("client address", field(0))? else {
            return match field(6).map_or(Ok(true), uses_dhcp)? {
                true => Ok(Self::Dhcp { device }),
                false => Err(IpParamError::NoAddress),
            };
        };
        // With a client address the kernel asks nobody, unless it is told to.
        if field(6).map_or(Ok(false), uses_dhcp)? {
            return Ok(Self::Dhcp { device });
        }
        let dns = [optional_address("DNS server", field(7))?, optional_address("DNS server", field(8))?];
        Ok(Self::Static(StaticIp {
            address,
            prefix: field(3).map_or(Ok(class_prefix(address)), prefix)?,
            gateway: optional_address("gateway", field(2))?,
            server: optional_address("server", field(1))?,
            device,
            dns: dns.into_iter().flatten().collect(),
        }))
    }
}

fn uses_dhcp(word: &str) -> Result<bool, IpParamError> {
    match word {
        "dhcp" | "on" | "any" | "both" => Ok(true),
        "off" | "none" => Ok(false),
        _ => Err(IpParamError::Autoconf(word.to_owned())),
    }
}

fn optional_address(field: &'static str, value: Option<&str>) -> Result<Option<Ipv4Addr>, IpParamError> {
    let parse =
        |v: &str| v.parse().map_err(|source| IpParamError::Address { field, value: v.to_owned(), source });
    let address: Option<Ipv4Addr> = value.map(parse).transpose()?;
    Ok(address.filter(|a| !a.is_unspecified()))
}

fn prefix(mask: &str) -> Result<u8, IpParamError> {
    let bad = || IpParamError::Netmask(mask.to_owned());
    if let Ok(bits) = mask.parse::<u8>() {
        return if bits <= 32 { Ok(bits) } else { Err(bad()) };
    }
    let bits = u32::from(mask.parse::<Ipv4Addr>().map_err(|_| bad())?);
    // One-bits, then zero-bits, and nothing else.
    if bits.leading_ones() + bits.trailing_zeros().min(32 - bits.leading_ones()) != 32 {
        return Err(bad());
    }
    Ok(bits.leading_ones() as u8)
}

/// Network bits by the address's class: what the kernel takes where no mask is given.
fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_static_line() {
        let parsed: IpParam =
            "10.1.2.3:10.1.0.1:10.1.255.254:255.255.0.0:pc3:eth1:off:10.1.0.53:10.1.0.54".parse().unwrap();
        let IpParam::Static(ip) = parsed else { panic!("{parsed:?}") };
        assert_eq!((ip.address, ip.prefix), (Ipv4Addr::new(10, 1, 2, 3), 16));
        assert_eq!(ip.gateway, Some(Ipv4Addr::new(10, 1, 255, 254)));
        assert_eq!(ip.server, Some(Ipv4Addr::new(10, 1, 0, 1)));
        assert_eq!(ip.device.as_deref(), Some("eth1"));
        assert_eq!(ip.dns.len(), 2);
    }

    #[test]
    fn short_forms() {
        let dhcp = |device: Option<&str>| IpParam::Dhcp { device: device.map(str::to_owned) };
        for (text, expected) in [
            ("dhcp", dhcp(None)),
            ("any", dhcp(None)),
            (":::::eth0:dhcp", dhcp(Some("eth0"))),
            (":::::eth0", dhcp(Some("eth0"))),
            ("0.0.0.0", dhcp(None)),
            ("10.0.0.2::::::dhcp", dhcp(None)),
        ] {
            assert_eq!(text.parse::<IpParam>().unwrap(), expected, "{text}");
        }
        for (text, bits) in [("192.168.1.2", 24), ("10.0.0.2", 8), ("172.16.0.1", 16), ("10.0.0.2:::20", 20)]
        {
            let IpParam::Static(ip) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!(ip.prefix, bits, "{text}");
        }
    }

    #[test]
    fn refuses_nonsense() {
        for text in
            ["off", "none", "wlan", "10.0.0", "10.0.0.1:::255.0.255.0", "10.0.0.1:::33", ":::::eth0:off"]
        {
            assert!(text.parse::<IpParam>().is_err(), "{text}");
        }
        assert_eq!(prefix("255.255.255.255"), Ok(32));
        assert_eq!(prefix("0.0.0.0"), Ok(0));
    }
}
