//! DHCP: [`answer`] decides what a machine is told, as a proxy by itself, else by [`full`]; [`program`] which program it
//! boots, [`subnet`] where it is, [`pool`] which address it gets. [`mode`] is what the operator wants, [`serve`] has the sockets.

mod answer;
mod full;
mod mode;
mod pool;
mod program;
mod serve;
mod subnet;

pub(crate) use mode::{Dhcp, Pool};
pub(crate) use serve::Service;
pub(crate) use subnet::DhcpRange;

#[cfg(test)]
mod routed_tests;
#[cfg(test)]
mod tests;
