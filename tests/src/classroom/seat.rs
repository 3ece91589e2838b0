//! One machine of the room: how far it is, and when it got there.

use super::timeline::Timeline;
use crate::vm::fleet::{Member, Progress};
use crate::vm::machine::Machine;
use std::time::Instant;

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Firmware, before anything came over the network.
    Firmware,
    /// Network boot programs.
    NetworkBoot,
    /// The kernel from the network.
    Kernel,
    /// Init talks to the server.
    Init,
    /// The image arrives.
    Receiving,
    /// All is on the disk, verified.
    Verified,
    /// Table and boot code are on the disk; it may still serve others.
    Deployed,
    /// Done, and on its way to its own disk.
    Restarting,
    /// The deployed system runs.
    Running,
}

impl Stage {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::NetworkBoot => "network boot",
            Self::Kernel => "kernel",
            Self::Init => "init",
            Self::Receiving => "receiving",
            Self::Verified => "verified",
            Self::Deployed => "deployed, serves others",
            Self::Restarting => "restarting",
            Self::Running => "RUNNING",
        }
    }
}

/// A machine and what is known of it.
#[derive(Debug)]
pub struct Seat {
    /// The machine.
    pub machine: Machine,
    /// How far it is.
    pub stage: Stage,
    /// When it got where.
    pub timeline: Timeline,
    /// Bytes.
    pub progress: Progress,
    /// What the deployed system said of itself.
    pub marker: Option<String>,
    /// Why there is no hope for it.
    pub failure: Option<String>,
}

impl Seat {
    /// A machine that was switched on just now.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            stage: Stage::Firmware,
            timeline: Timeline::begin(),
            progress: Progress::default(),
            marker: None,
            failure: None,
        }
    }

    /// Takes note of a line on its serial port; `marker` is what the deployed system says when it is up.
    pub fn hear(&mut self, line: &str, at: Instant, marker: &str) {
        if self.stage >= Stage::Deployed && line.contains(marker) {
            self.advance(Stage::Running);
            self.timeline.runs(at);
            self.marker.get_or_insert_with(|| line.to_owned());
        } else if line.contains("Linux version ") {
            self.advance(Stage::Kernel);
        } else if ["iPXE", ">>Start PXE", ">>Start HTTP", "NBP file", "Welcome to GRUB"]
            .iter()
            .any(|sign| line.contains(sign))
        {
            self.advance(Stage::NetworkBoot);
        } else if line.contains("Kernel panic") {
            self.failure.get_or_insert_with(|| line.to_owned());
        }
    }

    /// Its power went off.
    pub fn lost_power(&mut self) {
        self.failure.get_or_insert_with(|| "the machine went off".to_owned());
    }

    /// Takes note of what the server knows of it.
    pub fn update(&mut self, member: &Member) {
        self.timeline.update(member);
        self.progress = member.progress;
        let reached = [
            (member.times.started.is_some(), Stage::Init),
            (member.times.first_byte.is_some(), Stage::Receiving),
            (member.times.verified.is_some(), Stage::Verified),
            (member.times.deployed.is_some(), Stage::Deployed),
            (member.state == "done", Stage::Restarting),
        ];
        for (_, stage) in reached.into_iter().filter(|(reached, _)| *reached) {
            self.advance(stage);
        }
        if member.state == "failed" {
            let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
            let error = format!("{}: {}", said(&member.failed_step), said(&member.error));
            self.failure.get_or_insert(error);
        }
    }

    fn advance(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }
}
