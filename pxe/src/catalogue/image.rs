//! One image directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use ezio_contract::urls;
use ezio_image::checksums::sha256_hex;
use ezio_image::directory;
use ezio_image::manifest::{CHECKSUM_FILE, Manifest, Store};
use ezio_image::metainfo::Metainfo;
use ezio_imagedir::small_files;
use ezio_swarm::storage::{Storage, open_image};

use crate::clock::now;

/// A torrent of an image, and the data behind it.
pub(crate) struct Torrent {
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) storage: Arc<dyn Storage>,
}

impl fmt::Debug for Torrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Torrent({})", self.metainfo.name())
    }
}

/// A checked image directory.
#[derive(Debug)]
pub(crate) struct Image {
    /// Base name of the directory, with that of the set before it; what clients call it.
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
    /// Bytes of the smallest disk that can hold it; none where it is no image of a disk.
    pub(crate) needed: Option<u64>,
    pub(crate) torrents: Vec<Torrent>,
    /// What is in it: SHA-256 of its list of checksums, in hex.
    pub(crate) version: String,
    /// When it was opened, in seconds since 1970.
    pub(crate) checked: f64,
    /// Manifest, layout and so on by file name; torrents are made to order.
    files: BTreeMap<String, Bytes>,
}

impl Image {
    /// Opens a directory, with which nothing may be wrong; the data behind the torrents is judged by its sizes.
    pub(super) fn open(dir: &Path, name: String) -> Result<Self> {
        Self::read(dir, name).with_context(|| format!("image directory {}", dir.display()))
    }

    fn read(dir: &Path, name: String) -> Result<Self> {
        let dir = dir.canonicalize().context("opening it")?;
        let files = small_files(&dir)?;
        let image = directory::Image::open(&files)?.check()?;
        let partitions = image.manifest.partitions.iter().filter_map(|p| image.torrents.get(&p.name));
        let store = image.manifest.store;
        let torrents = partitions.map(|torrent| open_torrent(&dir, store, torrent)).collect::<Result<_>>()?;
        let mut files: BTreeMap<String, Bytes> =
            files.into_map().into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        // The operator signs an image by its checksums.
        files.extend(signature(&dir)?);
        let needed = image.needed_for_disk();
        let checksums = files.get(CHECKSUM_FILE).map(Bytes::as_ref).unwrap_or_default();
        let version = sha256_hex(checksums);
        let manifest = image.manifest.clone();
        Ok(Self { name, dir, manifest, needed, torrents, version, checked: now(), files })
    }

    /// Bytes that a client receives.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.torrents.iter().map(|t| t.metainfo.total_length()).sum()
    }

    /// The torrent of a partition; none where it has no content.
    pub(crate) fn torrent_of(&self, partition: &str) -> Option<&Torrent> {
        let at =
            self.manifest.partitions.iter().filter(|p| p.has_torrent()).position(|p| p.name == partition)?;
        self.torrents.get(at)
    }

    /// A small file; torrents name `announce` as their tracker.
    pub(crate) fn file(&self, name: &str, announce: &str) -> Option<Bytes> {
        if let Some(part) = name.strip_suffix(".torrent") {
            let torrent = self.torrent_of(part)?;
            return Some(torrent.metainfo.to_torrent(&[announce.to_owned()]).into());
        }
        self.files.get(name).cloned()
    }
}

fn open_torrent(dir: &Path, store: Store, torrent: &directory::Torrent) -> Result<Torrent> {
    let metainfo = Arc::clone(&torrent.metainfo);
    let storage =
        open_image(dir, store, &metainfo).with_context(|| format!("the data of {}", metainfo.name()))?;
    Ok(Torrent { metainfo, storage })
}

/// The operator's signature of what is in a directory, by its file name.
pub(super) fn signature(dir: &Path) -> Result<Option<(String, Bytes)>> {
    let name = format!("{CHECKSUM_FILE}{}", urls::SIGNATURE);
    let path = dir.join(&name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some((name, bytes.into()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
    }
}
