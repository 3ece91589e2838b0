//! End-to-end tests and benchmarks that drive the ezio binaries.

pub mod bench;
pub mod browser;
pub mod classroom;
pub mod clonezilla;
pub mod dhcp;
pub mod dice;
pub mod loop_deploy;
pub mod loop_device;
pub mod loopback;
pub mod mounts;
pub mod netns;
pub mod programs;
pub mod python;
pub mod vm;
