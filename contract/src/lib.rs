//! The contract between ezio's programs: what one of them writes and another reads is said here, once. Pure data,
//! no I/O.
//!
//! | between | module |
//! | --- | --- |
//! | init and server | [`report`], [`inventory`], [`health`], [`identity`], [`passing`], [`MachineId`], [`urls`], [`ports`], [`parameters`], [`dhcp`] |
//! | image builder and init | [`initrd`], [`modules`] |
//! | image builder and server | [`netboot`] |

mod arch;
pub mod dhcp;
pub mod health;
pub mod identity;
pub mod initrd;
pub mod inventory;
pub mod mac;
mod machine_id;
pub mod modules;
pub mod netboot;
pub mod parameters;
pub mod passing;
mod placeholder;
pub mod ports;
pub mod report;
pub mod text;
pub mod urls;

pub use arch::{Arch, UnknownArch};
pub use mac::Mac;
pub use machine_id::{FirmwareIdentity, MachineId, NoSystemUuid, SystemUuid};
