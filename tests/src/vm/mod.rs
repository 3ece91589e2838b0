//! Whole machines in QEMU on a private network, from power-on to a running system.

pub mod console;
pub mod devices;
pub mod firmware;
pub mod fleet;
pub mod machine;
pub mod material;
pub mod picture;
pub mod qmp;
pub mod room;
pub mod server;
pub mod stick;
