//! Ports of the server, unless the operator says otherwise. DHCP's and TFTP's are IANA's, and stand with those
//! protocols.

/// TCP port of HTTP. Init looks for the server there when DHCP tells it no more than an address.
pub const HTTP: u16 = 8080;
/// TCP port of the seeder: the first of those that BitTorrent clients use by custom.
pub const PEER: u16 = 6881;
