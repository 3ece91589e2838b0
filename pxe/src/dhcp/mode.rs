//! How much of DHCP the operator wants.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::subnet::DhcpRange;
use crate::wake::Network;

/// Addresses to hand out, and what goes with them.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// None: what the interface's network has.
    pub(crate) ranges: Vec<DhcpRange>,
    /// Of the range in whose network it is.
    pub(crate) router: Option<Ipv4Addr>,
    pub(crate) dns: Vec<Ipv4Addr>,
    pub(crate) lease_time: Duration,
}

/// What DHCP is to do.
#[derive(Debug, Clone)]
pub(crate) enum Dhcp {
    Off,
    Proxy { interface: String },
    Full { interface: String, pool: Pool },
}

impl Dhcp {
    /// The networks behind routers that it hands out addresses in.
    pub(crate) fn far_networks(&self) -> Vec<Network> {
        match self {
            Self::Full { pool, .. } => pool.ranges.iter().filter_map(DhcpRange::network).collect(),
            Self::Off | Self::Proxy { .. } => Vec::new(),
        }
    }
}
