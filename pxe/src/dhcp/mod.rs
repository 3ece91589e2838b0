//! DHCP: [`answer`] decides what a machine is told, [`pool`] which address it gets, [`serve`] has the sockets.

mod answer;
mod pool;
mod serve;

pub(crate) use serve::Service;

#[cfg(test)]
mod tests;
