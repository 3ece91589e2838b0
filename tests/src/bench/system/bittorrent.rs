//! Standard BitTorrent clients around a standard tracker: aria2, and libtorrent through its
//! Python binding with the settings that did best for EZIO.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Finish, Process, SERVER, Stage, System};
use crate::bench::case::Case;
use crate::bench::liar::read_torrent;
use crate::programs;

const TRACKER_PORT: u16 = 6969;
const PEER_PORT: u16 = 6881;
/// Piece length in KiB: what suits these clients on images of this size.
const PIECE_KIB: &str = "256";

/// A standard client.
pub(super) struct Client {
    name: &'static str,
    check: fn() -> Result<()>,
    /// Starts it on a host, with a folder that holds the image or shall hold it.
    start: fn(&Stage<'_>, usize, &Path, Finish) -> Result<Process>,
}

pub(super) const ARIA2: Client =
    Client { name: "aria2c", check: || programs::need(&["aria2c"]), start: start_aria2 };

pub(super) const LIBTORRENT: Client = Client {
    name: "libtorrent",
    check: || programs::need_python("libtorrent", "python3-libtorrent"),
    start: start_libtorrent,
};

/// A private torrent of a file, made by transmission.
fn make_torrent(image: &Path, announce: &str, torrent: &Path) -> Result<()> {
    let mut command = Command::new("transmission-create");
    command.args(["-p", "-s", PIECE_KIB, "-t", announce, "-o"]).arg(torrent).arg(image);
    let output = command.output().context("start transmission-create")?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "transmission-create: {}: {}", output.status, problem.trim());
    Ok(())
}

fn start_tracker(stage: &Stage<'_>) -> Result<Process> {
    make_torrent(stage.image, &stage.announce(TRACKER_PORT), &stage.torrent())?;
    // Debian's opentracker serves only torrents on its list, which it reads below its own root.
    let allowed = read_torrent(&stage.torrent())?.info_hash().as_string();
    fs::write(stage.work.join("allowed"), allowed + "\n").context("write opentracker's list")?;
    let (address, port) = (stage.server().to_string(), TRACKER_PORT.to_string());
    let work = stage.work.display().to_string();
    let args = ["-i", &address, "-p", &port, "-P", &port, "-d", &work, "-w", "/allowed"];
    let tracker = stage.run(SERVER, "opentracker", Path::new("opentracker"), &args, Finish::Never)?;
    stage.wait_listening(SERVER, TRACKER_PORT)?;
    Ok(tracker)
}

/// The first machine to announce must learn of the seed: its next announce is half an hour away.
fn wait_for_seed(stage: &Stage<'_>) -> Result<()> {
    let torrent = stage.torrent().display().to_string();
    let tracker = format!("{}:{TRACKER_PORT}", stage.server());
    let args = ["await-seed", &torrent, &tracker];
    let mut probe = stage.run_own(SERVER, "await-seed", &args, Finish::Exit)?;
    probe.wait_done(std::time::Duration::from_secs(60)).map(drop)
}

fn start_aria2(stage: &Stage<'_>, host: usize, folder: &Path, finish: Finish) -> Result<Process> {
    // aria2 runs this when a download is complete, and goes on seeding.
    let hook = stage.work.join("aria2-complete");
    if !hook.exists() {
        fs::write(&hook, "#!/bin/sh\necho '{\"event\":\"complete\"}'\n").context("write aria2's hook")?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).context("make aria2's hook run")?;
    }
    let folder = format!("--dir={}", folder.display());
    let hook = format!("--on-bt-download-complete={}", hook.display());
    let (torrent, port) = (stage.torrent().display().to_string(), format!("--listen-port={PEER_PORT}"));
    let peers = format!("--bt-max-peers={}", stage.case.members + 1);
    let args = [
        "--no-conf",
        "--seed-ratio=0.0",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--enable-peer-exchange=false",
        "--bt-enable-lpd=false",
        "--file-allocation=none",
        "--allow-overwrite=true",
        "--summary-interval=0",
        "--console-log-level=warn",
        "--check-integrity=true",
        "--bt-request-peer-speed-limit=1000M",
    ];
    let args = [&args[..], &[&folder, &hook, &port, &peers, &torrent]].concat();
    stage.run(host, "aria2c", Path::new("aria2c"), &args, finish)
}

fn start_libtorrent(stage: &Stage<'_>, host: usize, folder: &Path, finish: Finish) -> Result<Process> {
    let script = programs::own_file("scripts/libtorrent_peer.py").display().to_string();
    let (torrent, folder) = (stage.torrent().display().to_string(), folder.display().to_string());
    let listen = format!("{}:{PEER_PORT}", stage.room.address(host));
    let args = [script.as_str(), &torrent, &folder, "--listen", &listen];
    stage.run(host, "libtorrent", Path::new(programs::PYTHON), &args, finish)
}

impl System for Client {
    fn name(&self) -> &'static str {
        self.name
    }

    fn suits(&self, case: &Case) -> bool {
        !case.is_begun() && !case.fetches && !case.deploys
    }

    fn check(&self) -> Result<()> {
        programs::need(&["opentracker", "transmission-create"])?;
        (self.check)()
    }

    fn wants_targets(&self) -> bool {
        false
    }

    fn serve(&self, stage: &Stage<'_>) -> Result<Vec<Process>> {
        let tracker = start_tracker(stage)?;
        let seed = (self.start)(stage, SERVER, stage.work, Finish::Never)?;
        wait_for_seed(stage)?;
        Ok(vec![tracker, seed])
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        (self.start)(stage, host, &stage.folder(host), Finish::Event)
    }

    fn swarm(&self, stage: &Stage<'_>) -> Option<(PathBuf, String)> {
        Some((stage.torrent(), stage.announce(TRACKER_PORT)))
    }
}
