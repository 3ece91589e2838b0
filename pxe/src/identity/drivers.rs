//! Drivers for Windows: a folder for each model, named as SMBIOS names the product, by itself or in a folder of its maker; and
//! one for all. What is in them is listed when the conf is read, and served by its hash alone: no name that a client says
//! becomes a path.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_contract::identity::{DRIVER_BLOCK, DriverFile};
use ezio_image::checksums::Sha256Sum;

/// Folder of what every model gets.
const COMMON: &str = "common";
/// Files in all: the pack of a model has some thousand.
const MAX_FILES: usize = 200_000;
/// Folders in folders.
const MAX_DEPTH: usize = 16;
/// What Windows has in no name of a file.
const NEVER: &str = "<>:\"/\\|?*";

/// What is in a folder of drivers.
#[derive(Debug, Default)]
pub(super) struct Drivers {
    /// In the order of their paths.
    files: Vec<DriverFile>,
    /// Where each is, by its hash.
    places: HashMap<String, PathBuf>,
}

impl Drivers {
    /// Lists a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut drivers = Self::default();
        for name in entries(folder)? {
            let path = folder.join(&name);
            // A note beside the folders is nobody's driver.
            if fs::symlink_metadata(&path)?.is_dir() {
                drivers.list(&path, &name, 0)?;
            }
        }
        Ok(drivers)
    }

    fn list(&mut self, folder: &Path, below: &str, depth: usize) -> Result<()> {
        ensure!(depth < MAX_DEPTH, "{} is too deep: more than {MAX_DEPTH} folders", folder.display());
        for name in entries(folder)? {
            let (place, path) = (folder.join(&name), format!("{below}/{name}"));
            let kind = fs::symlink_metadata(&place).with_context(|| place.display().to_string())?.file_type();
            if kind.is_dir() {
                self.list(&place, &path, depth + 1)?;
                continue;
            }
            ensure!(kind.is_file(), "{} is neither a file nor a folder", place.display());
            ensure!(self.files.len() < MAX_FILES, "there are more than {MAX_FILES} files of drivers");
            let (size, sha256) = hashed(&place).with_context(|| format!("reading {}", place.display()))?;
            self.files.push(DriverFile { path, size, sha256: sha256.clone() });
            self.places.insert(sha256, place);
        }
        Ok(())
    }

    /// The files for a model, and what there is to say of them.
    pub(super) fn for_model(&self, product: Option<&str>) -> (Vec<DriverFile>, Option<String>) {
        let in_folder = |file: &DriverFile, name: &str, deepest: usize| {
            let folders = file.path.rsplit_once('/').map(|(folders, _)| folders).unwrap_or_default();
            folders.split('/').take(deepest).any(|folder| folder.to_lowercase() == name)
        };
        let own = product.map(|product| folder_name(product).to_lowercase());
        let files = |name: &str, deepest| -> Vec<DriverFile> {
            self.files.iter().filter(|file| in_folder(file, name, deepest)).cloned().collect()
        };
        // The folder of a maker may have any name: each spells its own in several ways.
        let own = own.map(|own| files(&own, 2)).unwrap_or_default();
        let note = own.is_empty().then(|| match product {
            Some(product) => {
                format!("no drivers for {product:?}: there are none in a folder {:?}", folder_name(product))
            }
            None => "no drivers of its own: the machine does not say which model it is".to_owned(),
        });
        ([files(COMMON, 1), own].concat(), note)
    }

    /// A block of the file with this hash; none where there is no such.
    pub(super) fn block(&self, sha256: &str, number: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(place) = self.places.get(sha256) else { return Ok(None) };
        let file = File::open(place)?;
        let offset = number.saturating_mul(DRIVER_BLOCK);
        let length = file.metadata()?.len().saturating_sub(offset).min(DRIVER_BLOCK);
        let mut block = vec![0; length as usize];
        file.read_exact_at(&mut block, offset)?;
        Ok(Some(block))
    }
}

/// What a model's folder is called: what no name of a file may have, is a hyphen.
fn folder_name(product: &str) -> String {
    let product = product.trim().trim_end_matches('.');
    product.chars().map(|c| if c.is_control() || NEVER.contains(c) { '-' } else { c }).collect()
}

/// Names in a folder, in order; all must be such as Windows takes.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let good = folder_name(&name) == name && entry.file_name().to_str().is_some();
        ensure!(good, "{}: Windows takes no such name", entry.path().display());
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn hashed(path: &Path) -> io::Result<(u64, String)> {
    let mut sum = Sha256Sum::default();
    let size = io::copy(&mut File::open(path)?, &mut sum)?;
    Ok((size, sum.hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn a_model_gets_its_own_and_what_is_for_all() {
        let folder = folder(&[
            "common/a.inf",
            "Latitude 5440/net/e.inf",
            "OptiPlex-X/b.sys",
            "readme.txt",
            "LENOVO/20W1/net/c.inf",
            "LENOVO/20W2/d.inf",
            "LENOVO/common/never.inf",
        ]);
        let drivers = Drivers::read(folder.path()).unwrap();
        let paths = |product: Option<&str>| {
            let (files, note) = drivers.for_model(product);
            (files.into_iter().map(|file| file.path).collect::<Vec<_>>().join(" "), note)
        };
        assert_eq!(paths(Some("LATITUDE 5440 ")), ("common/a.inf Latitude 5440/net/e.inf".into(), None));
        assert_eq!(paths(Some("OptiPlex/X")), ("common/a.inf OptiPlex-X/b.sys".into(), None));
        assert_eq!(paths(Some("20w1")), ("common/a.inf LENOVO/20W1/net/c.inf".into(), None));
        for (product, word) in [(Some("../common/.."), "there are none in a folder"), (None, "which model")] {
            let (files, note) = paths(product);
            assert!(files == "common/a.inf" && note.as_ref().unwrap().contains(word), "{note:?}");
        }
    }

    /// sha256sum is the judge.
    #[test]
    fn files_are_served_by_their_hash_in_blocks() {
        let folder = folder(&["common/a"]);
        let large = vec![7; DRIVER_BLOCK as usize + 3];
        fs::write(folder.path().join("common/large"), &large).unwrap();
        let drivers = Drivers::read(folder.path()).unwrap();
        let (files, _) = drivers.for_model(None);
        let sum =
            std::process::Command::new("sha256sum").arg(folder.path().join("common/large")).output().unwrap();
        assert!(sum.stdout.starts_with(files[1].sha256.as_bytes()));
        let block = |number| drivers.block(&files[1].sha256, number).unwrap().unwrap();
        assert_eq!([block(0), block(1)].concat(), large);
        assert!(block(2).is_empty() && block(u64::MAX).is_empty());
        assert_eq!(drivers.block("../common/a", 0).unwrap(), None);
    }

    #[test]
    fn what_windows_could_not_have_is_refused() {
        let bad = folder(&["common/a:b"]);
        assert!(format!("{:#}", Drivers::read(bad.path()).unwrap_err()).contains("no such name"));
        let link = folder(&["common/a"]);
        std::os::unix::fs::symlink("/etc/passwd", link.path().join("common/b")).unwrap();
        assert!(format!("{:#}", Drivers::read(link.path()).unwrap_err()).contains("neither a file"));
        assert!(Drivers::read(Path::new("/nonexistent")).is_err());
    }
}
