//! A torrent by whatever name it has: a file, a URL, a magnet link.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ezio_image::manifest::{MANIFEST_FILE, Manifest, PartitionInfo};
use ezio_image::metainfo::Metainfo;
use ezio_swarm::beginning;
use ezio_swarm::magnet::Magnet;

use super::location::Location;
use super::{FetchError, Fetcher, Patience, superblock};

/// Until then somebody must have given what is first of a torrent: as long as a room may be silent later on.
const HEAD_BOUND: Duration = Duration::from_secs(600);

/// A torrent without the image that it may be a part of.
#[derive(Debug, Clone)]
pub(crate) struct Torrent {
    pub(crate) metainfo: Arc<Metainfo>,
    /// Bytes that a target must have: more than are written, where it is known how long the file system is.
    pub(crate) needed: u64,
    /// It is known how long it is.
    described: bool,
}

impl Torrent {
    /// A torrent of which nothing else is known.
    pub(crate) fn new(metainfo: Arc<Metainfo>) -> anyhow::Result<Self> {
        let needed = metainfo.extents().with_context(|| metainfo.name().to_owned())?.target_end();
        Ok(Self { metainfo, needed, described: false })
    }

    /// Fetches a torrent. `peers` may give the metadata of a magnet link.
    pub(crate) async fn fetch(
        source: &str,
        peers: &[SocketAddr],
        fetcher: &Fetcher,
        patience: Patience,
        tell: impl FnMut(&FetchError, Duration),
    ) -> anyhow::Result<Self> {
        if source.starts_with("magnet:") {
            let magnet = Magnet::parse(source)?;
            return Self::new(Arc::new(ezio_swarm::magnet::fetch(&magnet, peers, patience.total).await?));
        }
        let location: Location = source.parse()?;
        let bytes = fetcher.get_patiently(&location, patience, tell).await?;
        let metainfo = Metainfo::parse(&bytes).with_context(|| location.to_string())?;
        let mut torrent = Self::new(Arc::new(metainfo))?;
        if let Some(partition) = torrent.partition_beside(&location, fetcher).await {
            torrent = torrent.with_size(partition.needed());
        }
        Ok(torrent)
    }

    /// The same, after a look at its superblock where nothing else says how long it is: whoever would be overwritten must
    /// hold it. A raw image is as long as what it is of; and where there is nobody to ask it stays as it is. `peers` are
    /// asked too; `tell` hears why nothing has come yet.
    pub(crate) async fn measured(self, peers: &[SocketAddr], tell: impl FnMut(&str)) -> anyhow::Result<Self> {
        let metainfo = &self.metainfo;
        let somebody = !(metainfo.trackers().is_empty() && metainfo.peers().is_empty() && peers.is_empty());
        let extents = metainfo.extents()?;
        let length = superblock::head_length(&extents);
        if self.described || metainfo.is_raw() || !somebody || length == 0 {
            return Ok(self);
        }
        let head = beginning::fetch(metainfo, length, peers, HEAD_BOUND, tell).await?;
        let found = superblock::look(&head, &extents).context("looking at the superblock that arrives")?;
        Ok(self.with_size(found.size))
    }

    /// The same, of a file system of so many bytes.
    pub(crate) fn with_size(self, size: u64) -> Self {
        Self { needed: self.needed.max(size), described: true, ..self }
    }

    /// What the manifest beside the torrent says of its partition; most torrents have none.
    async fn partition_beside(&self, location: &Location, fetcher: &Fetcher) -> Option<PartitionInfo> {
        let bytes = fetcher.get(&location.beside(MANIFEST_FILE)).await.ok()?;
        let manifest = Manifest::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
        let hash = self.metainfo.info_hash().as_string();
        let of_this =
            |p: &PartitionInfo| p.torrent_info_hash().is_some_and(|h| h.eq_ignore_ascii_case(&hash));
        manifest.partitions.into_iter().find(of_this)
    }
}
