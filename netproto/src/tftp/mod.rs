//! TFTP (RFC 1350) with options (RFC 2347): block size (2348), timeout and transfer size (2349) and
//! windows of several blocks (7440). Read requests only: nobody may write to a boot server.

pub mod client;
pub mod name;
pub mod options;
pub mod packet;
pub mod receive;
pub mod send;
pub mod server;

pub use options::{Negotiated, Options};
pub use packet::{ErrorCode, Packet};

/// Port on which a server listens.
pub const PORT: u16 = 69;
