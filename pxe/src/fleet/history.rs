//! What became of runs: one record for each that has ended, or that was left behind. The oldest go first.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::life::State;
use super::machine::Machine;
use super::tally::Tally;

/// Deployments that are kept: a room of forty each night for two thirds of a year, in some 4 MiB.
const MAX_DEPLOYMENTS: usize = 10_000;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Well.
    Done,
    /// It said that it failed.
    Failed,
    /// It was never heard of again: the machine has started anew, or was forgotten.
    Lost,
}

impl Outcome {
    pub(super) const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Lost];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// One run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Deployment {
    /// Counts all that there were on this server, from 1.
    pub(crate) number: u64,
    /// The machine's id at that time.
    pub(crate) machine: String,
    /// Random name of the run.
    pub(crate) run: String,
    pub(crate) image: Option<String>,
    pub(crate) disks: Vec<String>,
    /// Seconds since 1970.
    pub(crate) started: f64,
    /// Seconds since 1970.
    pub(crate) ended: f64,
    pub(crate) outcome: Outcome,
    /// Verified bytes, whoever they came from.
    pub(crate) done_bytes: u64,
    pub(crate) from_server_bytes: u64,
    pub(crate) from_peers_bytes: u64,
    /// All was read from the disks once more.
    pub(crate) proved: bool,
    /// Step that failed.
    pub(crate) failed_step: Option<String>,
    /// Cause chain of the failure.
    pub(crate) error: Option<String>,
}

impl Machine {
    /// The run that it was last heard of in, as it ends now. The number comes later.
    pub(super) fn deployment(&self, outcome: Outcome, now: f64) -> Deployment {
        let failure = self.error.as_ref().filter(|_| outcome == Outcome::Failed);
        Deployment {
            number: 0,
            machine: self.id.clone(),
            run: self.run.clone(),
            image: self.image.clone(),
            disks: self.disks.clone(),
            started: self.times.started.or(self.times.planned).unwrap_or(now),
            ended: now,
            outcome,
            done_bytes: self.progress.done_bytes,
            from_server_bytes: self.progress.from_server_bytes,
            from_peers_bytes: self.progress.from_peers_bytes,
            proved: self.times.proved.is_some(),
            failed_step: failure.map(|failure| failure.step.clone()),
            error: failure.map(|failure| failure.error.clone()),
        }
    }

    /// A run that is under way, and of which nothing will be heard any more: it ended when the machine was last heard of.
    pub(super) fn lost(&self) -> Option<Deployment> {
        let under_way = (State::Planned..=State::Seeding).contains(&self.life.state) && !self.run.is_empty();
        under_way.then(|| self.deployment(Outcome::Lost, self.last_heard))
    }
}

/// The last deployments, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    deployments: VecDeque<Deployment>,
    /// Of the last one.
    number: u64,
    /// Those that are being written to the database.
    unkept: BTreeSet<u64>,
    tally: Tally,
}

impl History {
    pub(super) fn new(mut deployments: Vec<Deployment>) -> Self {
        deployments.sort_by_key(|deployment| deployment.number);
        let number = deployments.last().map_or(0, |last| last.number);
        Self { deployments: deployments.into(), number, ..Self::default() }
    }

    /// Gives each its number; answers with the numbers of those that go for it. [`History::kept`] is to follow.
    pub(super) fn add(&mut self, added: &mut [Deployment]) -> Vec<u64> {
        for deployment in added {
            self.number += 1;
            deployment.number = self.number;
            self.unkept.insert(self.number);
            self.tally.count(deployment);
            self.deployments.push_back(deployment.clone());
        }
        let surplus = self.deployments.len().saturating_sub(MAX_DEPLOYMENTS);
        self.deployments.drain(..surplus).map(|deployment| deployment.number).collect()
    }

    /// These will outlive this process, or the database did not take them.
    pub(super) fn kept(&mut self, deployments: &[Deployment]) {
        for deployment in deployments {
            self.unkept.remove(&deployment.number);
        }
    }

    /// The first behind this number that will outlive this process. None is passed over that is still being written: whoever goes on
    /// from number to number sees all.
    pub(super) fn after(&self, number: u64) -> Option<&Deployment> {
        let next = self.deployments.get(self.deployments.partition_point(|d| d.number <= number))?;
        self.unkept.first().is_none_or(|unkept| next.number < *unkept).then_some(next)
    }

    /// How many there are behind this number.
    pub(super) fn count_after(&self, number: u64) -> usize {
        self.deployments.len() - self.deployments.partition_point(|d| d.number <= number)
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        self.number
    }

    /// Of those that were added.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.iter().rev()
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
