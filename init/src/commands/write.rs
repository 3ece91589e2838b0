//! `ezio-init write SOURCE TARGET`: one torrent onto a disk, a partition or a file of a running Linux.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use ezio_disk::{BlockTarget, start_of};
use ezio_image::conf::Grow;
use ezio_image::metainfo::Metainfo;
use ezio_image::plan::{Plan, Room};
use ezio_swarm::Config;
use tokio::sync::watch;

use super::arguments::WriteOptions;
use super::in_use;
use super::progress_output::ProgressOutput;
use super::signals::{StopSignals, Stopped};
use crate::fetch::torrent;
use crate::fetch::{FetchError, Fetcher, Patience};
use crate::machine::SystemPaths;
use crate::run::assignment::{Assignment, PlannedTarget};
use crate::run::deployment::{Cleared, Filling};
use crate::run::{blocking, transfer};

/// Fetches, writes, verifies, syncs, and serves others for as long as was asked for. A signal stops
/// it, with farewell to the others; before everything is on the target that is no success.
pub(crate) async fn write(
    options: &WriteOptions,
    signals: &mut StopSignals,
) -> anyhow::Result<Result<(), Stopped>> {
    let output = ProgressOutput::new(options.progress);
    let metainfo = tokio::select! {
        fetched = fetch(options, &output) => fetched?,
        stopped = signals.received() => return Ok(Err(stopped)),
    };
    let target = plan(options, &metainfo)?;
    let config = config(options, &metainfo)?;
    output.note(&format!("{}:\n{}", target.name, target.plan.to_string().trim_end()));
    if options.dry_run {
        return Ok(Ok(()));
    }
    let filling = start(target, config).await?;
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

async fn fetch(options: &WriteOptions, output: &ProgressOutput) -> anyhow::Result<Arc<Metainfo>> {
    let fetcher = Fetcher::new()?;
    let tell = |error: &FetchError, _| output.note(&format!("{error}: trying again"));
    torrent::fetch(&options.source, &options.peers, &fetcher, Patience::DEFAULT, tell).await
}

fn config(options: &WriteOptions, metainfo: &Metainfo) -> anyhow::Result<Config> {
    ensure!(
        !(metainfo.trackers().is_empty()
            && metainfo.peers().is_empty()
            && options.peers.is_empty()
            && options.listen.is_none()),
        "the torrent names no tracker: name a peer with --peer, or an address for peers to come to with --listen"
    );
    let defaults = Config::default();
    Ok(Config {
        listen: options.listen.unwrap_or(defaults.listen),
        peers: options.peers.clone(),
        limit_up: options.limit_up,
        limit_down: options.limit_down,
        ..defaults
    })
}

/// Takes the target, clears it and begins to fetch. A file is made, or grown.
async fn start(target: PlannedTarget, config: Config) -> anyhow::Result<Filling> {
    let cleared = blocking(move || {
        if !is_device(&target.path) {
            BlockTarget::create_file(&target.path, target.size)?;
        }
        let image = target.name.clone();
        Cleared::clear(Assignment { image, targets: vec![target], boot_entries: false })
    });
    cleared.await?.start(config).await
}

/// What will be done to the target: something that can be written, is large enough, and not in use. Nothing is
/// made or changed.
fn plan(options: &WriteOptions, metainfo: &Arc<Metainfo>) -> anyhow::Result<PlannedTarget> {
    let (path, name) = (options.target.clone(), options.target.display().to_string());
    let needed = metainfo.extents().with_context(|| options.source.clone())?.target_end();
    let size = size_of_target(options, needed)?;
    let start = start_of(&SystemPaths::below(Path::new("/")).sys, &path);
    let plan = Plan::for_torrent(Arc::clone(metainfo), Room { size, start }, &Grow::None)
        .with_context(|| name.clone())?;
    Ok(PlannedTarget { path, name, size, plan, shared: options.force })
}

/// Bytes of a device; those that a file will have.
fn size_of_target(options: &WriteOptions, needed: u64) -> anyhow::Result<u64> {
    let target = options.target.as_path();
    let path = target.display();
    let metadata = match std::fs::metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            ensure!(folder.is_dir(), "{path}: there is no folder {}", folder.display());
            // A mistyped device must not become a file in RAM.
            ensure!(!target.starts_with("/dev"), "{path}: there is no such device");
            return Ok(needed);
        }
        Err(error) => return Err(error).with_context(|| path.to_string()),
    };
    if metadata.is_file() {
        return Ok(metadata.len().max(needed));
    }
    ensure!(is_device(target), "{path} is neither a block device nor a regular file");
    if let Some(mounted) = in_use::mounted(target, &SystemPaths::below(Path::new("/"))) {
        bail!("{path} is in use: {} is mounted, or in use as swap", mounted.display());
    }
    let open = if options.force { BlockTarget::open_shared } else { BlockTarget::open_exclusive };
    Ok(open(target)?.size())
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
