//! What init and the server say to each other in DHCP.

/// Init's vendor class (option 60): it asks for an address and for the boot server, not for a program to start.
pub const INIT_VENDOR_CLASS: &str = "ezio";
