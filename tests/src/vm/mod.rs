//! Whole machines in QEMU on a private network, from power-on to a running system.

pub mod console;
pub mod firmware;
pub mod machine;
pub mod qmp;
pub mod room;
