//! The small files of an image directory, read at once: so few bytes that all of them are held in memory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_image::directory::{Files, is_small_file};

/// Largest small file in bytes: a torrent of a 16 TiB partition is smaller.
const MAX_FILE: u64 = 256 << 20;

/// Reads them.
///
/// # Errors
/// What the system says, or that a file is too large to be right.
pub fn small_files(directory: &Path) -> Result<Files> {
    let mut files = Files::default();
    let failed = || format!("reading {}", directory.display());
    for entry in fs::read_dir(directory).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|n| is_small_file(n)) else {
            continue;
        };
        let failed = || format!("reading {}", path.display());
        let length = fs::metadata(&path).with_context(failed)?.len();
        ensure!(length <= MAX_FILE, "{name} has {length} bytes; more than {MAX_FILE} cannot be right");
        files.add(name, fs::read(&path).with_context(failed)?);
    }
    Ok(files)
}
