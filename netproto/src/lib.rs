//! DHCP and TFTP, the parts that client and server share. Codecs and state machines are pure values; only
//! [`tftp::client`] and [`tftp::server`] open sockets.

pub mod dhcp;
pub mod tftp;
