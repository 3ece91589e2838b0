//! All machines, and how their reports move them: pure, the time is given. Times are seconds since 1970.

use std::time::Duration;

use ezio_image::report::{Directive, Event, MachineId, Progress, Report};
use thiserror::Error;

use super::identity::{self, MAX_TEXT, clean};
use super::machine::{Failure, Machine, State};
use crate::boot::Boot;

/// Machines that are kept. Reports come from anyone on the network, so that there must be an end.
const MAX_MACHINES: usize = 4096;
/// Longest error text that is kept, in bytes.
const MAX_ERROR: usize = 4096;
const MAX_DISKS: usize = 32;
/// How long a machine may take from its firmware into init before nobody waits for it any more, in seconds.
const BOOT_TIME_S: f64 = 180.0;

/// Why a machine's word is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// The report says nothing about who sent it.
    #[error("the report names no machine: it needs a UUID, a serial number or a MAC address")]
    Nobody,
    /// The report's run has no name, or one that is too long.
    #[error("the report's run is empty or longer than {MAX_TEXT} bytes")]
    Run,
    /// There are too many machines already.
    #[error("{MAX_MACHINES} machines are known, no more are taken")]
    Full,
}

/// What has changed and belongs into the database.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) save: Vec<Machine>,
    /// Names of records that are no more.
    pub(crate) remove: Vec<String>,
}

/// The machines of a room.
#[derive(Debug)]
pub(crate) struct Room {
    machines: Vec<Machine>,
    silent_after_s: f64,
    linger_s: f64,
}

impl Room {
    pub(crate) fn new(machines: Vec<Machine>, silent_after: Duration, linger: Duration) -> Self {
        Self { machines, silent_after_s: silent_after.as_secs_f64(), linger_s: linger.as_secs_f64() }
    }

    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    pub(crate) fn is_silent(&self, machine: &Machine, now: f64) -> bool {
        machine.is_silent(now, self.silent_after_s)
    }

    /// Where the machine of this MAC boots from; an unknown one is deployed.
    pub(crate) fn boot_of(&self, id: &MachineId) -> Boot {
        let id = identity::normal(id);
        let local = identity::find(&self.machines, &id).is_some_and(|at| self.machines[at].boots_local);
        if local { Boot::Local } else { Boot::Deploy }
    }

    /// A machine asks for something to boot.
    pub(crate) fn boots(
        &mut self,
        id: &MachineId,
        address: &str,
        now: f64,
    ) -> Result<(Boot, Change), Refusal> {
        let (at, mut change) = self.record(&identity::normal(id), now)?;
        let machine = &mut self.machines[at];
        machine.last_heard = now;
        machine.address = Some(clean(address, MAX_TEXT));
        if machine.boots_local {
            return Ok((Boot::Local, change));
        }
        // Firmware asks several times on its way; what counts is when it began.
        if machine.state != State::Booting || machine.times.booting.is_none() {
            machine.begin_run("");
            machine.times.booting = Some(now);
            machine.state = State::Booting;
            change.save.push(machine.clone());
        }
        Ok((Boot::Deploy, change))
    }

    /// A machine reports. The same report twice changes nothing, and an old one does not turn the clock back.
    pub(crate) fn report(
        &mut self,
        report: &Report,
        address: &str,
        now: f64,
    ) -> Result<(Directive, Change), Refusal> {
        if report.run.is_empty() || report.run.len() > MAX_TEXT {
            return Err(Refusal::Run);
        }
        let (at, mut change) = self.record(&identity::normal(&report.machine), now)?;
        let machine = &mut self.machines[at];
        if machine.past_runs.contains(&report.run) {
            return Ok((Directive::default(), change));
        }
        machine.last_heard = now;
        machine.address = Some(clean(address, MAX_TEXT));
        let before = (machine.state, machine.run.clone());
        if machine.run != report.run {
            machine.begin_run(&report.run);
            machine.state = State::Booting;
        }
        apply(machine, report, now);
        if before != (machine.state, machine.run.clone()) {
            change.save.retain(|saved| saved.id != machine.id);
            change.save.push(machine.clone());
        }
        Ok((Directive { release: self.released(at, now) }, change))
    }

    /// Has machines deployed again at their next boot; `all` means all that are done. How many were meant.
    pub(crate) fn again(&mut self, name: &str) -> (usize, Change) {
        let all = name == "all";
        let mut change = Change::default();
        let mut meant = 0;
        for machine in &mut self.machines {
            if !(all && machine.boots_local || !all && identity::answers_to(machine, name)) {
                continue;
            }
            meant += 1;
            machine.boots_local = false;
            if matches!(machine.state, State::Done | State::Failed) {
                machine.begin_run("");
                machine.state = State::Again;
                machine.error = None;
            }
            change.save.push(machine.clone());
        }
        (meant, change)
    }

    /// May this machine stop serving? When nobody works on its image any more, and nobody has for a while.
    fn released(&self, at: usize, now: f64) -> bool {
        let machine = &self.machines[at];
        if machine.state < State::Verified {
            return false;
        }
        let needed = self.machines.iter().any(|other| self.may_need(other, &machine.image, now));
        let of_image = self.machines.iter().filter(|other| other.image == machine.image);
        let last_need = of_image.filter_map(|m| m.times.verified.or(m.times.failed)).fold(0.0, f64::max);
        !needed && now - last_need >= self.linger_s
    }

