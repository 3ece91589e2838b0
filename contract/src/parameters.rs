//! Parameters on the kernel's command line: boot programs write them, init reads them.

/// Where `ezio.conf` lies: a URL.
pub const CONF: &str = "ezio.conf";
/// The server that has it, as a person names it: for where no URL is known.
pub const SERVER: &str = "ezio.server";
/// GPT id of the stick that the machine was started from.
pub const STICK: &str = "ezio.stick";
/// The machine's group in `ezio.conf`.
pub const GROUP: &str = "ezio.group";
/// Where reports go: a URL.
pub const REPORT: &str = "ezio.report";
/// What the machine does at the end, whatever `ezio.conf` says.
pub const END: &str = "ezio.end";
/// With this begin all of ours, so that a mistyped one is no other program's.
pub const PREFIX: &str = "ezio.";
/// The card that booted, as pxelinux writes it (see [`crate::Mac::bootif`]).
pub const BOOTIF: &str = "BOOTIF";
