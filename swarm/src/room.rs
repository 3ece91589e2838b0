//! What a server (or any member) sees of the others: who is connected and how far each is.

use std::net::SocketAddr;

use crate::config::Role;

/// One machine of the room, over all torrents of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address; the port is the one it takes connections on, where it said so.
    pub address: SocketAddr,
    /// Its number, the same on all its connections; `None` for clients that are not ezio.
    pub member: Option<[u8; 8]>,
    /// What it says it is; clients that are not ezio count as members.
    pub role: Role,
    /// Bytes of content that it has, as far as it told us, over the torrents it is connected for.
    pub done_bytes: u64,
    /// Has it all of the torrents that it is connected for?
    pub complete: bool,
    /// Payload bytes that we sent it.
    pub sent_bytes: u64,
    /// Payload bytes that it sent us.
    pub received_bytes: u64,
}

/// The room at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Connected machines, in order of address.
    pub peers: Vec<Peer>,
}

impl Room {
    /// Connected machines that do not have everything yet.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.peers.iter().filter(|p| !p.complete).count()
    }
}
