//! One image directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use ezio_contract::urls;
use ezio_image::checksums::Checksums;
use ezio_image::manifest::{
    BOOT_CODE_FILE, CHECKSUM_FILE, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE, Manifest, PartitionInfo,
};
use ezio_image::metainfo::Metainfo;
use ezio_image::names::is_safe_name;
use ezio_swarm::storage::{RunFiles, Storage};

/// Largest small file that is held in memory: a torrent of a 16 TiB partition is smaller.
const MAX_FILE: u64 = 256 << 20;

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
    /// Base name of the directory; what clients call it.
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) torrents: Vec<Torrent>,
    /// Manifest, layout and so on by file name; torrents are made to order.
    files: BTreeMap<String, Bytes>,
}

impl Image {
    /// Opens a directory: manifest, checksums of the small files, torrents against the manifest, and the data
    /// behind the torrents by its sizes.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Self::read(dir).with_context(|| format!("image directory {}", dir.display()))
    }

    fn read(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().context("opening it")?;
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        ensure!(
            is_safe_name(&name),
            "{name:?} cannot be the name of an image: use letters, digits, '.', '_' and '-'"
        );
        let text = read_small(&dir, MANIFEST_FILE)?
            .with_context(|| format!("there is no {MANIFEST_FILE}: is this an image directory?"))?;
        let manifest =
            Manifest::parse(as_text(&text, MANIFEST_FILE)?).with_context(|| format!("in {MANIFEST_FILE}"))?;
        let mut files = BTreeMap::from([(MANIFEST_FILE.to_owned(), text)]);
        // The operator signs an image by its checksums.
        let signature = format!("{CHECKSUM_FILE}{}", urls::SIGNATURE);
        for file in [LAYOUT_FILE, BOOT_CODE_FILE, HIDDEN_FILE, CHECKSUM_FILE, &signature] {
            if let Some(bytes) = read_small(&dir, file)? {
                files.insert(file.to_owned(), bytes);
            }
        }
        let mut torrents = Vec::new();
        let mut torrent_files = BTreeMap::new();
        for partition in manifest.partitions.iter().filter(|p| p.has_torrent()) {
            let (torrent, bytes) = open_torrent(&dir, partition)?;
            torrents.push(torrent);
            torrent_files.insert(partition.torrent_file(), bytes);
        }
        check_sums(&files, &torrent_files)?;
        Ok(Self { name, dir, manifest, torrents, files })
    }

    /// Bytes that a client receives.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.torrents.iter().map(|t| t.metainfo.total_length()).sum()
    }

    /// A small file; torrents name `announce` as their tracker.
    pub(crate) fn file(&self, name: &str, announce: &str) -> Option<Bytes> {
        if let Some(part) = name.strip_suffix(".torrent") {
            let partition =
                self.manifest.partitions.iter().filter(|p| p.has_torrent()).position(|p| p.name == part)?;
            let metainfo = &self.torrents.get(partition)?.metainfo;
            return Some(metainfo.to_torrent(&[announce.to_owned()]).into());
        }
        self.files.get(name).cloned()
    }
}

fn open_torrent(dir: &Path, partition: &PartitionInfo) -> Result<(Torrent, Bytes)> {
    let file = partition.torrent_file();
    let bytes = read_small(dir, &file)?.with_context(|| format!("{file} is missing"))?;
    let metainfo = Metainfo::parse(&bytes).with_context(|| format!("in {file}"))?;
    let expected = partition.torrent_info_hash().unwrap_or_default();
    let found = metainfo.info_hash().as_string();
    ensure!(
        found.eq_ignore_ascii_case(expected),
        "{file} has the info hash {found}, the manifest says {expected}: the directory is damaged or mixed up"
    );
    let storage = RunFiles::open(dir, &metainfo).with_context(|| format!("the data of {file}"))?;
    Ok((Torrent { metainfo: Arc::new(metainfo), storage: Arc::new(storage) }, bytes))
}

/// `None` where there is no such file.
fn read_small(dir: &Path, name: &str) -> Result<Option<Bytes>> {
    let path = dir.join(name);
    let length = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("opening {name}")),
    };
    ensure!(length <= MAX_FILE, "{name} has {length} bytes; more than {MAX_FILE} cannot be right");
    Ok(Some(std::fs::read(&path).with_context(|| format!("reading {name}"))?.into()))
}

fn as_text<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).with_context(|| format!("in {name}"))
}

/// Checks the small files against `SHA256SUMS`; data is not in there, its hashes are in the torrents.
fn check_sums(files: &BTreeMap<String, Bytes>, torrents: &BTreeMap<String, Bytes>) -> Result<()> {
    let Some(sums) = files.get(CHECKSUM_FILE) else { return Ok(()) };
    let sums =
        Checksums::parse(as_text(sums, CHECKSUM_FILE)?).with_context(|| format!("in {CHECKSUM_FILE}"))?;
    for (name, bytes) in files.iter().chain(torrents) {
        ensure!(
            sums.matches(name, bytes) != Some(false),
            "{name} does not match {CHECKSUM_FILE}: the directory is damaged, copy or capture it again"
        );
    }
    Ok(())
}
