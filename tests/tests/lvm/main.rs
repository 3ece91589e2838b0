//! LVM: a physical volume goes to a larger disk and fills it; what Clonezilla saved of one becomes one; a
//! system on it becomes another, and starts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod bench;
mod boots;
mod clonezilla;
mod grown;
mod identity;
mod sectors;
