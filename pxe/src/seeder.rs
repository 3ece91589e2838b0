//! The server as a member of the swarm: whatever the room lacks, it has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use ezio_swarm::{Config, Content, Role, Swarm};

use crate::catalogue::Catalogue;
use crate::settings::Settings;
use crate::sites;

/// Memory for pieces that are kept for upload, in bytes.
const MEMORY: u64 = 512 << 20;
const CONNECTIONS: usize = 500;

/// Seeds every torrent of the catalogue.
pub(crate) async fn start(settings: &Settings, listen: IpAddr, catalogue: &Catalogue) -> Result<Swarm> {
    let contents: Vec<Content> = catalogue
        .torrents()
        .map(|(_, torrent)| Content {
            metainfo: Arc::clone(&torrent.metainfo),
            storage: Arc::clone(&torrent.storage),
            complete: true,
            // Its tracker is in this process and names it anyway.
            trackers: Vec::new(),
        })
        .collect();
    let config = Config {
        listen: SocketAddr::new(listen, settings.peer_port),
        role: Role::Server,
        limit_up: settings.limit_up,
        memory: MEMORY,
        max_connections: CONNECTIONS,
        sites: sites::for_swarm(&settings.sites),
        ..Config::default()
    };
    Swarm::start(config, contents).await.context("starting the seeder (--peer-port names another port)")
}
