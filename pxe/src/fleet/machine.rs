//! What is known of one machine.

use std::collections::BTreeMap;

use ezio_contract::inventory::{Computer, InventoryCard, MAX_CARDS, Wanted};
use ezio_contract::report::{Event, Leave, MAX_NOTE, MAX_NOTES, Progress, Report, StepTimes};
use ezio_contract::text::one_line;
use ezio_contract::{Mac, MachineId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calls::Calls;
use super::consent::Disks;
use super::life::{Life, State};
use super::order::Order;

/// Longest text that is kept, in bytes, if nothing else is said.
pub(super) const MAX_TEXT: usize = 200;
/// Longest error text that is kept, in bytes.
const MAX_ERROR: usize = 4096;
const MAX_DISKS: usize = 32;

/// Why the last run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Step that failed.
    pub(crate) step: String,
    /// Whole cause chain.
    pub(crate) error: String,
    /// What the machine does next.
    pub(crate) next: String,
}

/// When something first happened in the last run (but `first_seen`: ever), in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Times {
    pub(crate) first_seen: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) booting: Option<f64>,
    /// Its kernel started, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) planned: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_byte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seeding: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proved: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<f64>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Its name here: SMBIOS UUID, else serial number, else first MAC.
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) identity: MachineId,
    /// Last address it was heard from.
    #[serde(default)]
    pub(crate) address: Option<String>,
    #[serde(default)]
    pub(crate) firmware: Option<String>,
    /// Version of init.
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(flatten)]
    pub(crate) life: Life,
    #[serde(default)]
    pub(crate) image: Option<String>,
    #[serde(default)]
    pub(crate) disks: Vec<String>,
    #[serde(default)]
    pub(crate) progress: Progress,
    #[serde(default)]
    pub(crate) error: Option<Failure>,
    #[serde(default)]
    pub(crate) times: Times,
    /// Its own steps in the last run.
    #[serde(default)]
    pub(crate) steps: StepTimes,
    /// What is said of the image that the last run put on it.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// The host name that a deployment gave it.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    /// The one that its system says.
    #[serde(default)]
    pub(crate) says_hostname: Option<String>,
    /// Its network cards, as it saw them last.
    #[serde(default)]
    pub(crate) cards: Vec<InventoryCard>,
    /// What it computes with.
    #[serde(default)]
    pub(crate) computer: Option<Computer>,
    /// What the last run did, and could not do, for this machine alone.
    #[serde(default)]
    pub(crate) own_steps: Vec<String>,
    /// Its numbers, by the template of a host name that asked for one. It keeps them.
    #[serde(default)]
    pub(crate) numbers: BTreeMap<String, u32>,
    /// When it was last heard of, in seconds since 1970.
    #[serde(default)]
    pub(crate) last_heard: f64,
    /// Good runs so far.
    #[serde(default)]
    pub(crate) deployments: u64,
    /// An operator wants nothing of it overwritten.
    #[serde(default)]
    pub(crate) held: bool,
    /// What is wanted of it beside ezio.conf.
    #[serde(default)]
    pub(crate) order: Option<Order>,
    /// It is to be switched on for that.
    #[serde(default)]
    pub(crate) calls: Option<Calls>,
    /// It was let go on once, or approved.
    #[serde(default)]
    pub(crate) admitted: bool,
    /// Somebody ends its run; it does not know yet, or has not said how it ended.
    #[serde(default)]
    pub(crate) leave: Option<Leave>,
    /// Runs in a row that have failed.
    #[serde(default)]
    pub(crate) failures: u32,
    /// What it waits for, a line each.
    #[serde(default)]
    pub(crate) waits_for: Vec<String>,
    /// What it would overwrite, and may not.
    #[serde(default)]
    pub(crate) wanted: Vec<Wanted>,
    /// What is known of its disks.
    #[serde(default)]
    pub(crate) known_disks: Disks,
    /// Cards that it had when it was last heard of on its way into init, or in a run. `macs` are all that it ever had.
    #[serde(default)]
    pub(crate) present_macs: Vec<Mac>,
    /// It was given init once, and was not heard of: perhaps its network card is one of those in servers.
    #[serde(default)]
    pub(crate) all_cards: bool,
    /// The run that its reports belong to.
    #[serde(default)]
    pub(crate) run: String,
    /// Highest sequence number of the run.
    #[serde(default)]
    pub(crate) sequence: Option<u64>,
    /// Earlier runs: what still comes from them is old.
    #[serde(default)]
    pub(crate) past_runs: Vec<String>,
}

impl Machine {
    pub(super) fn new(now: f64) -> Self {
        Self {
            id: String::new(),
            identity: MachineId::default(),
            address: None,
            firmware: None,
            version: None,
            life: Life::NEW,
            image: None,
            disks: Vec::new(),
            progress: Progress::default(),
            error: None,
            times: Times { first_seen: now, ..Times::default() },
            steps: StepTimes::default(),
            notes: Vec::new(),
            own_steps: Vec::new(),
            hostname: None,
            says_hostname: None,
            cards: Vec::new(),
            computer: None,
            numbers: BTreeMap::new(),
            last_heard: now,
            deployments: 0,
            held: false,
            order: None,
            calls: None,
            admitted: false,
            leave: None,
            failures: 0,
            waits_for: Vec::new(),
            wanted: Vec::new(),
            known_disks: Disks::default(),
            present_macs: Vec::new(),
            all_cards: false,
            run: String::new(),
            sequence: None,
            past_runs: Vec::new(),
        }
    }

