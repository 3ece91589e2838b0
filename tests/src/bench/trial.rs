//! One system in one room, once: start everything, power off whom the case says, take the times.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::case::{Case, PowerOff};
use super::image;
use super::liar::read_torrent;
use super::process::{Finish, Process, Written};
use super::system::{Stage, System};
use crate::netns::{Room, SERVER, WorkFolder};

const TICK: Duration = Duration::from_millis(50);

/// What one trial gave. Times are in S/B, the physical limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Name of the case.
    pub case: String,
    /// Name of the system.
    pub system: String,
    /// Machines in the room.
    pub members: usize,
    /// Machines that had to finish.
    pub healthy: usize,
    /// Those of them that did, within the limit.
    pub done: usize,
    /// Those of them whose target is the image, byte for byte.
    pub intact: usize,
    /// Rate of a link in Mbit/s.
    pub mbit: f64,
    /// Size of the image in MiB.
    pub mib: u64,
    /// S/B in seconds.
    pub ideal_seconds: f64,
    /// Last machine, in S/B; none unless all were done.
    pub last: Option<f64>,
    /// Median machine, in S/B.
    pub median: Option<f64>,
    /// What the server's link carried until the last machine was done, in copies of the image.
    pub server_copies: f64,
    /// Share of all processors that was busy.
    pub cpu_busy: f64,
    /// Most memory that a machine's program had resident, in MiB.
    pub client_peak_mib: f64,
    /// Most processor time that a machine's program took until it was done, in seconds.
    pub client_cpu_seconds: f64,
    /// What reached the target of the machine with the most seeks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub written: Option<Written>,
    /// Corrupt bytes that the lying machine got rid of, in copies of the image.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lies_copies: Option<f64>,
    /// First failure of a program, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

struct Member {
    process: Process,
    started: Instant,
    done: Option<Instant>,
}

struct Run<'a> {
    stage: &'a Stage<'a>,
    system: &'a dyn System,
    members: BTreeMap<usize, Member>,
    start: Instant,
    failure: Option<String>,
    server: Vec<Process>,
    liar: Option<Process>,
}

/// Runs one trial.
///
/// # Errors
/// The room cannot be built, or the system's server does not come up. Machines that fail are a
/// result, not an error.
pub fn run(case: &Case, system: &dyn System) -> Result<Trial> {
    let work = WorkFolder::create()?;
    let image = work.path().join("image");
    image::make(&image, case.content, case.bytes())?;
    let room = Room::build(case.links())?;
    let stage = Stage { room: &room, case, work: work.path(), image: &image };
    prepare_targets(&stage, system.wants_targets())?;
    let server = system.serve(&stage).with_context(|| format!("start the server of {}", system.name()))?;
    case.changed.map_or(Ok(()), |one_of| give_old_content(&stage, one_of))?;
    let mut run = Run {
        stage: &stage,
        system,
        members: BTreeMap::new(),
        start: Instant::now(),
        failure: None,
        server,
        liar: None,
    };
    run.start_liar()?;
    let sent = room.tx_bytes(SERVER)?;
    let busy = cpu_times()?;
    run.play(sent)?;
    let busy = cpu_times()?.busy_since(&busy);
    let sent = room.tx_bytes(SERVER)? - sent;
    run.judge(busy, sent)
}

fn prepare_targets(stage: &Stage<'_>, at_full_length: bool) -> Result<()> {
    for host in 1..=stage.case.members {
        fs::create_dir(stage.folder(host)).context("make a machine's folder")?;
        if at_full_length {
            let mut target = File::create(stage.target(host)).context("make a target")?;
            // Its memory is there already, as a disk's sectors are.
            io::copy(&mut io::repeat(0).take(stage.case.bytes()), &mut target).context("clear a target")?;
        }
    }
    Ok(())
}

