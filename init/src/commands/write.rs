//! `ezio-init write SOURCE TARGET`: a torrent, a file or a partition of an image directory onto a disk, a partition or
//! a file of a running Linux.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use ezio_disk::{BlockTarget, start_of};
use ezio_image::conf::units::human_size;
use ezio_image::conf::{Overwrite, Reuse};
use ezio_image::metainfo::Metainfo;
use ezio_image::plan::{Plan, Room};
use ezio_sha1::Method;
use ezio_swarm::{Config, Swarm};
use tokio::sync::watch;

use super::arguments::WriteOptions;
use super::confirm;
use super::exact::Exact;
use super::in_use;
use super::progress_output::ProgressOutput;
use super::signals::{StopSignals, Stopped};
use super::source::Source;
use crate::machine::SystemPaths;
use crate::run::assignment::{Assignment, PlannedTarget};
use crate::run::deployment::Cleared;
use crate::run::{blocking, grow, transfer};

/// Fetches, writes, verifies, syncs, and serves others for as long as was asked for. A signal stops
/// it, with farewell to the others; before everything is on the target that is no success.
pub(crate) async fn write(
    options: &WriteOptions,
    signals: &mut StopSignals,
) -> anyhow::Result<Result<(), Stopped>> {
    let output = ProgressOutput::new(options.progress);
    let source = tokio::select! {
        opened = Source::open(options, &output) => opened?,
        stopped = signals.received() => return Ok(Err(stopped)),
    };
    let target = plan(options, &source)?;
    let config = config(options, &source, &target.plan)?;
    let exact = options.exact.then(|| Exact::find(&options.target, source.needed()?)).transpose()?;
    output.note(&format!("{}:\n{}", target.name, target.plan.to_string().trim_end()));
    if let Some(exact) = &exact {
        output.note(&exact.to_string());
    }
    if options.dry_run {
        return Ok(Ok(()));
    }
    if !options.yes && is_device(&options.target) {
        confirm::erase(&target.name)?;
    }
    let reading = source.serve(&target.plan).await?;
    let peers = config.peers.iter().copied().chain(reading.as_ref().map(Swarm::listen_addr)).collect();
    let cleared = clear(target).await?;
    exact.as_ref().map_or(Ok(()), Exact::begin)?;
    let outcome = fill(options, cleared, Config { peers, ..config }, signals, &output).await;
    if let Some(reading) = reading {
        reading.shutdown().await;
    }
    let Some(exact) = exact else { return outcome };
    // Whatever came of it.
    let ended = exact.end();
    let outcome = outcome?;
    ended?;
    if outcome.is_ok() {
        grow_to_partition(&options.target, &output).await?;
    }
    Ok(outcome)
}

/// From a cleared target to one with all on it, and nobody served from it any more.
async fn fill(
    options: &WriteOptions,
    cleared: Cleared,
    config: Config,
    signals: &mut StopSignals,
    output: &ProgressOutput,
) -> anyhow::Result<Result<(), Stopped>> {
    let filling = cleared.start(config).await?;
    let progress = tokio::select! {
        complete = filling.complete(None, |moment| output.moment(moment)) => complete?,
        stopped = signals.received() => {
            filling.stop().await;
            return Ok(Err(stopped));
        }
    };
    let deployed = blocking(move || filling.filled(progress).finish()).await?;
    deployed.said.iter().for_each(|line| output.note(line));
    let Some(swarm) = deployed.swarm else { return Ok(Ok(())) };
    output.complete(&deployed.progress, swarm.write_stats());
    if !options.seed.is_none() {
        output.note(&format!("serving others ({})", options.seed));
        // Nobody releases a machine that works on its own.
        let (_nobody, released) = watch::channel(false);
        tokio::select! {
            _ = transfer::seed(&swarm, &options.seed, released, |moment| output.moment(moment)) => {}
            _ = signals.received() => {}
        }
    }
    swarm.shutdown().await;
    Ok(Ok(()))
}

