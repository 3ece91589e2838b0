//! An image directory of Clonezilla: what it says about disks and partitions, and which files hold what.

mod disk;
mod facts;
mod saved;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::sums::Sums;

pub(crate) use disk::Disk;
pub(crate) use facts::Facts;
pub(crate) use saved::{Form, Saved};

/// Names of the partitions that were saved; every image has it.
const PARTS: &str = "parts";
/// Names of the disks, where whole disks were saved.
const DISKS: &str = "disk";
/// Clonezilla writes it when it gives an image's disk another name; sums made before no longer fit.
const RENAMED: &str = "device_name_converted.info";
/// Largest description that is read, in bytes: hidden data has up to 1 GiB at most, all else a few KiB.
const MOST: u64 = 64 << 20;

/// An image directory of Clonezilla.
pub struct Directory {
    path: PathBuf,
    /// All file names, sorted.
    names: Vec<String>,
    sums: Arc<Sums>,
    saved: Vec<Saved>,
}

impl Directory {
    /// Is this one?
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.join(PARTS).is_file()
    }

    /// Looks at a directory.
    ///
    /// # Errors
    /// It is none, cannot be read, or is encrypted.
    pub fn open(path: &Path) -> Result<Self> {
        let list = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut names = Vec::new();
        for entry in list {
            let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort_unstable();
        let has = |name: &str| names.binary_search_by(|n| n.as_str().cmp(name)).is_ok();
        ensure!(!has("ecryptfs.info"), "{} is encrypted: have Clonezilla decrypt it first", path.display());
        ensure!(has(PARTS), "{} is no image of Clonezilla: it has no file {PARTS:?}", path.display());
        let sums = match has(RENAMED) {
            true => Sums::default(),
            false => {
                Sums::read(path).with_context(|| format!("cannot read the sums of {}", path.display()))?
            }
        };
        let saved = saved::find(&names).with_context(|| format!("{} is incomplete", path.display()))?;
        Ok(Self { path: path.to_owned(), sums: Arc::new(sums), saved, names })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names, sizes and times of its files: another text, another image.
    ///
    /// # Errors
    /// What the system says.
    pub fn state(&self) -> Result<String> {
        let mut state = format!("{}\n", self.path.display());
        for name in &self.names {
            let path = self.path.join(name);
            let metadata = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
            state +=
                &format!("{} {}.{:09} {name}\n", metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        }
        Ok(state)
    }

    pub(crate) fn sums(&self) -> &Arc<Sums> {
        &self.sums
    }

    /// Disks that were saved whole; none where partitions were.
    ///
    /// # Errors
    /// What cannot be read.
    pub(crate) fn disks(&self) -> Result<Vec<String>> {
        Ok(if self.has(DISKS) { self.words(DISKS)? } else { Vec::new() })
    }

    /// Disks whose partition tables are there.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.names.iter().filter_map(|name| name.strip_suffix("-pt.sf")).map(str::to_owned).collect()
    }

    /// Partitions that were saved.
    ///
    /// # Errors
    /// What cannot be read.
    pub(crate) fn partitions(&self) -> Result<Vec<String>> {
        self.words(PARTS)
    }

    /// The files that hold a partition.
    pub(crate) fn saved(&self, partition: &str) -> Option<&Saved> {
        self.saved.iter().find(|saved| saved.partition == partition)
    }

    /// Why there is nothing of a partition that was saved, for an error.
    pub(crate) fn missing(&self, partition: &str) -> anyhow::Error {
        let path = self.path.display();
        let lists = |file: &str| self.text(file).is_ok_and(|text| text.contains(partition));
        let (dot, other) = (format!("{partition}."), self.names.iter());
        let others: Vec<&str> = other.filter(|name| name.starts_with(&dot)).map(String::as_str).collect();
        if lists("luks-dev.list") {
            return anyhow!(
                "{partition} of {path} is encrypted (LUKS), and Clonezilla saved what is in it: restore the image with \
                 Clonezilla and capture the disk, which takes it as it is"
            );
        }
        match others.as_slice() {
            [] => anyhow!("{path} is incomplete: {partition} was saved, and no file of it is there"),
            [first, ..] => anyhow!(
                "{first} of {path} was not made by partclone (by partimage or ntfsclone?): only images of partclone and \
                 plain copies are understood"
            ),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
    }

    /// Reads a small file, and checks it against its sum.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let size = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        ensure!(size <= MOST, "{} has {size} bytes: that is no description", path.display());
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Err(what) = self.sums.check(name, &bytes) {
            bail!("{}: {what}", path.display());
        }
        Ok(bytes)
    }

    pub(crate) fn text(&self, name: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(name)?).into_owned())
    }

    fn words(&self, name: &str) -> Result<Vec<String>> {
        let text = self.text(name)?;
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        ensure!(!words.is_empty(), "{} is empty", self.path.join(name).display());
        Ok(words)
    }
}
