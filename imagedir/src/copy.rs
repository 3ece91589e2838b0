//! The content of one partition, read once: what is in use goes into the image, and its pieces are hashed on the way.

use std::path::Path;

use anyhow::{Context, Result};
use ezio_image::extents::ExtentMap;
use ezio_image::manifest::packed_file_name;
use ezio_image::metainfo::Metainfo;

use crate::content::{Content, Keep, Part, Watch};
use crate::{packed, run_files};

/// Copies the content of one partition into `folder` and makes its torrent.
pub(crate) fn copy(
    part: &Part<'_>,
    keep: Keep,
    piece_length: u32,
    folder: &Path,
    content: &mut dyn Content,
    watch: &mut Watch<'_>,
) -> Result<Metainfo> {
    let name = part.name();
    let whole;
    let (map, runs) = match part {
        Part::Runs { map, .. } => (*map, Some(*map)),
        Part::Whole { size, .. } => {
            whole = ExtentMap::contiguous(*size)?;
            (&whole, None)
        }
    };
    let hashes = match keep {
        Keep::Files => run_files::copy(folder.join(name), map, runs.is_none(), piece_length, content, watch)?,
        Keep::Zstd { level } => {
            packed::copy(&folder.join(packed_file_name(name)), map, level, piece_length, content, watch)?
        }
    };
    Metainfo::create(name, piece_length, map.total_length(), runs, &hashes)
        .with_context(|| format!("cannot make the torrent of {name}"))
}
