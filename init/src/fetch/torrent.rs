//! A torrent by whatever name it has: a file, a URL, a magnet link.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use ezio_image::metainfo::Metainfo;
use ezio_swarm::magnet::Magnet;

use super::location::Location;
use super::{FetchError, Fetcher, Patience};

/// Fetches a torrent. `peers` may give the metadata of a magnet link.
pub(crate) async fn fetch(
    source: &str,
    peers: &[SocketAddr],
    fetcher: &Fetcher,
    patience: Patience,
    tell: impl FnMut(&FetchError, std::time::Duration),
) -> anyhow::Result<Arc<Metainfo>> {
    if source.starts_with("magnet:") {
        return from_magnet(source, peers, patience).await;
    }
    let location: Location = source.parse()?;
    let bytes = fetcher.get_patiently(&location, patience, tell).await?;
    parse(&bytes, &location)
}

/// Reads a torrent that was fetched from `location`.
pub(crate) fn parse(bytes: &[u8], location: &Location) -> anyhow::Result<Arc<Metainfo>> {
    let metainfo = Metainfo::parse(bytes).with_context(|| location.to_string())?;
    Ok(Arc::new(metainfo))
}

async fn from_magnet(link: &str, peers: &[SocketAddr], patience: Patience) -> anyhow::Result<Arc<Metainfo>> {
    let magnet = Magnet::parse(link)?;
    Ok(Arc::new(ezio_swarm::magnet::fetch(&magnet, peers, patience.total).await?))
}
