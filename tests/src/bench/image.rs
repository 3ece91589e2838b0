//! The image that is sent: incompressible and the same at every run.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use sha1::{Digest as _, Sha1};

/// Writes `bytes` of pseudo-random data (xorshift64*, fixed seed) to a new file.
///
/// # Errors
/// The file cannot be written.
pub fn make(path: &Path, bytes: u64) -> Result<()> {
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
