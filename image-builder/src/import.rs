//! `image-builder import`: what Clonezilla saved becomes an image directory.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use ezio_clonezilla::{Directory, Orders, Plan, Which, import, jobs};
use ezio_image::conf::units::human_size;
use ezio_image::names::{is_safe_name, safe_name};
use ezio_imagedir::check_target;

use crate::cli::ImportArgs;
use crate::progress::Progress;
use crate::stop::Stop;

/// Runs the command.
pub(crate) fn run(args: &ImportArgs, stop: &Stop) -> Result<()> {
    let directory = Directory::open(&args.directory)?;
    let output = || args.output.clone();
    let jobs = match (&args.disk, &args.partition) {
        (Some(disk), _) => vec![(Which::Disk(disk.clone()), output())],
        (None, Some(partition)) => vec![(Which::Partition(partition.clone()), output())],
        (None, None) => jobs(&directory, &args.output)?,
    };
    let one = jobs.len() == 1 || args.name.is_none();
    ensure!(one, "{} has several disks: --name is for one (--disk)", args.directory.display());
    jobs.iter().try_for_each(|(which, output)| import_one(args, &directory, which, output, stop))
}

fn import_one(
    args: &ImportArgs,
    directory: &Directory,
    which: &Which,
    output: &Path,
    stop: &Stop,
) -> Result<()> {
    let name = image_name(args, output)?;
    check_target(output, args.force)?;
    let plan = Plan::make(directory, which)?;
    if args.dry_run {
        let notes: String = plan.notes.iter().map(|note| format!("note: {note}\n")).collect();
        return crate::print(&format!("{notes}{plan}"));
    }
    let started = Instant::now();
    let mut progress = Progress::new(plan.total_length(), args.no_progress);
    let orders = Orders {
        name: &name,
        output,
        replace: args.force,
        piece_length: args.piece_length,
        arch: args.arch,
        builder: crate::BUILDER,
    };
    let imported = import(&plan, &orders, &mut |part, length| {
        progress.part(part);
        progress.add(length);
        stop.check()
    });
    let how_far = || format!("after {} of {}", human_size(progress.done()), human_size(progress.total()));
    let (manifest, architecture) = imported.with_context(how_far)?;
    progress.finish();
    for note in &manifest.notes {
        progress.note(&format!("note: {note}"));
    }
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    crate::print(&format!(
        "{}: {} partitions, {} of data, in {seconds:.1} s ({}/s)\n{architecture}\n",
        output.display(),
        manifest.partitions.len(),
        human_size(plan.total_length()),
        human_size((plan.total_length() as f64 / seconds) as u64)
    ))
}

fn image_name(args: &ImportArgs, output: &Path) -> Result<String> {
    match (&args.name, output.file_name()) {
        (Some(name), _) if is_safe_name(name) => Ok(name.clone()),
        (Some(name), _) => bail!("{name:?} cannot name an image: letters, digits, . _ - only"),
        (None, Some(folder)) => Ok(safe_name(&folder.to_string_lossy())),
        (None, None) => bail!("{} cannot be an image directory: it has no name", output.display()),
    }
}
