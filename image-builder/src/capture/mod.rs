//! `image-builder capture`: a disk, a disk image file or a partition becomes an image directory.

mod architecture;
mod btrfs_copies;
mod cleanliness;
mod copy;
mod identity;
mod in_use;
mod loop_device;
mod output;
mod partition;
mod plan;
mod probe;
mod source;
mod used_blocks;

use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::Arch;
use ezio_image::conf::units::human_size;
use ezio_image::manifest::{
    BOOT_CODE_FILE, CHECKSUM_FILE, Content, FORMAT_VERSION, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE,
    Manifest, PartitionInfo, Source as ManifestSource,
};
use ezio_image::names::is_safe_name;

use crate::checksums;
use crate::cli::CaptureArgs;
use crate::pieces::piece_length_for;
use crate::progress::Progress;
use crate::stop::Stop;
use output::Output;
use plan::{Plan, PlannedContent, PlannedPart};
use source::Source;

/// Room for torrents, manifest and the like, in bytes.
const EXTRA_ROOM: u64 = 1 << 20;

/// Runs the command.
pub(crate) fn run(args: &CaptureArgs, stop: &Stop) -> Result<()> {
    let name = image_name(args)?;
    // A target that stands in the way should be told before partclone has worked for minutes.
    output::check_target(&args.output, args.force)?;
    let source = Source::open(&args.source, args.force)?;
    let plan = Plan::make(&source, args, stop)?;
    for note in &plan.notes {
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
    let architecture = architecture::find(&source, &plan, args.arch)?;
    if args.dry_run {
        return crate::print(&format!("{plan}{architecture}\n"));
    }
    let needed = needed_room(&plan);
    let output = Output::create(&args.output, args.force, needed)?;
    let started = std::time::Instant::now();
    let manifest = write_image(&name, &source, &plan, architecture.arch, args, &output, stop)?;
    stop.check()?;
    output.finish(args.force)?;
    let read = plan.total_length();
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    crate::print(&format!(
        "{}: {} partitions, {} of data, in {:.1} s ({}/s)\n{architecture}\n",
        args.output.display(),
        manifest.partitions.len(),
        human_size(read),
        seconds,
        human_size((read as f64 / seconds) as u64)
    ))
}

fn image_name(args: &CaptureArgs) -> Result<String> {
    if let Some(name) = &args.name {
        ensure!(is_safe_name(name), "{name:?} cannot name an image: letters, digits, . _ - only");
    }
    let Some(folder) = args.output.file_name() else {
        bail!("{} cannot be an image directory: it has no name", args.output.display());
    };
    Ok(args.name.clone().unwrap_or_else(|| plan::safe_name(&folder.to_string_lossy())))
}

/// Bytes that the image will take; raw images are sparse and may take less than they hold.
fn needed_room(plan: &Plan) -> u64 {
    let blocks = |p: &PlannedPart| match &p.content {
        PlannedContent::Blocks(map) => map.total_length(),
        PlannedContent::Raw | PlannedContent::Swap | PlannedContent::Empty => 0,
    };
    plan.parts.iter().map(blocks).sum::<u64>() + EXTRA_ROOM
}

fn write_image(
    name: &str,
    source: &Source,
    plan: &Plan,
    arch: Option<Arch>,
    args: &CaptureArgs,
    output: &Output,
    stop: &Stop,
) -> Result<Manifest> {
    let mut sums = Vec::new();
    let mut write = |file: &str, content: &[u8]| {
        sums.push(checksums::line(file, content));
        output.write(file, content)
    };
    if let Some(layout) = &plan.layout {
        write(LAYOUT_FILE, layout.to_sfdisk().as_bytes())?;
    }
    for (file, content) in [(BOOT_CODE_FILE, &plan.boot_code), (HIDDEN_FILE, &plan.hidden)] {
        if let Some(content) = content {
            write(file, content)?;
        }
    }
    let mut progress = Progress::new(plan.total_length(), args.no_progress);
    let mut partitions = Vec::new();
    for part in &plan.parts {
        let content = write_part(source, part, args, output.folder(), &mut progress, stop, &mut write)?;
        partitions.push(describe(part, content));
    }
    progress.finish();
    let identity = identity::of(source);
    let manifest = Manifest {
        format: FORMAT_VERSION,
        name: name.to_owned(),
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        builder: crate::BUILDER.to_owned(),
        arch,
        source: ManifestSource {
            kind: plan.kind,
            path: source.path.display().to_string(),
            model: identity.model,
            serial: identity.serial,
        },
        disk: plan.disk.clone(),
        notes: plan.notes.clone(),
        partitions,
    };
    let text = toml::to_string(&manifest).context("cannot write the manifest")?;
    write(MANIFEST_FILE, text.as_bytes())?;
    output.write(CHECKSUM_FILE, sums.concat().as_bytes())?;
    Ok(manifest)
}

fn write_part(
    source: &Source,
    part: &PlannedPart,
    args: &CaptureArgs,
    folder: &Path,
    progress: &mut Progress,
    stop: &Stop,
    write: &mut impl FnMut(&str, &[u8]) -> Result<()>,
) -> Result<Content> {
    let empty = match &part.content {
        PlannedContent::Swap => Some(Content::Swap),
        PlannedContent::Empty => Some(Content::Empty),
        PlannedContent::Blocks(_) | PlannedContent::Raw => None,
    };
    if let Some(content) = empty {
        return Ok(content);
    }
    progress.part(&part.name);
    let length = part.content_length();
    let piece_length = args.piece_length.unwrap_or_else(|| piece_length_for(length));
    let metainfo = copy::copy(source, part, piece_length, folder, progress, stop)?;
    write(&format!("{}.torrent", part.name), &metainfo.to_torrent(&[]))?;
    let info_hash = metainfo.info_hash().as_string();
    Ok(match &part.content {
        PlannedContent::Raw => Content::Raw { info_hash },
        _ => Content::Blocks { info_hash, used: length },
    })
}

fn describe(part: &PlannedPart, content: Content) -> PartitionInfo {
    PartitionInfo {
        name: part.name.clone(),
        number: part.number,
        offset: part.offset,
        size: part.size,
        filesystem: part.filesystem.clone(),
        filesystem_size: part.filesystem_size,
        uuid: part.uuid.clone(),
        label: part.label.clone(),
        content,
    }
}
