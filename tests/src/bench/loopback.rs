//! One process to one process over the loopback interface, from and to memory, on two cores: what the programs themselves
//! cost, and how near they come to a bare copy with hashing on the same machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ezio_sha1::Method;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use super::case::Content;
use super::image;
use super::process::{Finish, Process, Written};
use super::relay;
use super::system::capture;
use super::trial::round;
use crate::netns::{HTTP_PORT, WorkFolder};
use crate::programs;

/// Name of this case on the command line.
pub const NAME: &str = "loopback";
/// What ezio is to reach, in GB/s.
pub const GOAL: f64 = 1.4;
/// As much as the golden Debian is sure to have, and still some tenths of a second.
const DEBIAN_MIB: u64 = 512;
/// Cores that everything together may use.
const CORES: usize = 2;
/// What a processor without SHA instructions may have instead: AVX2, AVX-512.
const LANES: [usize; 2] = [8, 16];
const LIMIT: Duration = Duration::from_secs(120);

/// What one transfer gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// What moved the bytes.
    pub system: String,
    /// Size of the image in MiB.
    pub mib: u64,
    /// From the receiver's start until it said `complete`.
    pub seconds: f64,
    /// Image over that time, in GB/s.
    pub gb_per_s: f64,
    /// Processor time of both processes, also of threads that have ended, in seconds.
    #[serde(default)]
    pub core_seconds: f64,
    /// Processor time by thread that is still there: in the program and in the kernel, in seconds.
    pub threads: BTreeMap<String, (f64, f64)>,
    /// Most memory that the receiver had resident, in MiB.
    pub receiver_peak_mib: f64,
    /// What reached the target.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub written: Option<Written>,
}

/// Measures ezio and what bounds it, one after the other, with an image of `mib` MiB.
///
/// # Errors
/// A program is missing, fails, or delivers something else than the image.
pub fn run(mib: u64) -> Result<Vec<Transfer>> {
    keep_to_few_cores()?;
    let mut transfers = incompressible(mib)?;
    transfers.extend(debian()?);
    Ok(transfers)
}

/// A real Debian, as files and in frames: what frames are worth where no link is thin.
fn debian() -> Result<Vec<Transfer>> {
    let work = WorkFolder::create()?;
    let raw = work.path().join("raw");
    image::make(&raw, Content::Debian, DEBIAN_MIB << 20)?;
    let stores = [("a real Debian in files", Content::Incompressible), ("in frames", Content::Debian)];
    let transfer = |(name, store)| {
        let folder = work.path().join(NAME);
        capture(&raw, &folder, store)?;
        let pair = Pair { work: work.path(), image: &folder, raw: raw.clone(), mib: DEBIAN_MIB };
        let transfer = pair.ezio(&format!("ezio, {name}"), None)?;
        fs::remove_dir_all(&folder).context("remove an image directory")?;
        Ok(transfer)
    };
    stores.into_iter().map(transfer).collect()
}

fn incompressible(mib: u64) -> Result<Vec<Transfer>> {
    let work = WorkFolder::create()?;
    let image = work.path().join("raw");
    image::make(&image, Content::Incompressible, mib << 20)?;
    let folder = work.path().join(NAME);
    capture(&image, &folder, Content::Incompressible)?;
    fs::remove_file(image).context("remove the image's source")?;
    let pair = Pair { work: work.path(), image: &folder, raw: folder.join("disk"), mib };
    let mut transfers = vec![
        pair.ezio("ezio", None)?,
        pair.bare("sendfile, SHA-1, write", true)?,
        pair.bare("sendfile, write", false)?,
        sha1(mib),
    ];
    for method in LANES.iter().filter_map(|&lanes| Method::in_lanes(lanes)) {
        let name = format!("ezio, SHA-1 in {} lanes", method.lanes());
        transfers.push(pair.ezio(&name, Some(method))?);
        transfers.push(sha1_in_lanes(mib, method));
    }
    Ok(transfers)
}

/// This thread, and the programs that it starts from now on, have no more than the first processors to themselves.
fn keep_to_few_cores() -> Result<()> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).context("ask for the processors")?;
    let mut few = CpuSet::new();
    let allowed = (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap_or(false));
    allowed.take(CORES).try_for_each(|cpu| few.set(cpu)).context("choose processors")?;
    sched_setaffinity(this, &few).context("keep to few processors")
}

struct Pair<'a> {
    work: &'a Path,
    image: &'a Path,
    /// The very bytes that are to arrive.
    raw: PathBuf,
    mib: u64,
}

