//! `image-builder capture`: a disk, a disk image file or a partition becomes an image directory, several disks a set of them.

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
    SourceKind, UNPARTITIONED,
};
use ezio_image::names::{is_safe_name, safe_name};
use ezio_image::set::{MAX_DISKS, SetDisk};
use ezio_imagedir::{Architecture, Evidence, ImageWriter, SetWriter, check_target};

use crate::cli::CaptureArgs;
use crate::progress::Progress;
use crate::stop::Stop;
use identity::Identity;
use partition::{Planner, Stretch};
use plan::{Plan, PlannedContent, PlannedPart};
use source::{Kind, Source};

/// A source, and what will be captured of it.
struct Capture {
    source: Source,
    /// Name of the disk; its partitions are named after it.
    disk: String,
    identity: Identity,
    plan: Plan,
}

/// Runs the command.
pub(crate) fn run(args: &CaptureArgs, stop: &Stop) -> Result<()> {
    let name = image_name(args)?;
    // A target that stands in the way should be told before partclone has worked for minutes.
    check_target(&args.output, args.force)?;
    let captures = prepare(args, stop)?;
    let architecture = architecture(&captures, args.arch)?;
    if args.dry_run {
        let plans: String = captures.iter().map(|capture| capture.plan.to_string()).collect();
        return crate::print(&format!("{plans}{architecture}\n"));
    }
    let read = captures.iter().map(|capture| capture.plan.total_length()).sum();
    let progress = Progress::new(read, args.no_progress);
    let mut writing = Writing { args, arch: architecture.arch, progress, stop };
    let started = std::time::Instant::now();
    match captures.as_slice() {
        [capture] => writing.image(capture, &name, &args.output, args.force)?,
        several => writing.set(several, &name)?,
    }
    writing.progress.finish();
    let disks = match captures.len() {
        1 => String::new(),
        count => format!("{count} disks, "),
    };
    let parts = captures.iter().flat_map(|capture| &capture.plan.parts);
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    crate::print(&format!(
        "{}: {disks}{} partitions, {} of data, in {seconds:.1} s ({}/s)\n{architecture}\n",
        args.output.display(),
        parts.filter(|part| part.name != UNPARTITIONED).count(),
        human_size(read),
        human_size((read as f64 / seconds) as u64)
    ))
}

/// Opens all sources, looks at them, and says what the user should know.
fn prepare(args: &CaptureArgs, stop: &Stop) -> Result<Vec<Capture>> {
    let mut sources: Vec<Source> = Vec::new();
    for path in &args.sources {
        let source = Source::open(path, args.force, args.sector_size)?;
        let twice = sources.iter().any(|other| other.path == source.path);
        ensure!(!twice, "{} is named twice", source.path.display());
        sources.push(source);
    }
    let several = sources.len() > 1;
    let names = disk_names(&sources)?;
    let mut captures = Vec::new();
    for (source, disk) in sources.into_iter().zip(names) {
        let plan = Plan::make(&source, &disk, args, stop)?;
        ensure!(
            !several || plan.disk.is_some(),
            "{} is no whole disk: several disks make one image, and a partition makes one of its own",
            source.path.display()
        );
        for note in &plan.notes {
            let of = if several { format!("{disk}: ") } else { String::new() };
            let _ = writeln!(std::io::stderr(), "note: {of}{note}");
        }
        captures.push(Capture { identity: identity::of(&source)?, source, disk, plan });
    }
    Ok(captures)
}

