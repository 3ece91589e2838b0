//! `image-builder capture`: a disk, a disk image file or a partition becomes an image directory.

mod btrfs_copies;
mod cleanliness;
mod copy;
mod identity;
mod in_use;
mod joined_volume;
mod loop_device;
mod lvm;
mod opaque;
mod partition;
mod plan;
mod probe;
mod sector_size;
mod source;
mod unpartitioned;
mod used_blocks;

use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::Arch;
use ezio_image::conf::units::human_size;
use ezio_image::manifest::{
    BOOT_CODE_FILE, Content, FORMAT_VERSION, LAYOUT_FILE, Manifest, PartitionInfo, Source as ManifestSource,
    SourceKind,
};
use ezio_image::names::{is_safe_name, safe_name};
use ezio_imagedir::{Architecture, Evidence, ImageWriter, check_target};

use crate::cli::CaptureArgs;
use crate::progress::Progress;
use crate::stop::Stop;
use partition::{Planner, Stretch};
use plan::{Plan, PlannedContent, PlannedPart};
use source::Source;

/// Runs the command.
pub(crate) fn run(args: &CaptureArgs, stop: &Stop) -> Result<()> {
    let name = image_name(args)?;
    // A target that stands in the way should be told before partclone has worked for minutes.
    check_target(&args.output, args.force)?;
    let source = Source::open(&args.source, args.force, args.sector_size)?;
    let plan = Plan::make(&source, args, stop)?;
    for note in &plan.notes {
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
    let architecture = architecture(&source, &plan, args.arch)?;
    if args.dry_run {
        return crate::print(&format!("{plan}{architecture}\n"));
    }
    let image = ImageWriter::create(&args.output, args.force, args.store.keep(), needed_room(&plan))?;
    let started = std::time::Instant::now();
    let manifest = write_image(&name, &source, &plan, architecture.arch, args, image, stop)?;
    let read = plan.total_length();
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    crate::print(&format!(
        "{}: {} partitions, {} of data, in {:.1} s ({}/s)\n{architecture}\n",
        args.output.display(),
        manifest.partitions.iter().filter(|p| !p.is_unpartitioned()).count(),
        human_size(read),
        seconds,
        human_size((read as f64 / seconds) as u64)
    ))
}

/// Captures the file system that `file` consists of, as the partition `info`, into an image that is being written. It
/// may be marked for a check.
pub(crate) fn capture_file(
    file: &Path,
    info: &PartitionInfo,
    image: &mut ImageWriter,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<PartitionInfo> {
    let source = Source::open(file, false, None)?;
    let mut planner = Planner::new(&source, false, true, stop);
    let (name, number, size) = (info.name.clone(), info.number, source.size);
    let part = planner.plan(Stretch { name, number, offset: 0, size })?;
    let content = copy::copy(&source, &part, None, image, progress, stop)?;
    Ok(describe(&part, content))
}

fn image_name(args: &CaptureArgs) -> Result<String> {
    if let Some(name) = &args.name {
        ensure!(is_safe_name(name), "{name:?} cannot name an image: letters, digits, . _ - only");
    }
    let Some(folder) = args.output.file_name() else {
        bail!("{} cannot be an image directory: it has no name", args.output.display());
    };
    Ok(args.name.clone().unwrap_or_else(|| safe_name(&folder.to_string_lossy())))
}

/// The architecture that the image is for; `told` is the operator's word.
fn architecture(source: &Source, plan: &Plan, told: Option<Arch>) -> Result<Architecture> {
    let partition = plan.kind != SourceKind::RawDisk && plan.layout.is_none();
    let mut evidence = Evidence { told, boot_code: plan.has_boot_code(), partition, loaders: Vec::new() };
    for part in plan.parts.iter().filter(|part| part.filesystem.as_deref() == Some("vfat")) {
        evidence
            .look_for_loaders(&source.file, part.offset)
            .with_context(|| format!("cannot read the folders of {}", part.name))?;
    }
    Ok(evidence.judge())
}

/// Bytes that the image will take; raw images are sparse and may take less than they hold.
fn needed_room(plan: &Plan) -> u64 {
    let blocks = |p: &PlannedPart| match &p.content {
        PlannedContent::Blocks(map) => map.total_length(),
        PlannedContent::Raw | PlannedContent::Swap | PlannedContent::Empty => 0,
    };
    plan.parts.iter().map(blocks).sum()
}

fn write_image(
    name: &str,
    source: &Source,
    plan: &Plan,
    arch: Option<Arch>,
    args: &CaptureArgs,
    mut image: ImageWriter,
    stop: &Stop,
) -> Result<Manifest> {
    if let Some(layout) = &plan.layout {
        image.write(LAYOUT_FILE, layout.to_sfdisk().as_bytes())?;
    }
    if let Some(code) = &plan.boot_code {
        image.write(BOOT_CODE_FILE, code)?;
    }
    let mut progress = Progress::new(plan.total_length(), args.no_progress);
    let mut partitions = Vec::new();
    for part in &plan.parts {
        let content = copy::copy(source, part, args.piece_length, &mut image, &mut progress, stop)?;
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
        store: args.store.keep().store(),
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
    stop.check()?;
    image.finish(&manifest)?;
    Ok(manifest)
}

fn describe(part: &PlannedPart, content: Content) -> PartitionInfo {
    PartitionInfo {
        name: part.name.clone(),
        number: part.number,
        offset: part.offset,
        size: part.size,
        filesystem: part.filesystem.clone(),
        filesystem_size: part.filesystem_size,
        block_size: part.block_size,
        uuid: part.uuid.clone(),
        label: part.label.clone(),
        content,
        lvm: part.lvm.clone(),
    }
}
