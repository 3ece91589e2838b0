//! DHCP for IPv4 (RFC 2131, 2132, 3396) with what network boot adds to it (Intel's PXE 2.1, RFC 4578).

pub mod arch;
pub mod client;
pub mod message;
pub mod option;

pub use arch::Architecture;
pub use message::{DecodeError, Kind, Message, Operation};
