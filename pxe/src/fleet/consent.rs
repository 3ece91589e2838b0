//! Whether a machine may overwrite what its disks hold: by its orders, by what is remembered of former deployments, and by
//! what an operator has approved. Pure.

use std::fmt;

use clap::ValueEnum;
use ezio_contract::inventory::{
    DiskId, InventoryDisk, MAX_DISKS, MAX_LINE, MAX_LINES, Mark, Overwrite, Wanted,
};
use ezio_contract::text::one_line;
use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// What becomes of a machine that was never deployed here and that nobody has approved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unknown {
    /// It is deployed, as far as its disks may be overwritten
    #[default]
    Deploy,
    /// It starts init and waits there to be approved
    Wait,
    /// It starts from its own disk until it is approved
    Local,
}

/// What becomes of a machine whose runs have failed too often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AfterAttempts {
    /// It starts init and waits there to be approved
    #[default]
    Wait,
    /// It starts from its own disk until it is approved
    Local,
}

/// What the operator has set for the whole room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) unknown: Unknown,
    /// Runs in a row that may fail.
    pub(crate) attempts: u32,
    pub(crate) after_attempts: AfterAttempts,
}

/// Runs in a row that may fail, unless said otherwise: a cable or a server that was away is mended by the second.
pub(crate) const DEFAULT_ATTEMPTS: u32 = 3;

impl Default for Rules {
    fn default() -> Self {
        let (unknown, after_attempts) = (Unknown::default(), AfterAttempts::default());
        Self { unknown, attempts: DEFAULT_ATTEMPTS, after_attempts }
    }
}

/// A disk, and what was on it; without a mark: something that is not known again, but on this very disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(flatten)]
    pub(super) disk: DiskId,
    #[serde(default)]
    pub(super) mark: Option<Mark>,
}

/// What is known of a machine's disks over all its runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Disks {
    /// All of them, as the machine saw them last.
    pub(crate) inventory: Vec<InventoryDisk>,
    /// What deployments of ours put there, or were about to.
    ours: Vec<Known>,
    /// What an operator has given up, until it is overwritten.
    approved: Vec<Known>,
}

impl Disks {
    /// The machine lists its disks; once it is deployed, those that were written, as they are now.
    pub(super) fn learn(&mut self, disks: &[InventoryDisk], deployed: bool) {
        let disks = || disks.iter().take(MAX_DISKS).map(bounded);
        if !deployed {
            self.inventory = disks().collect();
            return;
        }
        for disk in disks() {
            self.ours.retain(|known| known.disk != disk.id);
            self.approved.retain(|known| known.disk != disk.id);
        }
        for disk in disks() {
            self.ours.extend(
                disk.holds.mark.clone().map(|mark| Known { disk: disk.id.clone(), mark: Some(mark) }),
            );
            if let Some(listed) = self.inventory.iter_mut().find(|listed| listed.id == disk.id) {
                listed.holds = disk.holds;
                listed.health = disk.health.or(listed.health.take());
            }
        }
    }

    /// A run begins to write: from here on until it reports what is there, the disks hold one of these. What is there now
    /// stays known: it may be there still when the power fails.
    pub(super) fn begin(&mut self, wanted: &[Wanted], run: &str) {
        let is_there = |known: &Known| {
            wanted.iter().all(|w| known.disk != w.id || (known.mark.is_some() && known.mark == w.holds.mark))
        };
        self.ours.retain(is_there);
        for wanted in wanted.iter().take(MAX_DISKS) {
            let marks = [Some(Mark::Begun(run.to_owned())), wanted.becomes.clone()];
            for mark in marks.into_iter().flatten() {
                let known = Known { disk: wanted.id.clone(), mark: Some(mark) };
                if !self.ours.contains(&known) {
                    self.ours.push(known);
                }
            }
        }
        // Disks come and go: what was written longest ago is forgotten.
        let surplus = self.ours.len().saturating_sub(4 * MAX_DISKS);
        self.ours.drain(..surplus);
    }

    /// An operator gives up what the machine found: on the disks that it asks for, or where it asks for none, on all that
    /// it had last.
    pub(super) fn approve(&mut self, wanted: &[Wanted]) {
        let of = |disk: &DiskId, mark: &Option<Mark>| Known { disk: disk.clone(), mark: mark.clone() };
        self.approved = match wanted {
            [] => self
                .inventory
                .iter()
                .filter(|disk| !disk.holds.blank)
                .map(|d| of(&d.id, &d.holds.mark))
                .collect(),
            _ => wanted.iter().map(|wanted| of(&wanted.id, &wanted.holds.mark)).collect(),
        };
    }

