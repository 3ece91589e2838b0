//! DHCP: [`answer`] decides what a machine is told, [`program`] what it boots, [`pool`] which address it gets, [`serve`]
//! has the sockets.

mod answer;
mod pool;
mod program;
mod serve;

pub(crate) use serve::Service;

#[cfg(test)]
mod tests;
