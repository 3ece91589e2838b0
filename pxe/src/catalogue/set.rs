//! The directory of a set: the images of several disks of one machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use ezio_image::manifest::CHECKSUM_FILE;
use ezio_image::set::{DiskSet, SET_FILE, image_name};

use super::image::{Image, signature};

/// A checked set.
#[derive(Debug)]
pub(crate) struct Set {
    /// Base name of the directory; what clients call it.
    pub(crate) name: String,
    pub(crate) list: DiskSet,
    /// Its list and checksums, by file name.
    files: BTreeMap<String, Bytes>,
}

impl Set {
    /// Opens a directory, and the images in it.
    pub(super) fn open(dir: &Path, name: String) -> Result<(Self, Vec<Image>)> {
        let set = ezio_imagedir::Set::open(dir)?.check()?;
        let folders = set.folders().into_iter().zip(&set.list.disks);
        let images = folders
            .map(|(folder, disk)| Image::open(&folder, image_name(&name, &disk.name)))
            .collect::<Result<Vec<_>>>()?;
        let mut files: BTreeMap<String, Bytes> = signature(dir)?.into_iter().collect();
        for file in [SET_FILE, CHECKSUM_FILE] {
            let path = dir.join(file);
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            files.insert(file.to_owned(), bytes.into());
        }
        Ok((Self { name, list: set.list, files }, images))
    }

    /// One of its own files.
    pub(crate) fn file(&self, name: &str) -> Option<Bytes> {
        self.files.get(name).cloned()
    }
}
