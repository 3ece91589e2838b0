//! An image directory, as `show` and `verify` open it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_image::manifest::{FORMAT_VERSION, MANIFEST_FILE, Manifest, PartitionInfo};
use ezio_image::metainfo::Metainfo;
use ezio_image::names::is_safe_name;

/// An image directory with its manifest.
pub(crate) struct ImageDir {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
}

impl ImageDir {
    /// Reads the manifest. Names in it that lead out of the directory are refused.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = path.join(MANIFEST_FILE);
        let text = fs::read_to_string(&file).with_context(|| {
            format!("{} is no image directory: cannot read {MANIFEST_FILE}", path.display())
        })?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("{} is no manifest", file.display()))?;
        ensure!(
            (1..=FORMAT_VERSION).contains(&manifest.format),
            "{} is of format {}, this program knows formats up to {FORMAT_VERSION}",
            file.display(),
            manifest.format
        );
        for name in manifest.partitions.iter().map(|p| &p.name).chain([&manifest.name]) {
            ensure!(is_safe_name(name), "{}: {name:?} cannot be a name", file.display());
        }
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// Reads the torrent of a partition.
    pub(crate) fn metainfo(&self, partition: &PartitionInfo) -> Result<Metainfo> {
        let file = self.path.join(partition.torrent_file());
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Metainfo::parse(&bytes).with_context(|| format!("cannot understand {}", file.display()))
    }
}
