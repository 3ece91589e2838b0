//! What a swarm is told at its start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ezio_image::conf::Reuse;
use ezio_image::metainfo::Metainfo;
use ezio_scheduler::{Geometry, TorrentShape};
use ezio_sha1::Method;

use crate::storage::Storage;

/// What we are to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Holds everything from the start and hands it out: one a room.
    Server,
    /// Receives, and passes on what it has.
    Member,
}

/// Machines behind one switch: bytes between them cost less than bytes between sites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Address of the range, with the host's bits 0 or not.
    pub network: IpAddr,
    /// Leading bits that count; at most 32 or 128.
    pub prefix: u8,
    /// Number of the site. Ranges of one number are one site.
    pub site: u16,
}

/// How the engine is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to take connections; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Peers known beforehand; dialled again and again while the job lasts.
    pub peers: Vec<SocketAddr>,
    /// What we are.
    pub role: Role,
    /// Bytes a second sent, at most.
    pub limit_up: Option<u64>,
    /// Bytes a second received, at most.
    pub limit_down: Option<u64>,
    /// Bytes of memory for pieces: those arriving, those waiting for the disk, and those kept for upload.
    pub memory: u64,
    /// Connections at once, at most, over all torrents.
    pub max_connections: usize,
    /// Who is where, for a server to tell its members; the first range that fits counts. Members get
    /// theirs from the server.
    pub sites: Vec<Site>,
    /// How pieces are hashed, several at once where they come faster than one by one.
    pub hashing: Method,
    /// Whether the targets are asked for what they hold already, before anything is fetched.
    pub reuse: Reuse,
    /// Seed of all random choices: two members must differ.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            peers: Vec::new(),
            role: Role::Member,
            limit_up: None,
            limit_down: None,
            memory: 160 << 20,
            max_connections: 200,
            sites: Vec::new(),
            hashing: Method::fastest(),
            reuse: Reuse::Never,
            seed: rand::random(),
        }
    }
}

/// One torrent of the job.
#[derive(Clone)]
pub struct Content {
    /// What it is.
    pub metainfo: Arc<Metainfo>,
    /// Where it lies.
    pub storage: Arc<dyn Storage>,
    /// Is all of it there already? It is not checked.
    pub complete: bool,
    /// Announce URLs (`http://`, `udp://`); all are used.
    pub trackers: Vec<String>,
}

/// How these are cut into pieces, which are numbered through.
pub(crate) fn geometry(contents: &[Content]) -> Geometry {
    Geometry::new(contents.iter().map(|content| TorrentShape {
        piece_length: content.metainfo.piece_length(),
        total_length: content.metainfo.total_length(),
    }))
}
