//! The disk as a file, for virtual machines: what a deployment would write, on a sparse file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_image::conf::Grow;
use ezio_image::directory::CheckedImage;
use ezio_image::filesystem;
use ezio_image::layout::ReadAt;
use ezio_image::manifest::SourceKind;
use ezio_image::plan::{Payload, Plan, Room, Step};
use ezio_imagedir::write_sparse;
use tempfile::NamedTempFile;

use super::Image;

/// Bytes copied at once.
const CHUNK: u64 = 1 << 20;

/// Writes the file, which must not exist yet; when something goes wrong nothing is left.
pub(super) fn export(
    image: &Image,
    output: &Path,
    watch: &mut dyn FnMut(&str, u64) -> Result<()>,
) -> Result<()> {
    ensure!(!output.exists(), "{} exists already", output.display());
    let (plan, size) = plan(&image.parts)?;
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = NamedTempFile::new_in(parent)
        .with_context(|| format!("cannot make a file in {}", parent.display()))?;
    let disk = partial.as_file();
    let writing = || format!("cannot write {}", output.display());
    disk.set_len(size).with_context(writing)?;
    for step in plan.steps() {
        match step {
            Step::Payload(payload) => copy(payload, image, disk, watch).with_context(writing)?,
            Step::Write { offset, bytes, .. } => disk.write_all_at(bytes, *offset).with_context(writing)?,
            Step::Table { image, .. } => {
                for (offset, bytes) in image.writes() {
                    disk.write_all_at(bytes, *offset).with_context(writing)?;
                }
            }
            Step::Relocate { volume, start } => {
                let moved = filesystem::moved(disk, volume, *start).with_context(writing)?;
                for (offset, bytes) in moved.iter().flat_map(|moved| &moved.changes) {
                    disk.write_all_at(bytes, *offset).with_context(writing)?;
                }
            }
            // Nothing is on it yet, and nobody else sees it.
            Step::Clear { .. } | Step::Sync | Step::Reread => {}
        }
    }
    disk.sync_all().with_context(writing)?;
    partial.persist_noclobber(output).with_context(|| format!("cannot put {} in place", output.display()))?;
    Ok(())
}

/// What a deployment to a disk (or partition) of the source's size would do.
fn plan(image: &CheckedImage) -> Result<(Plan, u64)> {
    let manifest = &image.manifest;
    if let (SourceKind::Partition, [part]) = (manifest.source.kind, &manifest.partitions[..]) {
        return Ok((
            image.plan_for_partition(
                None,
                Room { size: part.size, start: None, sector_size: None },
                &Grow::None,
            )?,
            part.size,
        ));
    }
    let disk = manifest.disk.as_ref().with_context(|| format!("{} is no image of a disk", manifest.name))?;
    Ok((image.plan_for_disk(disk.size, disk.sector_size, &Grow::None)?, disk.size))
}

fn copy(
    payload: &Payload,
    image: &Image,
    disk: &File,
    watch: &mut dyn FnMut(&str, u64) -> Result<()>,
) -> Result<()> {
    let stored = image.stored(&payload.name)?;
    for run in payload.extents.extents() {
        let mut position = 0;
        while position < run.length {
            let offset = run.offset + position;
            let mut bytes = vec![0; CHUNK.min(run.length - position) as usize];
            stored
                .read_exact_at(offset, &mut bytes)
                .with_context(|| format!("cannot read {} at byte {offset}", payload.name))?;
            write_sparse(disk, payload.base + offset, &bytes)?;
            position += bytes.len() as u64;
            watch(&payload.name, bytes.len() as u64)?;
        }
    }
    Ok(())
}
