//! An image directory, or a set of them, as the commands open it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_image::directory::{CheckedImage, Image};
use ezio_imagedir::{Set, small_files};

/// Reads all but the data, whatever is wrong with it.
pub(crate) fn open(directory: &Path) -> Result<Image> {
    ensure!(!Set::is_one(directory), "{}", word_for_a_set(directory)?);
    let opened = || Ok::<_, anyhow::Error>(Image::open(&small_files(directory)?)?);
    opened().with_context(|| format!("{} is no image directory", directory.display()))
}

/// Reads all but the data, with which nothing may be wrong.
pub(crate) fn open_checked(directory: &Path) -> Result<CheckedImage> {
    open(directory)?.check().with_context(|| directory.display().to_string())
}

/// The image directories of a set, which has to be whole; any other directory is one itself.
pub(crate) fn folders(directory: &Path) -> Result<Vec<PathBuf>> {
    match Set::is_one(directory) {
        true => Ok(Set::open(directory)?.check()?.folders()),
        false => Ok(vec![directory.to_owned()]),
    }
}

/// Where one image is asked for.
fn word_for_a_set(directory: &Path) -> Result<String> {
    let folders = Set::open(directory)?.folders();
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let (directory, names) = (directory.display(), names.join(", "));
    Ok(format!("{directory} is a set of disks, and this takes one image: name one of {names}"))
}