    fn may_need(&self, machine: &Machine, image: &Option<String>, now: f64) -> bool {
        match machine.state {
            State::Booting => machine.times.booting.is_some_and(|since| now - since < BOOT_TIME_S),
            state if state.needs_data() => {
                let concerned = machine.image.is_none() || machine.image == *image;
                concerned && !machine.is_silent(now, self.silent_after_s)
            }
            _ => false,
        }
    }

    /// The record of `id`, made if need be; records that turn out to be one machine are joined.
    fn record(&mut self, id: &MachineId, now: f64) -> Result<(usize, Change), Refusal> {
        if id.uuid.is_none() && id.serial.is_none() && id.macs.is_empty() {
            return Err(Refusal::Nobody);
        }
        let mut change = Change::default();
        let at = match identity::find(&self.machines, id) {
            Some(at) => at,
            None if self.machines.len() < MAX_MACHINES => {
                self.machines.push(Machine::new(now));
                self.machines.len() - 1
            }
            None => return Err(Refusal::Full),
        };
        let mut machine = self.machines.swap_remove(at);
        identity::learn(&mut machine, id);
        self.claim_macs(&mut machine, id, &mut change);
        let name = identity::name(&machine.identity, |name| self.machines.iter().any(|m| m.id == name));
        if machine.id != name {
            if !machine.id.is_empty() {
                change.remove.push(std::mem::take(&mut machine.id));
            }
            machine.id = name;
            change.save.push(machine.clone());
        }
        self.machines.push(machine);
        Ok((self.machines.len() - 1, change))
    }

    /// The machine has these cards now. A record that knew nothing but such a card was this machine; one that is
    /// another machine has lost it.
    fn claim_macs(&mut self, machine: &mut Machine, id: &MachineId, change: &mut Change) {
        let mut others = Vec::new();
        for mut other in std::mem::take(&mut self.machines) {
            if !identity::shares_mac(&other, id) {
                others.push(other);
            } else if other.identity.uuid.is_none() && other.identity.serial.is_none() {
                machine.times.first_seen = machine.times.first_seen.min(other.times.first_seen);
                machine.times.booting = machine.times.booting.or(other.times.booting);
                machine.boots_local |= other.boots_local;
                change.remove.push(other.id);
            } else {
                other.identity.macs.retain(|mac| !id.macs.contains(mac));
                change.save.push(other.clone());
                others.push(other);
            }
        }
        self.machines = others;
    }
}

/// Moves a machine by a report of its present run.
fn apply(machine: &mut Machine, report: &Report, now: f64) {
    let newest = machine.sequence.is_none_or(|last| report.sequence > last);
    if newest {
        machine.sequence = Some(report.sequence);
    }
    let times = &mut machine.times;
    let (state, time, progress) = match &report.event {
        Event::Started { .. } => (State::Started, &mut times.started, None),
        Event::Planned { .. } => (State::Planned, &mut times.planned, None),
        Event::FirstByte => (State::Working, &mut times.first_byte, None),
        Event::Progress(p) => (State::Working, &mut times.first_byte, Some(p)),
        Event::LastByte(p) => (State::Received, &mut times.last_byte, Some(p)),
        Event::Verified(p) => (State::Verified, &mut times.verified, Some(p)),
        Event::Deployed(p) => (State::Deployed, &mut times.deployed, Some(p)),
        Event::Seeding(p) => (State::Seeding, &mut times.seeding, Some(p)),
        Event::Done { .. } => (State::Done, &mut times.done, None),
        Event::Failed { .. } => (State::Failed, &mut times.failed, None),
    };
    // Progress may begin before anything has arrived.
    let idle = matches!(&report.event, Event::Progress(p) if p.done_bytes == 0);
    if time.is_none() && !idle {
        *time = Some(now);
    }
    let further = |p: &&Progress| newest || p.done_bytes > machine.progress.done_bytes;
    let progress = progress.filter(further);
    learn_event(machine, &report.event, progress);
    if state > machine.state {
        if state == State::Done {
            machine.boots_local = true;
            machine.deployments += 1;
        }
        machine.state = state;
    }
}

fn learn_event(machine: &mut Machine, event: &Event, progress: Option<&Progress>) {
    match event {
        Event::Started { version, firmware, .. } => {
            machine.version = Some(clean(version, MAX_TEXT));
            machine.firmware = Some(clean(firmware, MAX_TEXT));
            if machine.state < State::Started {
                machine.error = None;
            }
        }
        Event::Planned { image, disks, total_bytes } => {
            machine.image = Some(clean(image, MAX_TEXT));
            machine.disks = disks.iter().take(MAX_DISKS).map(|disk| clean(disk, MAX_TEXT)).collect();
            machine.progress.total_bytes = machine.progress.total_bytes.max(*total_bytes);
        }
        Event::Failed { step, error, next } => {
            machine.error = Some(Failure {
                step: clean(step, MAX_TEXT),
                error: clean(error, MAX_ERROR),
                next: clean(next, MAX_TEXT),
            });
        }
        _ => {}
    }
    if let Some(progress) = progress {
        machine.progress = *progress;
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
