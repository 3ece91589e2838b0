//! A directory that `image-builder netboot` makes for one architecture: kernel, initrd and network boot programs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use ezio_contract::Arch;
use ezio_contract::netboot::{DESCRIPTION, Description, File, INITRD, KERNEL};
use ezio_image::checksums::sha256_hex;
use ezio_image::names::is_safe_name;

/// Files for network boot, in memory.
#[derive(Debug)]
pub(crate) struct Netboot {
    pub(crate) arch: Arch,
    files: BTreeMap<String, Bytes>,
}

impl Netboot {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Self::read(dir).with_context(|| format!("network boot directory {}", dir.display()))
    }

    fn read(dir: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(dir.join(DESCRIPTION)) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                bail!("{DESCRIPTION} is missing: make the directory with `image-builder netboot`")
            }
            Err(e) => return Err(e).with_context(|| format!("reading {DESCRIPTION}")),
        };
        let description = Description::parse(&text)?;
        let files = description.files.into_iter().map(|file| read_file(dir, file));
        let files: BTreeMap<String, Bytes> = files.collect::<Result<_>>()?;
        for needed in [KERNEL, INITRD] {
            ensure!(files.contains_key(needed), "{DESCRIPTION} names no {needed}");
        }
        Ok(Self { arch: description.arch, files })
    }

    pub(crate) fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    /// Names and sizes in bytes, without what machines fetch on demand, which is in folders.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        let files = self.files.iter().filter(|(name, _)| !name.contains('/'));
        files.map(|(name, bytes)| (name.as_str(), bytes.len()))
    }

    /// Number and size in bytes of the files that machines fetch on demand.
    pub(crate) fn on_demand(&self) -> (usize, usize) {
        let files = self.files.iter().filter(|(name, _)| name.contains('/'));
        files.fold((0, 0), |(count, size), (_, bytes)| (count + 1, size + bytes.len()))
    }
}

/// A file that the description names, by its name, checked.
fn read_file(dir: &Path, file: File) -> Result<(String, Bytes)> {
    let File { name, sha256, .. } = file;
    ensure!(
        name.split('/').all(is_safe_name),
        "{DESCRIPTION} names {name:?}, which is no file of this directory"
    );
    let bytes = std::fs::read(dir.join(&name)).with_context(|| format!("reading {name}"))?;
    ensure!(
        sha256_hex(&bytes) == sha256,
        "{name} does not match {DESCRIPTION}: make the directory again with `image-builder netboot`"
    );
    Ok((name, Bytes::from(bytes)))
}
