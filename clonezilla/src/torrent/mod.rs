//! partclone's BitTorrent form, and torrents with their data: runs of used blocks in files named by their offsets, and
//! SHA-1 hashes that tell whether they are whole. It becomes the image of one partition (or of a raw disk).

mod data;
mod hashes;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_image::extents::ExtentMap;
use ezio_image::filesystem;
use ezio_image::layout::Layout;
use ezio_image::manifest::{Content, DiskInfo, DiskLabel, PartitionInfo, RAW_DISK, Source, SourceKind};
use ezio_image::metainfo::Metainfo;
use ezio_image::names::safe_name;
use ezio_imagedir::{Architecture, Evidence, ImageWriter, Part};

use crate::import::{Orders, Watch, look, manifest};
use data::Data;
use hashes::Hashes;

/// What partclone calls its file of hashes.
const TORRENT_INFO: &str = "torrent.info";

/// A torrent (or partclone's file of hashes) and where its data is.
pub struct Torrent {
    /// Where it was described.
    path: PathBuf,
    name: String,
    hashes: Hashes,
    data: Data,
    /// Bytes of the partition, or of the disk.
    size: u64,
    kind: SourceKind,
}

impl Torrent {
    /// Is this one: a torrent, partclone's file of hashes, or a folder with that?
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "torrent")
            || path.file_name().is_some_and(|name| name == TORRENT_INFO)
            || path.join(TORRENT_INFO).is_file()
    }

    /// Reads it, and finds its data: in `data` (a folder of run files, one file, or a device), else beside it.
    ///
    /// # Errors
    /// It makes no sense, or the data is not all there.
    pub fn open(path: &Path, data: Option<&Path>) -> Result<Self> {
        let path = if path.is_dir() { path.join(TORRENT_INFO) } else { path.to_owned() };
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let understand = || format!("cannot understand {}", path.display());
        let absolute = fs::canonicalize(&path).with_context(|| format!("cannot find {}", path.display()))?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let (name, hashes, beside) = if path.ends_with(TORRENT_INFO) {
            let hashes = Hashes::of_info(&String::from_utf8_lossy(&bytes)).with_context(understand)?;
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, hashes, folder.to_owned())
        } else {
            let metainfo = Metainfo::parse(&bytes).with_context(understand)?;
            let hashes = Hashes::of_metainfo(&metainfo).with_context(understand)?;
            (metainfo.name().to_owned(), hashes, folder.join(metainfo.name()))
        };
        let data = Data::find(data.unwrap_or(&beside), &hashes)?;
        let kind = match hashes.whole && has_table(&data, hashes.map.target_end()) {
            true => SourceKind::RawDisk,
            false => SourceKind::Partition,
        };
        let name = if kind == SourceKind::RawDisk { RAW_DISK.to_owned() } else { safe_name(&name) };
        let own = filesystem::inspect(&data, 0).context("cannot read the superblock")?.unwrap_or_default();
        let size = match hashes.whole {
            true => hashes.map.target_end(),
            false => hashes.map.target_end().max(hashes.size).max(own.size),
        };
        Ok(Self { path, name, hashes, data, size, kind })
    }

    /// Bytes of its content.
    #[must_use]
    pub fn total_length(&self) -> u64 {
        self.hashes.map.total_length()
    }

    fn runs(&self) -> Option<&ExtentMap> {
        (!self.hashes.whole).then_some(&self.hashes.map)
    }
}

/// Is it a disk, by its partition table? Boot sectors of file systems look like one to some.
fn has_table(data: &Data, size: u64) -> bool {
    matches!(filesystem::inspect(data, 0), Ok(None))
        && Layout::read_from_disk(data, size, 512, "/dev/sda").is_ok()
}

/// Writes the image. With `link` it shares the run files by hard links.
///
/// # Errors
/// A piece does not fit its hash, or what cannot be read or written.
pub fn import_torrent(
    torrent: &mut Torrent,
    link: bool,
    orders: &Orders<'_>,
    watch: &mut Watch<'_>,
) -> Result<(ezio_image::manifest::Manifest, Architecture)> {
    ensure!(
        !link || torrent.data.can_be_shared(&torrent.hashes),
        "--link is for data in files of one run each: {} is read as a device",
        torrent.data.path().display()
    );
    let needed = if link { 0 } else { torrent.total_length() };
    let mut image = ImageWriter::create(orders.output, orders.replace, orders.keep, needed)?;
    let (name, size) = (torrent.name.clone(), torrent.size);
    let map = torrent.hashes.map.clone();
    let part = match torrent.hashes.whole {
        true => Part::Whole { name: &name, size },
        false => Part::Runs { name: &name, map: &map },
    };
    let mut checked = data::Checked::new(&mut torrent.data, &torrent.hashes, link);
    let content: Content =
        image.content(&part, orders.piece_length, &mut checked, &mut |length| watch(&name, length))?;
    checked.finish()?;
    let mut info = PartitionInfo {
        name: name.clone(),
        number: 0,
        offset: 0,
        size,
        filesystem: None,
        filesystem_size: None,
        block_size: None,
        uuid: None,
        label: None,
        content,
        lvm: None,
    };
    let passive = torrent.kind == SourceKind::Partition;
    let mut evidence = Evidence { told: orders.arch, passive, ..Evidence::default() };
    let mut notes = Vec::new();
    look(&image.stored(&name)?, &mut info, torrent.runs(), &mut notes, &mut evidence)
        .with_context(|| format!("cannot read what was written of {name}"))?;
    let architecture = evidence.judge();
    let source =
        Source { kind: torrent.kind, path: torrent.path.display().to_string(), model: None, serial: None };
    let disk = DiskInfo { size, sector_size: 512, label: DiskLabel::None, minimum_size: size };
    let disk = (torrent.kind == SourceKind::RawDisk).then_some(disk);
    let manifest = manifest(orders, source, disk, architecture.arch, notes, vec![info]);
    watch(&name, 0)?;
    image.finish(&manifest)?;
    Ok((manifest, architecture))
}
