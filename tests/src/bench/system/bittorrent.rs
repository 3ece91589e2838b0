//! Standard BitTorrent clients around a standard tracker: aria2, and libtorrent through its
//! Python binding with the settings that did best for EZIO.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Case, Finish, Process, SERVER, Stage, System};
use crate::bench::liar::read_torrent;
use crate::programs;

const TRACKER_PORT: u16 = 6969;
const PEER_PORT: u16 = 6881;
/// Piece length in KiB: what suits these clients on images of this size.
const PIECE_KIB: &str = "256";

pub(super) struct Aria2;
pub(super) struct Libtorrent;

fn torrent(stage: &Stage<'_>) -> PathBuf {
    stage.work.join("image.torrent")
}

fn announce(stage: &Stage<'_>) -> String {
    format!("http://{}:{TRACKER_PORT}/announce", stage.server())
}

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
    make_torrent(stage.image, &announce(stage), &torrent(stage))?;
    // Debian's opentracker serves only torrents on its list, which it reads below its own root.
    let allowed: String =
        read_torrent(&torrent(stage))?.info_hash().0.iter().map(|b| format!("{b:02x}")).collect();
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
    let torrent = torrent(stage).display().to_string();
    let tracker = format!("{}:{TRACKER_PORT}", stage.server());
    let args = ["await-seed", &torrent, &tracker];
    let mut probe = stage.run_own(SERVER, "await-seed", &args, Finish::Exit)?;
    probe.wait_done(std::time::Duration::from_secs(60)).map(drop)
}

impl Aria2 {
    fn start(stage: &Stage<'_>, host: usize, folder: &Path, finish: Finish) -> Result<Process> {
        // aria2 runs this when a download is complete, and goes on seeding.
        let hook = stage.work.join("aria2-complete");
        if !hook.exists() {
            fs::write(&hook, "#!/bin/sh\necho '{\"event\":\"complete\"}'\n").context("write aria2's hook")?;
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).context("make aria2's hook run")?;
        }
        let folder = format!("--dir={}", folder.display());
        let hook = format!("--on-bt-download-complete={}", hook.display());
        let (torrent, port) = (torrent(stage).display().to_string(), format!("--listen-port={PEER_PORT}"));
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
}

impl System for Aria2 {
    fn name(&self) -> &'static str {
        "aria2c"
    }

    fn check(&self) -> Result<()> {
        programs::need(&["aria2c", "opentracker", "transmission-create"])
    }

    fn suits(&self, _case: &Case) -> bool {
        true
    }

    fn wants_targets(&self) -> bool {
        false
    }

    fn serve(&self, stage: &Stage<'_>) -> Result<Vec<Process>> {
        let tracker = start_tracker(stage)?;
        let seed = Self::start(stage, SERVER, stage.work, Finish::Never)?;
        wait_for_seed(stage)?;
        Ok(vec![tracker, seed])
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        Self::start(stage, host, &stage.folder(host), Finish::Event)
    }

    fn swarm(&self, stage: &Stage<'_>) -> Option<(PathBuf, String)> {
        Some((torrent(stage), announce(stage)))
    }
}

impl Libtorrent {
    fn start(stage: &Stage<'_>, host: usize, folder: &Path, finish: Finish) -> Result<Process> {
        let script = programs::own_file("scripts/libtorrent_peer.py").display().to_string();
        let (torrent, folder) = (torrent(stage).display().to_string(), folder.display().to_string());
        let listen = format!("{}:{PEER_PORT}", stage.room.address(host));
        let args = [script.as_str(), &torrent, &folder, "--listen", &listen];
        stage.run(host, "libtorrent", Path::new(programs::PYTHON), &args, finish)
    }
}

impl System for Libtorrent {
    fn name(&self) -> &'static str {
        "libtorrent"
    }

    fn check(&self) -> Result<()> {
        programs::need(&["opentracker", "transmission-create"])?;
        programs::need_python("libtorrent", "python3-libtorrent")
    }

    fn suits(&self, _case: &Case) -> bool {
        true
    }

    fn wants_targets(&self) -> bool {
        false
    }

    fn serve(&self, stage: &Stage<'_>) -> Result<Vec<Process>> {
        let tracker = start_tracker(stage)?;
        let seed = Self::start(stage, SERVER, stage.work, Finish::Never)?;
        wait_for_seed(stage)?;
        Ok(vec![tracker, seed])
    }

    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process> {
        Self::start(stage, host, &stage.folder(host), Finish::Event)
    }

    fn swarm(&self, stage: &Stage<'_>) -> Option<(PathBuf, String)> {
        Some((torrent(stage), announce(stage)))
    }
}