    /// Does the run that it was last heard of in have one of these cards? Taken as yes where one side knows no cards.
    pub(super) fn runs_with_a_card_of(&self, id: &MachineId) -> bool {
        let present = &self.present_macs;
        present.is_empty() || id.macs().is_empty() || present.iter().any(|mac| id.macs().contains(mac))
    }

    /// Forgets what belongs to the run so far; `run` is the new one, empty for none yet.
    pub(super) fn begin_run(&mut self, run: &str) {
        const PAST_RUNS: usize = 8;
        let last = std::mem::replace(&mut self.run, run.to_owned());
        if !last.is_empty() && last != self.run {
            self.past_runs.push(last);
            let surplus = self.past_runs.len().saturating_sub(PAST_RUNS);
            self.past_runs.drain(..surplus);
        }
        let (first_seen, booting) = (self.times.first_seen, self.times.booting);
        self.times = Times { first_seen, booting, ..Times::default() };
        self.steps = StepTimes::default();
        self.sequence = None;
        self.image = None;
        self.disks.clear();
        self.notes.clear();
        self.own_steps.clear();
        self.waits_for.clear();
        self.wanted.clear();
        self.leave = None;
        self.progress = Progress::default();
    }

    /// Takes note of what a report of the present run says.
    pub(super) fn learn(&mut self, report: &Report, now: f64) {
        let newest = self.sequence.is_none_or(|last| report.sequence > last);
        if newest {
            self.sequence = Some(report.sequence);
        }
        self.steps.learn(&report.steps);
        let times = &mut self.times;
        // Of several reports the one that was under way for the shortest time knows best.
        let kernel = now - report.uptime_s;
        times.kernel = Some(times.kernel.map_or(kernel, |known| known.min(kernel)));
        let (time, progress) = match &report.event {
            Event::Started { .. } | Event::Inventory { .. } | Event::Console { .. } => {
                (&mut times.started, None)
            }
            Event::Asks { .. } => (&mut times.waiting, None),
            Event::Planned { .. } => (&mut times.planned, None),
            Event::FirstByte => (&mut times.first_byte, None),
            Event::Progress(p) => (&mut times.first_byte, Some(p)),
            Event::LastByte(p) => (&mut times.last_byte, Some(p)),
            Event::Verified(p) => (&mut times.verified, Some(p)),
            Event::Deployed(p) => (&mut times.deployed, Some(p)),
            Event::Step { .. } => (&mut times.verified, None),
            Event::Seeding(p) => (&mut times.seeding, Some(p)),
            Event::Proved => (&mut times.proved, None),
            Event::Done { .. } => (&mut times.done, None),
            Event::Failed { .. } => (&mut times.failed, None),
        };
        // Progress may begin before anything has arrived.
        let idle = matches!(&report.event, Event::Progress(p) if p.fetched_bytes() == 0);
        // Asked and answered at once is no wait.
        let asks = matches!(&report.event, Event::Asks { .. }) && self.life.state != State::Waiting;
        let first = time.is_none() && !idle && !asks;
        if first {
            *time = Some(now);
        }
        if let Some(progress) = progress.filter(|p| newest || p.done_bytes > self.progress.done_bytes) {
            self.progress = *progress;
        }
        match &report.event {
            Event::Started { version, firmware, .. } => {
                self.version = Some(one_line(version, MAX_TEXT));
                self.firmware = Some(one_line(firmware, MAX_TEXT));
            }
            Event::Inventory { disks, cards, computer } => {
                self.known_disks.learn(disks, self.life.state >= State::Deployed);
                if !cards.is_empty() {
                    self.cards = cards.iter().take(MAX_CARDS).copied().collect();
                }
                if let Some(computer) = computer {
                    let processor = computer.processor.as_ref().map(|name| one_line(name, MAX_TEXT));
                    self.computer = Some(Computer { processor, ..*computer });
                }
            }
            Event::Asks { image, .. } => self.image = Some(one_line(image, MAX_TEXT)),
            Event::Planned { image, disks, total_bytes, notes } => {
                self.image = Some(one_line(image, MAX_TEXT));
                self.disks = disks.iter().take(MAX_DISKS).map(|disk| one_line(disk, MAX_TEXT)).collect();
                self.progress.total_bytes = self.progress.total_bytes.max(*total_bytes);
                self.notes = notes.iter().take(MAX_NOTES).map(|note| one_line(note, MAX_NOTE)).collect();
            }
            Event::Step { step } if newest && self.own_steps.len() < MAX_NOTES => {
                self.own_steps.push(one_line(step, MAX_NOTE));
            }
            Event::Failed { step, error, next, .. } if self.life.state == State::Failed => {
                self.error = Some(Failure {
                    step: one_line(step, MAX_TEXT),
                    error: one_line(error, MAX_ERROR),
                    next: one_line(next, MAX_TEXT),
                });
                // What somebody wanted is no failure of the machine's.
                self.failures += u32::from(first && self.leave.take().is_none());
            }
            Event::Done { .. } if first => {
                self.error = None;
                // One that came during this run is for the next.
                if self.life.state != State::Again {
                    self.order = None;
                }
                self.deployments += 1;
                self.failures = 0;
            }
            _ => {}
        }
    }

    /// Has its run reported an end?
    pub(super) fn has_ended(&self) -> bool {
        self.times.done.or(self.times.failed).is_some()
    }

    /// Is it overdue? `now` and `after` are seconds.
    pub(crate) fn is_silent(&self, now: f64, after: f64) -> bool {
        self.life.state.runs() && !self.run.is_empty() && now - self.last_heard > after
    }
}
