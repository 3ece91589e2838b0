//! A room of hosts on one machine: network namespaces behind rate-limited links into switches.

mod command;
mod links;
mod room;
mod sweep;

pub use links::{Links, TCP_SHARE};
pub use room::{HTTP_PORT, Room, SERVER};
pub use sweep::{WorkFolder, clean_up_on_interrupt, sweep};
