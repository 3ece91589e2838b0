//! The directory that `image-builder netboot` makes: kernel, initrd and network boot programs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use ezio_image::checksums::sha256_hex;

/// What Debian calls the architecture; network boot files stand below `boot/amd64/`.
pub(crate) const AMD64: &str = "amd64";
/// Kernel.
pub(crate) const KERNEL: &str = "vmlinuz";
/// Initrd with init in it.
pub(crate) const INITRD: &str = "initrd.img";
/// First stage of UEFI's signed chain.
pub(crate) const SHIM: &str = "shimx64.efi";
/// Second stage: the signed network build of GRUB, under the name that shim asks for.
pub(crate) const GRUB: &str = "grubx64.efi";
/// iPXE for a BIOS without it.
pub(crate) const UNDIONLY: &str = "undionly.kpxe";
const DESCRIPTION: &str = "netboot.toml";

/// Files for network boot, in memory.
#[derive(Debug)]
pub(crate) struct Netboot {
    files: BTreeMap<String, Bytes>,
}

impl Netboot {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Self::read(dir).with_context(|| format!("network boot directory {}", dir.display()))
    }

    fn read(dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for (name, needed) in
            [(KERNEL, true), (INITRD, true), (SHIM, false), (GRUB, false), (UNDIONLY, false)]
        {
            match std::fs::read(dir.join(name)) {
                Ok(bytes) => {
                    files.insert(name.to_owned(), Bytes::from(bytes));
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !needed => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    bail!("{name} is missing: make the directory with `make netboot`")
                }
                Err(e) => return Err(e).with_context(|| format!("reading {name}")),
            }
        }
        match std::fs::read_to_string(dir.join(DESCRIPTION)) {
            Ok(text) => check_sums(&files, &text)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("reading {DESCRIPTION}")),
        }
        Ok(Self { files })
    }

    pub(crate) fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    /// Names and sizes in bytes.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.len()))
    }

    /// Can a UEFI machine boot?
    pub(crate) fn has_uefi(&self) -> bool {
        self.files.contains_key(SHIM) && self.files.contains_key(GRUB)
    }

    /// Can a BIOS without iPXE boot?
    pub(crate) fn has_bios(&self) -> bool {
        self.files.contains_key(UNDIONLY)
    }
}

/// Every `sha256 = "…"` in a table that also names one of our files (`name = "…"`, or as the table's key).
fn check_sums(files: &BTreeMap<String, Bytes>, text: &str) -> Result<()> {
    let description: toml::Table = toml::from_str(text).with_context(|| format!("in {DESCRIPTION}"))?;
    let mut found = Vec::new();
    for (key, value) in &description {
        collect_sums(key, value, 0, &mut found);
    }
    for (name, sum) in found {
        let Some(bytes) = files.get(&name) else { continue };
        ensure!(
            sha256_hex(bytes).eq_ignore_ascii_case(&sum),
            "{name} does not match {DESCRIPTION}: make the directory again with `make netboot`"
        );
    }
    Ok(())
}

fn collect_sums(key: &str, value: &toml::Value, depth: u8, found: &mut Vec<(String, String)>) {
    if depth > 4 {
        return;
    }
    match value {
        toml::Value::Array(list) => list.iter().for_each(|v| collect_sums(key, v, depth + 1, found)),
        toml::Value::Table(table) => {
            if let Some(sum) = table.get("sha256").and_then(toml::Value::as_str) {
                let name = table.get("name").and_then(toml::Value::as_str).unwrap_or(key);
                found.push((name.to_owned(), sum.to_owned()));
            }
            table.iter().for_each(|(key, v)| collect_sums(key, v, depth + 1, found));
        }
        _ => {}
    }
}
