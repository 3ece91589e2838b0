//! One module's file: as it is, or under the compressions that distributions use. What comes out still bears the
//! signature, which stands behind the module itself.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;

/// The bytes of a module, uncompressed.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read module {}", file.display()))?;
    let suffix = file.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    let mut module = Vec::new();
    match suffix {
        "ko" => return Ok(bytes),
        "xz" => XzDecoder::new(&*bytes).read_to_end(&mut module).map(drop),
        "zst" => zstd::stream::copy_decode(&*bytes, &mut module),
        "gz" => MultiGzDecoder::new(&*bytes).read_to_end(&mut module).map(drop),
        _ => bail!("{} is no module: .ko, .ko.xz, .ko.zst and .ko.gz are read", file.display()),
    }
    .with_context(|| format!("cannot decompress module {}", file.display()))?;
    Ok(module)
}
