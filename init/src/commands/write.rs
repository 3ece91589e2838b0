//! `ezio-init write SOURCE TARGET`: one torrent onto a disk, a partition or a file of a running Linux.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use ezio_disk::BlockTarget;
use ezio_image::conf::units::human_size;
use ezio_image::extents::ExtentMap;
use ezio_image::metainfo::Metainfo;
use ezio_swarm::storage::DeviceStorage;
use ezio_swarm::{Config, Content, Swarm};
use tokio::sync::watch;

use super::arguments::WriteOptions;
use super::in_use;
use super::progress_output::ProgressOutput;
use super::signals::{StopSignals, Stopped};
use crate::fetch::torrent;
use crate::fetch::{FetchError, Fetcher, Patience};
use crate::machine::SystemPaths;
use crate::run::transfer;

/// Fetches, writes, verifies, syncs, and serves others for as long as was asked for. A signal stops
/// it, with farewell to the others; before everything is on the target that is no success.
pub(crate) async fn write(
    options: &WriteOptions,
    signals: &mut StopSignals,
) -> anyhow::Result<Result<(), Stopped>> {
    let output = ProgressOutput::new(options.progress);
    let (metainfo, extents) = tokio::select! {
        fetched = fetch(options, &output) => fetched?,
        stopped = signals.received() => return Ok(Err(stopped)),
    };
    check_target(options, extents.target_end())?;
    if options.dry_run {
        output.note(&dry_run(&metainfo, &extents, &options.target));
        return Ok(Ok(()));
    }
    let target = open(options, extents.target_end())?;
    let swarm = start(options, metainfo, extents, target).await?;
    output.note(&format!("writing to {}, listening on {}", options.target.display(), swarm.listen_addr()));
    let result = tokio::select! {
        complete = transfer::complete(&swarm, None, |moment| output.moment(moment)) => {
            output.complete(&complete?, swarm.write_stats());
            Ok(())
        }
        stopped = signals.received() => Err(stopped),
    };
    if result.is_ok() && !options.seed.is_none() {
        output.note(&format!("serving others ({})", options.seed));
        // Nobody releases a machine that works on its own.
        let (_nobody, released) = watch::channel(false);
        tokio::select! {
            _ = transfer::seed(&swarm, &options.seed, released, |moment| output.moment(moment)) => {}
            _ = signals.received() => {}
        }
    }
    swarm.shutdown().await;
    Ok(result)
}

async fn fetch(
    options: &WriteOptions,
    output: &ProgressOutput,
) -> anyhow::Result<(Arc<Metainfo>, ExtentMap)> {
    let fetcher = Fetcher::new()?;
    let tell = |error: &FetchError, _| output.note(&format!("{error}: trying again"));
    let metainfo = torrent::fetch(&options.source, &options.peers, &fetcher, Patience::DEFAULT, tell).await?;
    let extents = metainfo.extents().with_context(|| options.source.clone())?;
    Ok((metainfo, extents))
}

async fn start(
    options: &WriteOptions,
    metainfo: Arc<Metainfo>,
    extents: ExtentMap,
    target: Arc<File>,
) -> anyhow::Result<Swarm> {
    let device = options.target.display().to_string();
    let trackers = metainfo.trackers().to_vec();
    ensure!(
        !(trackers.is_empty() && options.peers.is_empty() && options.listen.is_none()),
        "the torrent names no tracker: name a peer with --peer, or an address for peers to come to with --listen"
    );
    let storage = Arc::new(DeviceStorage::new(target, device, 0, extents));
    let defaults = Config::default();
    let config = Config {
        listen: options.listen.unwrap_or(defaults.listen),
        peers: options.peers.clone(),
        limit_up: options.limit_up,
        limit_down: options.limit_down,
        ..defaults
    };
    let content = Content { metainfo, storage, complete: false, trackers };
    Swarm::start(config, vec![content]).await.context("starting the transfer")
}

/// Is it something that can be written, large enough, and not in use? Nothing is made or changed.
fn check_target(options: &WriteOptions, needed: u64) -> anyhow::Result<()> {
    let target = options.target.as_path();
    let metadata = match std::fs::metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            ensure!(folder.is_dir(), "{}: there is no folder {}", target.display(), folder.display());
            // A mistyped device must not become a file in RAM.
            ensure!(!target.starts_with("/dev"), "{}: there is no such device", target.display());
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| target.display().to_string()),
    };
    let is_device = metadata.file_type().is_block_device();
    let path = target.display();
    ensure!(metadata.is_file() || is_device, "{path} is neither a block device nor a regular file");
    if is_device {
        if let Some(mounted) = in_use::mounted(target, &SystemPaths::below(Path::new("/"))) {
            bail!("{path} is in use: {} is mounted, or in use as swap", mounted.display());
        }
        let size = open_device(options)?.1;
        if size < needed {
            let missing = needed - size;
            let (size, needed) = (human_size(size), human_size(needed));
            bail!("{path} is too small by {missing} bytes: it has {size}, the image needs {needed}");
        }
    }
    Ok(())
}

fn open(options: &WriteOptions, needed: u64) -> anyhow::Result<Arc<File>> {
    let is_device = std::fs::metadata(&options.target).is_ok_and(|m| m.file_type().is_block_device());
    Ok(match is_device {
        true => open_device(options)?.0,
        false => BlockTarget::create_file(&options.target, needed)?.file(),
    })
}

/// The device and its size in bytes; ours alone, unless forced.
fn open_device(options: &WriteOptions) -> anyhow::Result<(Arc<File>, u64)> {
    if !options.force {
        let device = BlockTarget::open_exclusive(&options.target)?;
        return Ok((device.file(), device.size()));
    }
    let context = || format!("opening {}", options.target.display());
    let mut file = File::options().read(true).write(true).open(&options.target).with_context(context)?;
    let size = file.seek(SeekFrom::End(0)).with_context(context)?;
    Ok((Arc::new(file), size))
}

fn dry_run(metainfo: &Metainfo, extents: &ExtentMap, target: &Path) -> String {
    format!(
        "would write {:?} ({} in {} runs, {} pieces of {}) to {}, up to byte {}",
        metainfo.name(),
        human_size(metainfo.total_length()),
        extents.extents().len(),
        metainfo.piece_count(),
        human_size(metainfo.piece_length().into()),
        target.display(),
        extents.target_end()
    )
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
