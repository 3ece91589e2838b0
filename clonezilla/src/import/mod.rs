//! Makes an image directory of what Clonezilla saved: first a plan, from the descriptions and the heads of all streams,
//! then the contents, each decompressed and written once, on the fly.

mod content;
mod lvm;
mod plan;
#[cfg(test)]
mod tests;
mod written;

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use ezio_contract::Arch;
use ezio_image::manifest::{
    self, BOOT_CODE_FILE, DiskInfo, FORMAT_VERSION, HIDDEN_FILE, LAYOUT_FILE, Manifest, PartitionInfo, Source,
};
use ezio_imagedir::{Architecture, Evidence, ImageWriter, Keep, Part};

pub(crate) use written::look;

pub use plan::{Plan, Which, choices};
use plan::{PlannedContent, PlannedPart};

/// How an image is to be made.
#[derive(Debug, Clone)]
pub struct Orders<'a> {
    /// Name of the image.
    pub name: &'a str,
    /// Image directory to write.
    pub output: &'a Path,
    /// Replaces an image directory of that name.
    pub replace: bool,
    /// How the image keeps its data.
    pub keep: Keep,
    /// Bytes of a piece; none: by the length of the content.
    pub piece_length: Option<u32>,
    /// The operator's word on the architecture.
    pub arch: Option<Arch>,
    /// Program and version, for the manifest.
    pub builder: &'a str,
}

/// Told which partition is at work, and of the bytes of it that are done, as they are; its error ends the import.
pub type Watch<'a> = dyn FnMut(&str, u64) -> Result<()> + 'a;

/// Writes the image.
///
/// # Errors
/// What is damaged or incomplete, by the file's name and how far into it; what cannot be written.
pub fn import(
    plan: &Plan<'_>,
    orders: &Orders<'_>,
    watch: &mut Watch<'_>,
) -> Result<(Manifest, Architecture)> {
    let mut image = ImageWriter::create(orders.output, orders.replace, orders.keep, plan.needed_room())?;
    if let Some(layout) = &plan.layout {
        image.write(LAYOUT_FILE, layout.to_sfdisk().as_bytes())?;
    }
    for (file, content) in [(BOOT_CODE_FILE, &plan.boot_code), (HIDDEN_FILE, &plan.hidden)] {
        if let Some(content) = content {
            image.write(file, content)?;
        }
    }
    let mut evidence = Evidence {
        told: orders.arch,
        loaders: Vec::new(),
        boot_code: plan.boot_code.is_some(),
        passive: plan.layout.is_none() || choices(plan.directory)?.len() > 1,
    };
    let mut notes = plan.notes.clone();
    let mut partitions = Vec::new();
    for part in &plan.parts {
        let content = write_content(plan, part, &mut image, orders.piece_length, watch)?;
        let mut info = describe(part, content);
        if let Some(map) = part.content.stored() {
            written::look(&image.stored(&part.name)?, &mut info, map, &mut notes, &mut evidence)
                .with_context(|| format!("cannot read what was written of {}", part.name))?;
        }
        partitions.push(info);
    }
    let architecture = evidence.judge();
    let source = Source {
        kind: plan.kind,
        path: plan.directory.path().display().to_string(),
        model: plan.model.clone(),
        serial: None,
    };
    let manifest = manifest(orders, source, plan.disk.clone(), architecture.arch, notes, partitions);
    watch("", 0)?;
    image.finish(&manifest)?;
    Ok((manifest, architecture))
}

/// The manifest of an image that is imported now.
pub(crate) fn manifest(
    orders: &Orders<'_>,
    source: Source,
    disk: Option<DiskInfo>,
    arch: Option<Arch>,
    notes: Vec<String>,
    partitions: Vec<PartitionInfo>,
) -> Manifest {
    Manifest {
        format: FORMAT_VERSION,
        name: orders.name.to_owned(),
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        builder: orders.builder.to_owned(),
        notes,
        arch,
        store: orders.keep.store(),
        source,
        disk,
        partitions,
    }
}

fn write_content(
    plan: &Plan<'_>,
    part: &PlannedPart,
    image: &mut ImageWriter,
    piece_length: Option<u32>,
    watch: &mut Watch<'_>,
) -> Result<manifest::Content> {
    let name = &part.name;
    let (kept, saved) = match &part.content {
        PlannedContent::Swap => return Ok(manifest::Content::Swap),
        PlannedContent::Empty => return Ok(manifest::Content::Empty),
        PlannedContent::Blocks { map, saved } => (Part::Runs { name, map }, saved),
        PlannedContent::Lvm(volume) => {
            let mut reader = volume.open(plan.directory)?;
            let kept = Part::Runs { name, map: &volume.map };
            let content =
                image.content(&kept, piece_length, &mut reader, &mut |length| watch(name, length))?;
            reader.finish()?;
            return Ok(content);
        }
        PlannedContent::Whole { saved } => (Part::Whole { name, size: part.size }, saved),
    };
    let mut stream = content::Stream::open(plan.directory, saved, part.size)?;
    let content = image.content(&kept, piece_length, &mut stream, &mut |length| watch(name, length))?;
    stream.finish()?;
    Ok(content)
}

fn describe(part: &PlannedPart, content: manifest::Content) -> PartitionInfo {
    PartitionInfo {
        name: part.name.clone(),
        number: part.number,
        offset: part.offset,
        size: part.size,
        filesystem: part.facts.filesystem.clone(),
        filesystem_size: None,
        block_size: None,
        uuid: part.facts.uuid.clone(),
        label: part.facts.label.clone(),
        content,
        lvm: match &part.content {
            PlannedContent::Lvm(volume) => Some(volume.info.clone()),
            _ => None,
        },
    }
}
