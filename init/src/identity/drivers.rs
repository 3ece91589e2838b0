//! Drivers for Windows, from the server to the folder that the answer file names.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Component, Path};

use anyhow::{Context, ensure};
use ezio_contract::identity::{DRIVER_BLOCK, DRIVERS, DriverFile, WindowsFiles};
use ezio_image::checksums::Sha256Sum;
use ezio_image::conf::units::human_size;

use crate::target::tree::Tree;

/// Gets a block of a file, by the file's hash.
pub(crate) type Fetch<'a> = dyn Fn(&str, u64) -> anyhow::Result<Vec<u8>> + 'a;

/// Bytes of them all.
pub(crate) fn bytes(files: &WindowsFiles) -> u64 {
    files.drivers.iter().map(|file| file.size).sum()
}

/// Puts them below the folder of drivers.
pub(super) fn put(tree: &Tree, files: &[DriverFile], fetch: &Fetch<'_>) -> anyhow::Result<()> {
    let root = tree.path_in_any_case(&[DRIVERS])?.unwrap_or_else(|| DRIVERS.to_owned());
    let mut folders = BTreeSet::new();
    for file in files {
        let path = Path::new(&file.path);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(plain && !path.as_os_str().is_empty(), "{:?} is no path below {DRIVERS}", file.path);
        let path = format!("{root}/{}", file.path);
        for (end, _) in path.match_indices('/') {
            if folders.insert(path[..end].to_owned()) {
                tree.make_folder(&path[..end])?;
            }
        }
        tree.write_by(&path, 0o644, |place| copy(file, place, fetch))?;
    }
    Ok(())
}

/// Block by block: a machine has less memory than some files have bytes.
fn copy(file: &DriverFile, place: &mut File, fetch: &Fetch<'_>) -> anyhow::Result<()> {
    let DriverFile { path, size, sha256 } = file;
    let mut sum = Sha256Sum::default();
    for number in 0..size.div_ceil(DRIVER_BLOCK) {
        let block = fetch(sha256, number).with_context(|| format!("fetching {path}"))?;
        let length = (size - number * DRIVER_BLOCK).min(DRIVER_BLOCK);
        ensure!(
            block.len() as u64 == length,
            "{path}: block {number} has {} bytes, not {length}",
            block.len()
        );
        sum.write_all(&block)?;
        place.write_all(&block)?;
    }
    ensure!(sum.hex() == *sha256, "{path}: its SHA-256 is not what the server said");
    Ok(())
}

/// What there is of them, for people.
pub(super) struct DriversOf<'a>(pub(super) &'a WindowsFiles);

impl fmt::Display for DriversOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.drivers.is_empty() {
            write!(f, ", drivers ({} files, {})", self.0.drivers.len(), human_size(bytes(self.0)))?;
        }
        self.0.drivers_note.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}