fn config(options: &WriteOptions, source: &Source, plan: &Plan) -> anyhow::Result<Config> {
    let names_somebody =
        |metainfo: &Metainfo| !metainfo.trackers().is_empty() || !metainfo.peers().is_empty();
    let has_somebody = plan.payloads().any(|payload| names_somebody(&payload.metainfo));
    ensure!(
        !source.is_elsewhere() || has_somebody || !options.peers.is_empty() || options.listen.is_some(),
        "the torrent names no tracker: name a peer with --peer, or an address for peers to come to with --listen"
    );
    let defaults = Config::default();
    Ok(Config {
        listen: options.listen.unwrap_or(defaults.listen),
        peers: options.peers.clone(),
        limit_up: options.limit_up,
        limit_down: options.limit_down,
        hashing: hashing().unwrap_or(defaults.hashing),
        reuse: Reuse::Auto,
        ..defaults
    })
}

/// How pieces are hashed, as `EZIO_SHA1` has it (1, 8 or 16 lanes): so a processor with SHA instructions can be measured as
/// one without them.
fn hashing() -> Option<Method> {
    std::env::var("EZIO_SHA1").ok()?.parse().ok().and_then(Method::in_lanes)
}

/// Takes the target and clears it. A file is made, or grown.
async fn clear(target: PlannedTarget) -> anyhow::Result<Cleared> {
    blocking(move || {
        if !is_device(&target.path) {
            BlockTarget::create_file(&target.path, target.size)?;
        }
        let images = vec![target.name.clone()];
        Cleared::clear(Assignment { images, targets: vec![target], boot_entries: false })
    })
    .await
}

/// The file system fills its partition again, if it can.
async fn grow_to_partition(target: &Path, output: &ProgressOutput) -> anyhow::Result<()> {
    let (device, name) = (target.to_owned(), target.display());
    match blocking(move || grow::grow(&device)).await {
        Ok(Some(size)) => output.note(&format!("{name}: the file system has {} now", human_size(size))),
        Ok(None) => output.note(&format!("{name}: what is on it keeps its length")),
        Err(error) => {
            return Err(
                error.context(format!("{name} is written and whole, and what is on it keeps its length"))
            );
        }
    }
    Ok(())
}

/// What will be done to the target: something that can be written, is large enough, and not in use. Nothing is
/// made or changed.
fn plan(options: &WriteOptions, source: &Source) -> anyhow::Result<PlannedTarget> {
    let (path, name) = (options.target.clone(), options.target.display().to_string());
    let needed = source.needed().with_context(|| options.source.clone())?;
    let (size, sector_size) = size_of_target(options, needed)?;
    let start = start_of(&SystemPaths::below(Path::new("/")).sys, &path);
    let plan = source.plan(Room { size, start, sector_size }).with_context(|| name.clone())?;
    // Whoever calls this was asked before, or said --yes.
    let overwrite = Overwrite::Any;
    Ok(PlannedTarget { path, name, size, plan, overwrite, shared: options.force, new_ids: Vec::new() })
}

/// Bytes of a device, and of its sectors; those that a file will have.
fn size_of_target(options: &WriteOptions, needed: u64) -> anyhow::Result<(u64, Option<u32>)> {
    let target = options.target.as_path();
    let path = target.display();
    let metadata = match std::fs::metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            ensure!(folder.is_dir(), "{path}: there is no folder {}", folder.display());
            // A mistyped device must not become a file in RAM.
            ensure!(!target.starts_with("/dev"), "{path}: there is no such device");
            return Ok((needed, None));
        }
        Err(error) => return Err(error).with_context(|| path.to_string()),
    };
    if metadata.is_file() {
        return Ok((metadata.len().max(needed), None));
    }
    ensure!(is_device(target), "{path} is neither a block device nor a regular file");
    if let Some(mounted) = in_use::mounted(target, &SystemPaths::below(Path::new("/"))) {
        bail!("{path} is in use: {} is mounted, or in use as swap", mounted.display());
    }
    let open = if options.force { BlockTarget::open_shared } else { BlockTarget::open_exclusive };
    let device = open(target)?;
    Ok((device.size(), Some(device.sector_size())))
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
