//! Copies what is in use of a source's partitions into an image directory.

use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use ezio_image::conf::units::human_size;
use ezio_image::manifest;
use ezio_imagedir::{Content, ImageWriter, Part};

use super::plan::{PlannedContent, PlannedPart};
use super::source::Source;
use crate::progress::Progress;
use crate::stop::Stop;

/// Copies one partition into the image; what needs no copying is only told.
pub(crate) fn copy(
    source: &Source,
    part: &PlannedPart,
    piece_length: Option<u32>,
    image: &mut ImageWriter,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<manifest::Content> {
    let name = &part.name;
    let kept = match &part.content {
        PlannedContent::Swap => return Ok(manifest::Content::Swap),
        PlannedContent::Empty => return Ok(manifest::Content::Empty),
        PlannedContent::Blocks(map) => Part::Runs { name, map },
        PlannedContent::Raw => Part::Whole { name, size: part.size },
    };
    progress.part(name);
    let mut bytes = Bytes { source, offset: part.offset };
    let content = image.content(&kept, piece_length, &mut bytes, &mut |length| {
        progress.add(length);
        stop.check()
    });
    content
        .with_context(|| format!("after {} of {}", human_size(progress.done()), human_size(progress.total())))
}

/// A partition as it lies on the source, from this byte on.
struct Bytes<'a> {
    source: &'a Source,
    offset: u64,
}

impl Content for Bytes<'_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let at = self.offset + offset;
        let length = buffer.len();
        let read = self.source.file.read_exact_at(buffer, at);
        read.with_context(|| {
            format!("cannot read {length} bytes at byte {at} of {}", self.source.path.display())
        })
    }
}
