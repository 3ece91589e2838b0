//! `image-builder import`: what Clonezilla, partclone or a BitTorrent program holds becomes an image directory, several
//! disks a set of them.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use ezio_clonezilla::{Directory, Orders, Plan, Torrent, Watch, Which, choices, import, import_torrent};
use ezio_image::conf::units::human_size;
use ezio_image::manifest::Manifest;
use ezio_image::names::{is_safe_name, safe_name};
use ezio_imagedir::{Architecture, Keep, SetWriter, check_target};

use crate::cli::ImportArgs;
use crate::progress::Progress;
use crate::stop::Stop;

/// Runs the command.
pub(crate) fn run(args: &ImportArgs, stop: &Stop) -> Result<()> {
    if Torrent::is_one(&args.source) {
        return import_from_torrent(args, stop);
    }
    ensure!(!args.link && args.data.is_none(), "--data and --link are for torrents");
    let directory = Directory::open(&args.source)?;
    let which = match (&args.disk, &args.partition) {
        (Some(disk), _) => vec![Which::Disk(disk.clone())],
        (None, Some(partition)) => vec![Which::Partition(partition.clone())],
        (None, None) => choices(&directory)?,
    };
    let run = Run::begin(args)?;
    let plans = which.iter().map(|which| Plan::make(&directory, which)).collect::<Result<Vec<_>>>()?;
    if args.dry_run {
        for plan in &plans {
            let notes: String = plan.notes.iter().map(|note| format!("note: {note}\n")).collect();
            crate::print(&format!("{notes}{plan}"))?;
        }
        return Ok(());
    }
    if let [plan] = plans.as_slice() {
        return run.carry_out(args, plan.total_length(), stop, |orders, watch| import(plan, orders, watch));
    }
    let needed = args.store.keep().room(plans.iter().map(Plan::needed_room).sum());
    let mut set = SetWriter::create(&args.output, &run.name, crate::BUILDER, args.force, needed)?;
    for (which, plan) in which.iter().zip(&plans) {
        let (output, name) = set.add(which.in_set());
        let shown = args.output.join(&which.in_set().name).display().to_string();
        let run = Run { name, output, shown };
        run.carry_out(args, plan.total_length(), stop, |orders, watch| import(plan, orders, watch))?;
    }
    stop.check()?;
    set.finish()
}

fn import_from_torrent(args: &ImportArgs, stop: &Stop) -> Result<()> {
    let run = Run::begin(args)?;
    let mut torrent = Torrent::open(&args.source, args.data.as_deref())?;
    let total = torrent.total_length();
    if args.dry_run {
        return crate::print(&format!("{} to read\n", human_size(total)));
    }
    run.carry_out(args, total, stop, |orders, watch| import_torrent(&mut torrent, args.link, orders, watch))
}

/// One image that is being made.
struct Run {
    name: String,
    output: PathBuf,
    /// Where it will be.
    shown: String,
}

impl Run {
    /// Refuses what stands in the way, before anything is read.
    fn begin(args: &ImportArgs) -> Result<Self> {
        let (name, output) = (image_name(args)?, args.output.clone());
        check_target(&output, args.force)?;
        Ok(Self { name, shown: output.display().to_string(), output })
    }

    /// Makes it, shows how far it is, and says what it has become.
    fn carry_out(
        &self,
        args: &ImportArgs,
        total: u64,
        stop: &Stop,
        import: impl FnOnce(&Orders<'_>, &mut Watch<'_>) -> Result<(Manifest, Architecture)>,
    ) -> Result<()> {
        let started = Instant::now();
        let mut progress = Progress::new(total, args.no_progress);
        let orders = Orders {
            name: &self.name,
            output: &self.output,
            replace: args.force,
            keep: if args.link { Keep::Files } else { args.store.keep() },
            piece_length: args.piece_length,
            arch: args.arch,
            builder: crate::BUILDER,
        };
        let imported = import(&orders, &mut |part, length| {
            progress.part(part);
            progress.add(length);
            stop.check()
        });
        let how_far = || format!("after {} of {}", human_size(progress.done()), human_size(total));
        let (manifest, architecture) = imported.with_context(how_far)?;
        progress.finish();
        for note in &manifest.notes {
            progress.note(&format!("note: {note}"));
        }
        let seconds = started.elapsed().as_secs_f64().max(0.001);
        crate::print(&format!(
            "{}: {} partitions, {} of data, in {seconds:.1} s ({}/s)\n{architecture}\n",
            self.shown,
            manifest.partitions.len(),
            human_size(total),
            human_size((total as f64 / seconds) as u64)
        ))
    }
}

fn image_name(args: &ImportArgs) -> Result<String> {
    match (&args.name, args.output.file_name()) {
        (Some(name), _) if is_safe_name(name) => Ok(name.clone()),
        (Some(name), _) => bail!("{name:?} cannot name an image: letters, digits, . _ - only"),
        (None, Some(folder)) => Ok(safe_name(&folder.to_string_lossy())),
        (None, None) => bail!("{} cannot be an image directory: it has no name", args.output.display()),
    }
}
