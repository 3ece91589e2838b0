//! `image-builder capture` on disks with file systems of all kinds; what was captured is put together again from the run
//! files, and the file systems' own tools judge.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod bench;
mod disks;
mod interrupted;
mod lvm;
mod maps;
mod refusals;
mod sectors;
