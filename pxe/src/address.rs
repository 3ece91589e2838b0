//! Which addresses and ports this server takes, and what clients call it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;

use crate::wake::Network;

/// Addresses of ours: where to listen, and what clients call us.
pub(crate) struct Addresses {
    pub(crate) listen: IpAddr,
    pub(crate) advertised: IpAddr,
    pub(crate) mask: Ipv4Addr,
}

impl Addresses {
    /// `interface` and `listen` are what the operator named, if anything.
    pub(crate) fn choose(interface: Option<&str>, listen: Option<IpAddr>) -> Result<Self> {
        let found = interface.map(address_of).transpose()?;
        let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let listen = listen.or(found.map(|(address, _)| address.into())).unwrap_or(all);
        let mask = found.map_or(Ipv4Addr::new(255, 255, 255, 0), |(_, mask)| mask);
        let any = || -> Result<IpAddr> {
            let address = interface_address(|_, address| !address.is_loopback())?;
            Ok(address.map_or(Ipv4Addr::LOCALHOST, |(address, _)| address).into())
        };
        let advertised = match (listen.is_unspecified(), found) {
            (false, _) => listen,
            (true, Some((address, _))) => address.into(),
            (true, None) => any()?,
        };
        Ok(Self { listen, advertised, mask })
    }

    /// What people may call this server: its addresses and its host name, each once.
    pub(crate) fn names(&self) -> Vec<String> {
        let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        // Not every name of a host may stand in a certificate.
        let hostname = hostname.filter(|name| ServerName::try_from(name.as_str()).is_ok());
        let addresses = [Ipv4Addr::LOCALHOST.to_string(), self.advertised.to_string()];
        let mut names = vec!["localhost".to_owned()];
        for name in addresses.into_iter().chain(hostname) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// The networks that this server is in: that of the interface or the address that the operator named, else all but loopback.
pub(crate) fn networks(interface: Option<&str>, listen: Option<IpAddr>) -> Result<Vec<Network>> {
    let listen = listen.filter(|address| !address.is_unspecified());
    let named = interface_addresses()?.filter(|(name, address, _)| match (interface, listen) {
        (Some(interface), _) => name == interface,
        (None, Some(listen)) => listen == IpAddr::V4(*address),
        (None, None) => !address.is_loopback(),
    });
    Ok(named.map(|(_, address, mask)| Network { address, mask }).collect())
}

/// First IPv4 address of the interface that the operator named, with its mask.
fn address_of(interface: &str) -> Result<(Ipv4Addr, Ipv4Addr)> {
    interface_address(|name, _| name == interface)?.with_context(|| {
        format!(
            "interface {interface} has no IPv4 address: give it one, such as \
             `ip addr add 10.77.0.1/24 dev {interface}`"
        )
    })
}

/// All IPv4 addresses: the interface's name, the address, and its mask.
fn interface_addresses() -> Result<impl Iterator<Item = (String, Ipv4Addr, Ipv4Addr)>> {
    let interfaces = nix::ifaddrs::getifaddrs().context("listing network interfaces")?;
    Ok(interfaces.filter_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        let mask = interface.netmask.and_then(|mask| Some(mask.as_sockaddr_in()?.ip()));
        Some((interface.interface_name, address, mask.unwrap_or(Ipv4Addr::new(255, 255, 255, 0))))
    }))
}

/// First IPv4 address that fits, with its mask.
fn interface_address(fits: impl Fn(&str, Ipv4Addr) -> bool) -> Result<Option<(Ipv4Addr, Ipv4Addr)>> {
    let mut named = interface_addresses()?;
    Ok(named.find(|(name, address, _)| fits(name, *address)).map(|(_, address, mask)| (address, mask)))
}

/// Why a port cannot be had, and what to do.
pub(crate) fn no_port(
    what: &str,
    option: &str,
    address: IpAddr,
    port: u16,
    error: io::Error,
) -> anyhow::Error {
    let place = SocketAddr::new(address, port);
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program has it: `ss -lntup` shows which; stop that, or give {option}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "ports below 1024 need root or CAP_NET_BIND_SERVICE; or give {option} with a port above 1023"
            )
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address: see --listen".to_owned(),
        _ => String::new(),
    };
    let error = anyhow::Error::from(error);
    if hint.is_empty() {
        error.context(format!("{what} on {place}"))
    } else {
        error.context(format!("{what} on {place} ({hint})"))
    }
}
