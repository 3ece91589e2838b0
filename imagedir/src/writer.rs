//! One image directory, from its first file to its checksums.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ezio_image::checksums::Checksums;
use ezio_image::directory::Torrent;
use ezio_image::manifest::{self, CHECKSUM_FILE, MANIFEST_FILE, Manifest};

use crate::content::{Content, Keep, Part, Watch};
use crate::copy::copy;
use crate::output::Output;
use crate::pieces::piece_length_for;
use crate::stored::Stored;

/// Room for torrents, manifest and the like, in bytes.
const EXTRA_ROOM: u64 = 1 << 20;

/// An image directory that is being written. Dropped before [`ImageWriter::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct ImageWriter {
    output: Output,
    replace: bool,
    keep: Keep,
    torrents: BTreeMap<String, Torrent>,
    sums: Checksums,
}

impl ImageWriter {
    /// Begins an image that is to be `target`, with contents of `needed` bytes, which it is to keep like this. An image that is there already is
    /// replaced at the end, if at all.
    ///
    /// # Errors
    /// Something is in the way, or there is no room.
    pub fn create(target: &Path, replace: bool, keep: Keep, needed: u64) -> Result<Self> {
        let output = Output::create(target, replace, keep.room(needed).saturating_add(EXTRA_ROOM))?;
        Ok(Self { output, replace, keep, torrents: BTreeMap::new(), sums: Checksums::default() })
    }

    /// What was written of a partition with content, read back.
    ///
    /// # Errors
    /// There is no such content, or it cannot be opened.
    pub fn stored(&self, name: &str) -> Result<Stored> {
        let torrent = self.torrents.get(name).with_context(|| format!("nothing of {name} was written"))?;
        Ok(Stored::open(self.output.folder(), self.keep.store(), torrent)?)
    }

    /// Writes one small file, and its checksum.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.sums.add(name, bytes);
        self.output.write(name, bytes)
    }

    /// Writes the content of a partition and its torrent. Without a piece length it goes by the content's length.
    ///
    /// # Errors
    /// What cannot be read or written, or what `watch` says.
    pub fn content(
        &mut self,
        part: &Part<'_>,
        piece_length: Option<u32>,
        content: &mut dyn Content,
        watch: &mut Watch<'_>,
    ) -> Result<manifest::Content> {
        let length = part.length();
        let piece_length = piece_length.unwrap_or_else(|| piece_length_for(length));
        let metainfo = copy(part, self.keep, piece_length, self.output.folder(), content, watch)?;
        self.write(&format!("{}.torrent", part.name()), &metainfo.to_torrent(&[]))?;
        let info_hash = metainfo.info_hash().as_string();
        self.torrents.insert(part.name().to_owned(), Torrent::new(Arc::new(metainfo))?);
        Ok(match part {
            Part::Whole { .. } => manifest::Content::Raw { info_hash },
            Part::Runs { .. } => manifest::Content::Blocks { info_hash, used: length },
        })
    }

    /// Writes manifest and checksums, brings everything to the disk and gives the directory its name.
    ///
    /// # Errors
    /// What the system says, or what has come to stand in the way.
    pub fn finish(mut self, manifest: &Manifest) -> Result<()> {
        if let Some(problem) = manifest.problems().into_iter().next() {
            return Err(problem).context("the image would make no sense");
        }
        self.write(MANIFEST_FILE, manifest.to_toml().as_bytes())?;
        self.output.write(CHECKSUM_FILE, self.sums.to_string().as_bytes())?;
        self.output.finish(self.replace)
    }
}
