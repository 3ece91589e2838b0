//! An image directory, as the commands open it.

use std::path::Path;

use anyhow::{Context, Result};
use ezio_image::directory::{CheckedImage, Image};
use ezio_imagedir::small_files;

/// Reads all but the data, whatever is wrong with it.
pub(crate) fn open(directory: &Path) -> Result<Image> {
    let opened = || Ok::<_, anyhow::Error>(Image::open(&small_files(directory)?)?);
    opened().with_context(|| format!("{} is no image directory", directory.display()))
}

/// Reads all but the data, with which nothing may be wrong.
pub(crate) fn open_checked(directory: &Path) -> Result<CheckedImage> {
    open(directory)?.check().with_context(|| directory.display().to_string())
}