impl Pair<'_> {
    fn spawn(&self, program: &Path, args: &[&str], finish: Finish) -> Result<Process> {
        self.spawn_with(program, args, None, finish)
    }

    fn spawn_with(
        &self,
        program: &Path,
        args: &[&str],
        hashing: Option<Method>,
        finish: Finish,
    ) -> Result<Process> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let mut command = Command::new(program);
        command.args(args);
        if let Some(method) = hashing {
            command.env("EZIO_SHA1", method.lanes().to_string());
        }
        let log = self.work.join(format!("{name}-{}.log", args.first().unwrap_or(&"")));
        Process::spawn(command, &name, &log, finish)
    }

    /// The target, as long as the image and full of zeros. Its memory is there already, as a disk's sectors are.
    fn target(&self) -> Result<PathBuf> {
        let target = self.work.join("target");
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&target)
            .context("make a target")?;
        io::copy(&mut io::repeat(0).take(self.mib << 20), &mut file).context("clear a target")?;
        Ok(target)
    }

    /// With `hashing`, the receiver hashes as if the processor had no SHA instructions.
    fn ezio(&self, name: &str, hashing: Option<Method>) -> Result<Transfer> {
        let image = self.image.display().to_string();
        let args = ["serve", &image, "--dhcp", "off", "--listen", "127.0.0.1"];
        let mut server = self.spawn(&programs::find("ezio-pxe")?, &args, Finish::Never)?;
        drop(relay::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT)))?);
        let source = format!("http://127.0.0.1:{HTTP_PORT}/images/{NAME}/disk.torrent");
        let target = self.target()?;
        let path = target.display().to_string();
        let args = ["write", "--yes", &source, &path, "--progress", "json", "--seed", "forever"];
        let began = Instant::now();
        let mut client = self.spawn_with(&programs::find("ezio-init")?, &args, hashing, Finish::Event)?;
        let done = client.wait_done(LIMIT)?;
        self.judge(name, done - began, &target, &mut server, &mut client)
    }

    /// Nothing but what has to be done: the least that any program takes.
    fn bare(&self, what: &str, hash: bool) -> Result<Transfer> {
        let own = std::env::current_exe().context("find the running executable")?;
        let target = self.target()?;
        let path = target.display().to_string();
        let mut args = vec!["relay", &path, "--stay"];
        args.extend(hash.then_some("--hash"));
        let mut receiver = self.spawn(&own, &args, Finish::Event)?;
        receiver.wait_for("ready", LIMIT)?;
        let image = self.raw.display().to_string();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, relay::PORT)).to_string();
        let began = Instant::now();
        let mut sender = self.spawn(&own, &["send", &image, &to, "--stay"], Finish::Never)?;
        let done = receiver.wait_done(LIMIT)?;
        self.judge(what, done - began, &target, &mut sender, &mut receiver)
    }

    fn judge(
        &self,
        system: &str,
        time: Duration,
        target: &Path,
        from: &mut Process,
        to: &mut Process,
    ) -> Result<Transfer> {
        let usage = [from.sample(), to.sample()];
        let core_seconds = usage.iter().map(|u| u.user_seconds + u.system_seconds).sum();
        let mut threads = BTreeMap::new();
        for (side, process) in [("send", &*from), ("receive", &*to)] {
            threads.extend(
                process.threads().into_iter().map(|(name, spent)| (format!("{side}: {name}"), spent)),
            );
        }
        let bytes = self.mib << 20;
        let intact = image::hash(target, bytes)? == image::hash(&self.raw, bytes)?;
        ensure!(intact, "{system} delivered something else than the image");
        Ok(Transfer {
            core_seconds: round(core_seconds, 2),
            threads,
            written: to.written(),
            receiver_peak_mib: round(usage[1].peak_kib as f64 / 1024.0, 1),
            ..Transfer::new(system, self.mib, time)
        })
    }
}

impl Transfer {
    fn new(system: &str, mib: u64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let rate = (mib << 20) as f64 / seconds / 1e9;
        Self {
            system: system.to_owned(),
            mib,
            seconds: round(seconds, 3),
            gb_per_s: round(rate, 3),
            ..Self::default()
        }
    }
}

/// SHA-1 on one core of pieces that are there together, in the lanes of its vector registers.
fn sha1_in_lanes(mib: u64, method: Method) -> Transfer {
    let pieces = vec![vec![0x5a; 1 << 20]; method.lanes()];
    let parts: Vec<[&[u8]; 1]> = pieces.iter().map(|piece| [piece.as_slice()]).collect();
    let messages: Vec<&[&[u8]]> = parts.iter().map(|part| part.as_slice()).collect();
    let rounds = mib.div_ceil(messages.len() as u64);
    let began = Instant::now();
    for _ in 0..rounds {
        black_box(method.hash(black_box(&messages)));
    }
    let name = format!("SHA-1 in {} lanes, one core", method.lanes());
    let lanes = Transfer::new(&name, rounds * messages.len() as u64, began.elapsed());
    Transfer { core_seconds: lanes.seconds, ..lanes }
}

/// SHA-1 on one core, of bytes that are in its cache.
fn sha1(mib: u64) -> Transfer {
    let piece = vec![0x5a; 1 << 20];
    let began = Instant::now();
    for _ in 0..mib {
        black_box(Sha1::digest(black_box(&piece)));
    }
    let alone = Transfer::new("SHA-1 alone, one core", mib, began.elapsed());
    Transfer { core_seconds: alone.seconds, ..alone }
}