    /// Nothing is given up any more.
    pub(super) fn withdraw(&mut self) {
        self.approved.clear();
    }

    /// Records that were one machine's become one.
    pub(super) fn join(&mut self, other: Self) {
        self.ours.extend(other.ours);
        if self.inventory.is_empty() {
            self.inventory = other.inventory;
        }
    }

    /// Why this may be overwritten; `None` where it needs somebody's word.
    pub(crate) fn leave(&self, wanted: &Wanted) -> Option<Leave> {
        let found = Known { disk: wanted.id.clone(), mark: wanted.holds.mark.clone() };
        let is_ours = found.mark.is_some() && self.ours.contains(&found);
        let half_written = matches!(found.mark, Some(Mark::Begun(_)));
        match wanted.overwrite {
            _ if wanted.holds.blank => Some(Leave::Blank),
            Overwrite::Any => Some(Leave::Any),
            Overwrite::Ours if is_ours => Some(Leave::Ours),
            Overwrite::Blank if is_ours && half_written => Some(Leave::Ours),
            _ => self.approved.contains(&found).then_some(Leave::Approved),
        }
    }
}

/// Why a disk may be overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    Blank,
    Any,
    Ours,
    Approved,
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "it is blank",
            Self::Any => "overwrite = \"any\"",
            Self::Ours => "it was deployed here",
            Self::Approved => "it is approved",
        })
    }
}

/// Texts come from anybody on the network.
fn bounded(disk: &InventoryDisk) -> InventoryDisk {
    let line = |text: &String| one_line(text, MAX_LINE);
    let mut disk = disk.clone();
    disk.path = line(&disk.path);
    for text in [&mut disk.id.model, &mut disk.id.serial, &mut disk.id.wwn, &mut disk.bus, &mut disk.in_use] {
        *text = text.as_ref().map(line);
    }
    disk.holds.lines = disk.holds.lines.iter().take(MAX_LINES).map(line).collect();
    if let Some(health) = &mut disk.health {
        health.failing = health.failing.iter().take(MAX_LINES).map(line).collect();
    }
    disk
}

impl Machine {
    /// Was it deployed here, or approved?
    fn is_admitted(&self) -> bool {
        self.admitted || self.life.boots_local || self.deployments > 0
    }

    /// Have its runs failed too often?
    pub(super) fn is_given_up(&self, rules: &Rules) -> bool {
        self.failures >= rules.attempts
    }

    /// Does it start from its own disk although it was not deployed?
    pub(crate) fn stays_away(&self, rules: &Rules) -> bool {
        self.held
            || (self.is_given_up(rules) && rules.after_attempts == AfterAttempts::Local)
            || (!self.is_admitted() && rules.unknown == Unknown::Local)
    }

    /// What keeps it from being deployed, whatever its disks hold.
    pub(crate) fn objections(&self, rules: &Rules) -> Vec<String> {
        let mut lines = Vec::new();
        if self.held {
            lines.push("an operator holds it".to_owned());
        }
        if !self.is_admitted() && rules.unknown != Unknown::Deploy {
            lines.push("it was never deployed here".to_owned());
        }
        if self.is_given_up(rules) {
            let error = self.error.as_ref().map(|e| format!(": {}: {}", e.step, e.error)).unwrap_or_default();
            lines.push(one_line(&format!("its last {} runs failed{error}", self.failures), MAX_LINE));
        }
        lines
    }

    /// It asks whether it may overwrite all this: what it waits for; nothing: it may.
    pub(super) fn ask(&mut self, wanted: &[Wanted], rules: &Rules) -> Vec<String> {
        let mut lines = self.objections(rules);
        let refused = wanted.iter().filter(|wanted| self.known_disks.leave(wanted).is_none());
        lines.extend(refused.take(MAX_DISKS).map(|wanted| {
            let limit = format!("overwrite = \"{}\"", wanted.overwrite);
            one_line(&format!("{}: {} ({limit})", wanted.name, wanted.holds), 4 * MAX_LINE)
        }));
        if lines.is_empty() {
            self.known_disks.begin(wanted, &self.run);
            self.admitted = true;
            self.wanted.clear();
        } else {
            self.wanted = wanted.iter().take(MAX_DISKS).cloned().collect();
        }
        self.waits_for.clone_from(&lines);
        lines
    }

    /// An operator lets it go on, and gives up what it found.
    pub(super) fn approve(&mut self) {
        (self.held, self.admitted, self.failures) = (false, true, 0);
        self.known_disks.approve(&self.wanted);
    }

    /// An operator wants nothing of it overwritten.
    pub(super) fn hold(&mut self) {
        self.held = true;
        self.calls = None;
        self.known_disks.withdraw();
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
