//! What only PID 1 does: mounts, devices, and the end of the machine's run.

pub(crate) mod console_shell;
pub(crate) mod crash;
pub(crate) mod devices;
pub(crate) mod end;
pub(crate) mod modules;
pub(crate) mod mounts;
pub(crate) mod pid1;
pub(crate) mod uevent;
