//! DHCP: [`answer`] decides what a machine is told, [`pool`] which address it gets, [`serve`] has the sockets.

pub(crate) mod answer;
pub(crate) mod pool;
pub(crate) mod serve;

#[cfg(test)]
mod tests;
