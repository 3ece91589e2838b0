//! DHCP and TFTP, the parts that client and server share. Codecs and state machines are pure values; only
//! [`tftp::client`] and [`tftp::server`] open sockets. And [`places`], for whatever takes connections.

pub mod dhcp;
pub mod places;
pub mod tftp;