/// Names of the disks: devices have theirs, and files are called as the first that have none of these.
fn disk_names(sources: &[Source]) -> Result<Vec<String>> {
    let own = |source: &Source| (source.kind != Kind::File).then(|| safe_name(&source.base_name()));
    let mut names: Vec<Option<String>> = sources.iter().map(own).collect();
    for letter in 'a'..='z' {
        let name = Some(format!("sd{letter}"));
        if !names.contains(&name)
            && let Some(unnamed) = names.iter_mut().find(|name| name.is_none())
        {
            *unnamed = name;
        }
    }
    let names: Option<Vec<String>> = names.into_iter().collect();
    let names = names.filter(|names| names.len() <= MAX_DISKS);
    let names = names.with_context(|| format!("an image has {MAX_DISKS} disks at most"))?;
    let twin = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    ensure!(twin.is_none(), "two disks are called {}", twin.map_or("", |(_, name)| name));
    Ok(names)
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

/// The architecture that the image is for; `told` is the operator's word. Any of several disks may say it.
fn architecture(captures: &[Capture], told: Option<Arch>) -> Result<Architecture> {
    let is_partition = |plan: &Plan| plan.kind != SourceKind::RawDisk && plan.layout.is_none();
    let mut evidence = Evidence {
        told,
        boot_code: captures.iter().any(|capture| capture.plan.has_boot_code()),
        passive: captures.iter().all(|capture| is_partition(&capture.plan)),
        loaders: Vec::new(),
    };
    for Capture { source, plan, .. } in captures {
        for part in plan.parts.iter().filter(|part| part.filesystem.as_deref() == Some("vfat")) {
            evidence
                .look_for_loaders(&source.file, part.offset)
                .with_context(|| format!("cannot read the folders of {}", part.name))?;
        }
    }
    Ok(evidence.judge())
}

/// What is the same for all images that are written.
struct Writing<'a> {
    args: &'a CaptureArgs,
    arch: Option<Arch>,
    progress: Progress,
    stop: &'a Stop,
}

impl Writing<'_> {
    /// One directory with an image directory for each disk.
    fn set(&mut self, captures: &[Capture], name: &str) -> Result<()> {
        let needed = captures.iter().map(|capture| needed_room(&capture.plan)).sum();
        let needed = self.args.store.keep().room(needed);
        let mut set = SetWriter::create(&self.args.output, name, crate::BUILDER, self.args.force, needed)?;
        for capture in captures {
            let disk = SetDisk { name: capture.disk.clone(), bus: capture.identity.bus };
            let (folder, name) = set.add(disk);
            self.image(capture, &name, &folder, false)?;
        }
        self.stop.check()?;
        set.finish()
    }

    fn image(&mut self, capture: &Capture, name: &str, folder: &Path, replace: bool) -> Result<()> {
        let Capture { source, identity, plan, .. } = capture;
        let keep = self.args.store.keep();
        let mut image = ImageWriter::create(folder, replace, keep, needed_room(plan))?;
        if let Some(layout) = &plan.layout {
            image.write(LAYOUT_FILE, layout.to_sfdisk().as_bytes())?;
        }
        if let Some(code) = &plan.boot_code {
            image.write(BOOT_CODE_FILE, code)?;
        }
        let mut partitions = Vec::new();
        for part in &plan.parts {
            let piece_length = self.args.piece_length;
            let content = copy::copy(source, part, piece_length, &mut image, &mut self.progress, self.stop)?;
            partitions.push(describe(part, content));
        }
        let manifest = Manifest {
            format: FORMAT_VERSION,
            name: name.to_owned(),
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            builder: crate::BUILDER.to_owned(),
            arch: self.arch,
            store: keep.store(),
            source: ManifestSource {
                kind: plan.kind,
                path: source.path.display().to_string(),
                model: identity.model.clone(),
                serial: identity.serial.clone(),
            },
            disk: plan.disk.clone(),
            notes: plan.notes.clone(),
            partitions,
        };
        self.stop.check()?;
        image.finish(&manifest)
    }
}

/// Bytes that the image will take; raw images are sparse and may take less than they hold.
fn needed_room(plan: &Plan) -> u64 {
    let blocks = |p: &PlannedPart| match &p.content {
        PlannedContent::Blocks(map) => map.total_length(),
        PlannedContent::Raw | PlannedContent::Swap | PlannedContent::Empty => 0,
    };
    plan.parts.iter().map(blocks).sum()
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