/// Puts onto each target the image, of which one piece of `one_of` is another.
fn give_old_content(stage: &Stage<'_>, one_of: u64) -> Result<()> {
    let piece = read_torrent(&stage.torrent())?.piece_length();
    let distance = u64::from(piece) * one_of;
    for host in 1..=stage.case.members {
        fs::copy(stage.image, stage.target(host)).context("fill a target")?;
        let target = File::options().write(true).open(stage.target(host)).context("open a target")?;
        let starts = (0..stage.case.bytes()).step_by(usize::try_from(distance)?);
        starts
            .into_iter()
            .try_for_each(|at| target.write_all_at(&[0; 512], at))
            .context("change a target")?;
    }
    Ok(())
}

impl Run<'_> {
    fn start_liar(&mut self) -> Result<()> {
        let Some(host) = self.stage.case.liar else { return Ok(()) };
        let (torrent, tracker) = self.system.swarm(self.stage).context("nothing to lie to")?;
        let (torrent, address) = (torrent.display().to_string(), self.stage.room.address(host).to_string());
        let args = ["lie", &torrent, &tracker, "--address", &address];
        self.liar = Some(self.stage.run_own(host, "liar", &args, Finish::Never)?);
        Ok(())
    }

    fn play(&mut self, sent_before: u64) -> Result<()> {
        let case = self.stage.case;
        let ideal = case.links().ideal_seconds(case.bytes());
        let arrivals: Vec<usize> = (1..=case.members).filter(|&host| case.liar != Some(host)).collect();
        let pause = case.arriving_over * ideal / arrivals.len() as f64;
        let mut waiting = arrivals.into_iter().enumerate();
        let mut next = waiting.next();
        let mut power_off = case.power_off.clone();
        let mut sender = None;
        loop {
            while let Some((turn, host)) = next
                && self.seconds() >= turn as f64 * pause
            {
                self.join(host)?;
                next = waiting.next();
                if next.is_none() {
                    sender = self.release()?;
                }
            }
            let all_there = next.is_none();
            if power_off.as_ref().map(|what| self.is_due(what, ideal, sent_before)).transpose()? == Some(true)
            {
                self.cut(power_off.take())?;
            }
            self.poll_members();
            if let Some(Err(error)) = sender.as_mut().map(Process::poll) {
                self.note_failure(&error);
                sender = None;
            }
            let finished = all_there && case.healthy().iter().all(|host| self.is_settled(*host));
            if finished || self.seconds() > case.limit_seconds() {
                return Ok(());
            }
            std::thread::sleep(TICK);
        }
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn join(&mut self, host: usize) -> Result<()> {
        let started = Instant::now();
        let process = self.system.join(self.stage, host)?;
        self.members.insert(host, Member { process, started, done: None });
        Ok(())
    }

    /// Systems that send only when all machines are there are measured from then on.
    fn release(&mut self) -> Result<Option<Process>> {
        let now = Instant::now();
        let members: Vec<&Process> = self.members.values().map(|member| &member.process).collect();
        let sender = self.system.release(self.stage, &members)?;
        if sender.is_some() {
            self.start = now;
        }
        Ok(sender)
    }

    fn is_due(&self, what: &PowerOff, ideal: f64, sent_before: u64) -> Result<bool> {
        match what {
            PowerOff::At { share, .. } | PowerOff::AllAndOnAgain { share } => {
                Ok(self.seconds() >= share * ideal)
            }
            PowerOff::ServerAfter { copies } => {
                let sent = self.stage.room.tx_bytes(SERVER)? - sent_before;
                Ok(sent as f64 >= copies * self.stage.case.bytes() as f64)
            }
        }
    }

    fn cut(&mut self, what: Option<PowerOff>) -> Result<()> {
        match what {
            Some(PowerOff::At { hosts, .. }) => {
                hosts.into_iter().try_for_each(|host| self.stage.room.kill_host(host))
            }
            Some(PowerOff::AllAndOnAgain { .. }) => self.begin_again(),
            Some(PowerOff::ServerAfter { .. }) => self.stage.room.kill_host(SERVER),
            None => Ok(()),
        }
    }

    fn begin_again(&mut self) -> Result<()> {
        let hosts: Vec<usize> = self.members.keys().copied().collect();
        hosts.iter().try_for_each(|&host| self.stage.room.kill_host(host))?;
        self.members.clear();
        self.start = Instant::now();
        hosts.into_iter().try_for_each(|host| self.join(host))
    }

    fn poll_members(&mut self) {
        let mut failures = Vec::new();
        for (host, member) in &mut self.members {
            match member.process.poll() {
                Ok(done) => member.done = done,
                Err(error) if self.stage.case.healthy().contains(host) => failures.push(error),
                Err(_) => {}
            }
        }
        failures.iter().for_each(|error| self.note_failure(error));
    }

    fn note_failure(&mut self, error: &anyhow::Error) {
        self.failure.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Is there nothing more to wait for? A program that failed will never be done.
    fn is_settled(&mut self, host: usize) -> bool {
        self.members.get_mut(&host).is_some_and(|member| !matches!(member.process.poll(), Ok(None)))
    }

    fn judge(mut self, cpu_busy: f64, sent: u64) -> Result<Trial> {
        let case = self.stage.case;
        let ideal = case.links().ideal_seconds(case.bytes());
        let healthy = case.healthy();
        let mut seconds = Vec::new();
        let (mut peak, mut cpu, mut written) = (0, 0.0_f64, None::<Written>);
        for host in &healthy {
            let Some(member) = self.members.get_mut(host) else { continue };
            let usage = member.process.sample();
            peak = peak.max(usage.peak_kib);
            written = written.into_iter().chain(member.process.written()).max_by_key(|w| w.runs);
            cpu = cpu.max(usage.user_seconds + usage.system_seconds);
            let from = if case.arriving_over > 0.0 { member.started } else { self.start };
            seconds.extend(member.done.map(|at| at.saturating_duration_since(from).as_secs_f64()));
        }
        seconds.sort_by(f64::total_cmp);
        let in_ideals = |seconds: &f64| round(seconds / ideal, 3);
        let all_done = seconds.len() == healthy.len();
        let lies = self.liar.as_ref().and_then(Process::last_event);
        let lies = lies.and_then(|event| event.get("sent_bytes")?.as_f64());
        drop(std::mem::take(&mut self.server));
        Ok(Trial {
            case: case.name.to_owned(),
            system: self.system.name().to_owned(),
            members: case.members,
            healthy: healthy.len(),
            done: seconds.len(),
            intact: self.intact(&healthy)?,
            mbit: case.mbit,
            mib: case.mib,
            ideal_seconds: round(ideal, 2),
            last: seconds.last().filter(|_| all_done).map(in_ideals),
            median: seconds.get(seconds.len() / 2).map(in_ideals),
            server_copies: round(sent as f64 / case.bytes() as f64, 3),
            cpu_busy: round(cpu_busy, 2),
            client_peak_mib: round(peak as f64 / 1024.0, 1),
            client_cpu_seconds: round(cpu, 2),
            written,
            lies_copies: lies.map(|bytes| round(bytes / case.bytes() as f64, 3)),
            failure: self.failure,
        })
    }

    fn intact(&self, healthy: &[usize]) -> Result<usize> {
        let bytes = self.stage.case.bytes();
        let wanted = image::hash(self.stage.image, bytes)?;
        let mut intact = 0;
        for host in healthy {
            let done = self.members.get(host).is_some_and(|member| member.done.is_some());
            if done && image::hash(&self.stage.target(*host), bytes)? == wanted {
                intact += 1;
            }
        }
        Ok(intact)
    }
}

/// A number with few digits behind the point: what is kept shall be readable.
pub(super) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

struct CpuTimes {
    total: u64,
    idle: u64,
}

impl CpuTimes {
    fn busy_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total).max(1);
        1.0 - self.idle.saturating_sub(before.idle) as f64 / total as f64
    }
}

fn cpu_times() -> Result<CpuTimes> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
    // Fields 4 and 5: idle, and idle while a disk works. Guests' time is in the users' already.
    let idle = ticks.iter().skip(3).take(2).sum();
    Ok(CpuTimes { total: ticks.iter().take(8).sum(), idle })
}
