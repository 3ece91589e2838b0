//! A torrent from a machine that has it. A whole room asks the server for it at once; the server sends it to two, and names
//! to each of the others one who asked before.
//!
//! A machine asks over HTTP as for any file, and says by [`PASSES_ON`] where it will pass on what it gets. It gets the file, or,
//! with status 300, an [`Elsewhere`]: then it connects there, sends the hash (64 digits, nothing else), and gets the very bytes
//! that the server would have sent, packed by zstd; then the connection is closed. Who cannot give it closes without. Whoever
//! does not get these bytes in time asks the server without [`PASSES_ON`], and gets the file.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Header of a request: the address and port where the machine that asks passes on what it gets. It takes zstd.
pub const PASSES_ON: &str = "ezio-passes-on";
/// Bytes of what is passed on, as they travel. Less costs the server about what it costs to name somebody; more is of an image so
/// large that a hundred torrents are less than a hundredth of it, and machines would hold it in memory.
pub const SIZES: RangeInclusive<u64> = 16 << 10..=4 << 20;

/// Who has the file, or is about to have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Where to connect.
    pub at: SocketAddr,
    /// The SHA-256 of the bytes as they travel, in lower case hex.
    pub sha256: String,
    /// Their number.
    pub length: u64,
}
