//! What UEFI firmware starts: boot entries in its variables, their order, and the loaders on a disk that they lead to.

mod boot_entry;
mod boot_order;
mod loader;

#[cfg(test)]
mod tests;

pub use boot_entry::{BootEntry, PartitionId};
pub use boot_order::{BootEntries, Changes};
pub(crate) use loader::WINDOWS;
pub use loader::{Loaders, find_loaders};
