//! Disks as they are: captured, served by `ezio-pxe` on loopback, and deployed by `ezio-init` to loop devices that
//! held something else. The tools of others judge.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod bench;
mod dirty;
mod gaps;
mod kinds;
mod moved;
mod raid;
mod random;
mod sectors;
mod signatures;
mod table;
