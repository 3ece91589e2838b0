//! A server or a member of a swarm, for trying the engine without the rest of ezio.
//!
//! ```text
//! member create FILE TORRENT [--piece-length BYTES]      prints the info hash
//! member seed TORRENT FILE  [--listen ADDR] [--tracker URL] [--site CIDR=N]
//! member get TORRENT FILE   [--listen ADDR] [--tracker URL] [--peer ADDR] [--limit-up N] [--limit-down N]
//!                           [--memory BYTES] [--stay] [--verbose] [--done FILE]
//! ```
#![allow(clippy::unwrap_used, reason = "an example")]

use std::fs::OpenOptions;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ezio_image::metainfo::Metainfo;
use ezio_swarm::storage::DeviceStorage;
use ezio_swarm::{Config, Content, Role, Site, Swarm};
use sha1::{Digest, Sha1};

#[derive(Default)]
struct Options {
    config: Config,
    trackers: Vec<String>,
    piece_length: Option<u32>,
    stay: bool,
    verbose: bool,
    done: Option<PathBuf>,
    positional: Vec<PathBuf>,
}

fn options(args: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if !arg.starts_with("--") {
            options.positional.push(arg.into());
            continue;
        }
        if arg == "--verbose" {
            options.verbose = true;
            continue;
        }
        if arg == "--stay" {
            options.stay = true;
            continue;
        }
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--listen" => options.config.listen = value.parse()?,
            "--peer" => options.config.peers.push(value.parse::<SocketAddr>()?),
            "--tracker" => options.trackers.push(value),
            "--piece-length" => options.piece_length = Some(value.parse()?),
            "--limit-up" => options.config.limit_up = Some(value.parse()?),
            "--limit-down" => options.config.limit_down = Some(value.parse()?),
            "--memory" => options.config.memory = value.parse()?,
            "--done" => options.done = Some(value.into()),
            "--site" => {
                let (range, site) = value.split_once('=').context("--site CIDR=N")?;
                let (network, prefix) = range.split_once('/').context("--site CIDR=N")?;
                let site = Site { network: network.parse()?, prefix: prefix.parse()?, site: site.parse()? };
                options.config.sites.push(site);
            }
            _ => bail!("unknown option {arg}"),
        }
    }
    Ok(options)
}

fn create(file: &PathBuf, torrent: &PathBuf, piece_length: u32) -> Result<()> {
    let mut input = std::fs::File::open(file)?;
    let total = input.metadata()?.len();
    let mut hashes = Vec::new();
    let mut piece = Vec::new();
    while input.by_ref().take(u64::from(piece_length)).read_to_end(&mut piece)? > 0 {
        hashes.extend(Sha1::digest(&piece));
        piece.clear();
    }
    let metainfo = Metainfo::create("disk", piece_length, total, None, &hashes)?;
    println!("{}", metainfo.info_hash().as_string());
    Ok(std::fs::write(torrent, metainfo.to_torrent(&[]))?)
}

async fn share(role: Role, mut options: Options) -> Result<()> {
    let [torrent, file] = options.positional.as_slice() else { bail!("TORRENT FILE") };
    let metainfo = Arc::new(Metainfo::parse(&std::fs::read(torrent)?)?);
    let complete = role == Role::Server;
    let target =
        OpenOptions::new().read(true).write(!complete).create(!complete).truncate(false).open(file)?;
    let storage = DeviceStorage::new(Arc::new(target), file.display().to_string(), 0, metainfo.extents()?);
    options.config.role = role;
    if complete {
        options.config.max_connections = 2000;
    }
    let trackers = [metainfo.trackers().to_vec(), options.trackers].concat();
    let content = Content { metainfo, storage: Arc::new(storage), complete, trackers };
    let start = Instant::now();
    let swarm = Swarm::start(options.config, vec![content]).await?;
    println!("listening on {}", swarm.listen_addr());
    if complete {
        tokio::signal::ctrl_c().await?;
        swarm.shutdown().await;
        return Ok(());
    }
    let mut progress = swarm.progress();
    let mut shown = Instant::now();
    loop {
        tokio::select! {
            done = swarm.completed() => break done?,
            _ = progress.changed() => if options.verbose && shown.elapsed() > Duration::from_secs(1) {
                shown = Instant::now();
                println!("{:.1} {:?}", start.elapsed().as_secs_f64(), *progress.borrow_and_update());
            },
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let progress = *swarm.progress().borrow();
    println!(
        "{}",
        serde_json::json!({"event": "complete", "seconds": seconds, "progress": progress, "on_wire": swarm.on_wire(),
            "mb_per_s": progress.done_bytes as f64 / seconds / 1e6, "writes": format!("{:?}", swarm.write_stats())})
    );
    if let Some(done) = &options.done {
        std::fs::write(done, b"")?;
    }
    if options.stay {
        tokio::time::timeout(Duration::from_secs(3600), tokio::signal::ctrl_c()).await??;
    }
    swarm.shutdown().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let mut args = std::env::args().skip(1);
    let command = args.next().context("create, seed or get")?;
    let options = options(args)?;
    match command.as_str() {
        "create" => {
            create(&options.positional[0], &options.positional[1], options.piece_length.unwrap_or(256 << 10))
        }
        "seed" => share(Role::Server, options).await,
        "get" => share(Role::Member, options).await,
        _ => bail!("create, seed or get"),
    }
}
