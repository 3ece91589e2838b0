//! What is known of one machine.

use ezio_image::report::{MachineId, Progress};
use serde::{Deserialize, Serialize};

/// Where a machine is on its way. The order is the order of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// An operator wants it deployed again; it has not booted since.
    Again,
    /// It asked for something to boot, and was given init.
    Booting,
    /// Init runs.
    Started,
    /// It knows what to do.
    Planned,
    /// Data arrives.
    Working,
    /// All data has arrived; not all of it is verified and synced.
    Received,
    /// All data is verified and synced; table and boot code are being written.
    Verified,
    /// The disk is complete.
    Deployed,
    /// It serves others.
    Seeding,
    /// The run has ended well: it boots from its own disk.
    Done,
    /// The run has failed.
    Failed,
}

impl State {
    /// Does init run, so that it should be heard of every second or so?
    pub(crate) fn reports(self) -> bool {
        (Self::Started..=Self::Seeding).contains(&self)
    }

    /// May it still need data from others?
    pub(crate) fn needs_data(self) -> bool {
        (Self::Started..Self::Verified).contains(&self)
    }
}

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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Times {
    pub(crate) first_seen: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) booting: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started: Option<f64>,
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
    pub(crate) state: State,
    /// Boots from its own disk.
    #[serde(default)]
    pub(crate) boots_local: bool,
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
    /// When it was last heard of, in seconds since 1970.
    #[serde(default)]
    pub(crate) last_heard: f64,
    /// Good runs so far.
    #[serde(default)]
    pub(crate) deployments: u64,
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
            state: State::Booting,
            boots_local: false,
            image: None,
            disks: Vec::new(),
            progress: Progress::default(),
            error: None,
            times: Times { first_seen: now, ..Times::default() },
            last_heard: now,
            deployments: 0,
            run: String::new(),
            sequence: None,
            past_runs: Vec::new(),
        }
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
        self.sequence = None;
        self.image = None;
        self.disks.clear();
        self.progress = Progress::default();
    }

    /// Is it overdue? `now` and `after` are seconds.
    pub(crate) fn is_silent(&self, now: f64, after: f64) -> bool {
        self.state.reports() && now - self.last_heard > after
    }
}
