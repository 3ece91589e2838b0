//! Where things lie in the initrd that `image-builder netboot` packs and init runs in.

/// Init itself: the first program that the kernel starts.
pub const INIT: &str = "/init";
/// What the kernel calls when it wants a module by itself; a link to [`INIT`].
pub const MODPROBE: &str = "/sbin/modprobe";
/// A shell, if one was packed.
pub const SHELL: &str = "/bin/sh";
/// An `ezio.conf` that goes before the server's, if one was packed.
pub const CONF: &str = "/etc/ezio/ezio.conf";
/// Public key that signs what machines are told, if one was packed.
pub const KEY: &str = "/etc/ezio/key.pub";
/// Index of the kernel modules (see [`crate::modules`]); their files are relative to its folder.
pub const MODULE_INDEX: &str = "/lib/ezio/modules.idx";
/// Firmware that drivers ask the kernel for.
pub const FIRMWARE: &str = "/lib/firmware";
