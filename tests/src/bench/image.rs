//! The image that is sent: the same at every run.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha1::{Digest as _, Sha1};

use super::case::Content;
use crate::programs;
use crate::vm::material;

/// Writes `bytes` of content to a new file.
///
/// # Errors
/// The file cannot be written; there is no golden disk, or it has less.
pub fn make(path: &Path, content: Content, bytes: u64) -> Result<()> {
    match content {
        Content::Incompressible => incompressible(path, bytes),
        Content::Debian => debian(path, bytes),
    }
}

/// Used blocks of the golden Debian, one behind the other, as they travel.
fn debian(path: &Path, bytes: u64) -> Result<()> {
    let folder = path.with_extension("golden");
    let mut command = Command::new(programs::find("image-builder")?);
    command.args(["export", "--no-progress", "--torrent-files"]).arg(&folder).arg(material::golden_image()?);
    let output = command.output().context("start image-builder")?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "image-builder export: {}: {}", output.status, problem.trim());
    let what = || format!("make the image {}", path.display());
    let mut out = File::create(path).with_context(what)?;
    let mut left = bytes;
    for run in runs(&folder).with_context(what)? {
        left -= io::copy(&mut File::open(run).with_context(what)?.take(left), &mut out).with_context(what)?;
    }
    fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    ensure!(left == 0, "the golden disk has {left} bytes less in use than the {bytes} of this case");
    Ok(())
}

/// The runs of the partition that has most of them: the root.
fn runs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = |folder: PathBuf| -> io::Result<Vec<PathBuf>> {
        let mut files =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        files.sort();
        Ok(files)
    };
    let folders = files(folder.to_owned())?.into_iter().filter(|path| path.is_dir());
    let all = folders.map(files).collect::<io::Result<Vec<_>>>()?;
    Ok(all.into_iter().max_by_key(Vec::len).unwrap_or_default())
}

/// Pseudo-random data (xorshift64*, fixed seed).
fn incompressible(path: &Path, bytes: u64) -> Result<()> {
    let what = || format!("make the image {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(what)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = [0; 4096];
    let mut left = bytes;
    while left > 0 {
        for word in block.as_chunks_mut::<8>().0 {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            *word = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        }
        let length = left.min(block.len() as u64);
        out.write_all(&block[..length as usize]).with_context(what)?;
        left -= length;
    }
    out.flush().with_context(what)
}

/// SHA-1 of the first `bytes` of a file, and how many bytes there really were.
///
/// # Errors
/// The file cannot be read.
pub fn hash(path: &Path, bytes: u64) -> Result<([u8; 20], u64)> {
    let what = || format!("read {}", path.display());
    let mut input = File::open(path).with_context(what)?.take(bytes);
    let mut hasher = Sha1::new();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let length = input.read(&mut buffer).with_context(what)?;
        if length == 0 {
            return Ok((hasher.finalize().into(), total));
        }
        hasher.update(&buffer[..length]);
        total += length as u64;
    }
}
