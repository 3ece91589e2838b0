//! All machines, and how their reports move them: pure, the time is given. Times are seconds since 1970.

use std::time::Duration;

use ezio_contract::report::{self, Directive, Leave, Report};
use ezio_contract::text::one_line;
use ezio_contract::{Mac, MachineId};
use thiserror::Error;

use super::consent::Rules;
use super::history::{Deployment, Outcome};
use super::identity;
use super::life::{Event, Life, State};
use super::machine::{MAX_TEXT, Machine};
use super::number::{self, Denied};
use super::strangers::{self, MAX_MACHINES};
use crate::boot::Boot;

/// How long a machine may take from its question what to boot into init before nobody waits for it any more, in seconds.
/// Kernel and initrd take 60 s at 4 Mbit/s, where TFTP has many to serve, and an old computer some 30 s to start them.
const BOOT_TIME_S: f64 = 120.0;

/// Firmware and boot programs ask several times on one way into init, within seconds. Who asks again after so many has
/// started anew.
const ONE_BOOT_S: f64 = 60.0;

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
    #[error("{MAX_MACHINES} machines are known and were deployed here, no more are taken: forget some")]
    Full,
}

/// What has changed and belongs into the database.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) save: Vec<Machine>,
    /// Names of records that are no more.
    pub(crate) remove: Vec<String>,
    /// Runs that have ended.
    pub(crate) ended: Vec<Deployment>,
}

impl Change {
    /// The machine as it is now, in place of how it was.
    pub(super) fn keep(&mut self, machine: &Machine) {
        self.save.retain(|saved| saved.id != machine.id);
        self.save.push(machine.clone());
    }
}

/// The machines of a room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    machines: Vec<Machine>,
    silent_after_s: f64,
    linger_s: f64,
    rules: Rules,
}

impl Room {
    pub(crate) fn new(
        machines: Vec<Machine>,
        silent_after: Duration,
        linger: Duration,
        rules: Rules,
    ) -> Self {
        Self { machines, silent_after_s: silent_after.as_secs_f64(), linger_s: linger.as_secs_f64(), rules }
    }

    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn machine_mut(&mut self, id: &str) -> Option<&mut Machine> {
        self.machines.iter_mut().find(|machine| machine.id == id)
    }

    pub(super) fn machines_mut(&mut self) -> &mut [Machine] {
        &mut self.machines
    }

    /// The name of the machine that has, or had, this run.
    pub(super) fn of_run(&self, run: &str) -> Option<String> {
        let mut machines = self.machines.iter();
        let found = machines.find(|m| m.run == run || m.past_runs.iter().any(|past| past == run));
        found.map(|machine| machine.id.clone())
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.machines.retain(|machine| machine.id != id);
    }

    pub(crate) fn is_silent(&self, machine: &Machine, now: f64) -> bool {
        machine.is_silent(now, self.silent_after_s)
    }

    /// Does init report, and act upon the answers? After a failure only where it holds.
    pub(super) fn hears(&self, machine: &Machine, now: f64) -> bool {
        let holds = || machine.error.as_ref().is_some_and(|failure| failure.next.starts_with("hold"));
        let in_init = machine.life.state.runs() || (machine.life.state == State::Failed && holds());
        in_init && !machine.run.is_empty() && now - machine.last_heard <= self.silent_after_s
    }

    /// Where the machine with this card boots from; one that was never seen has to come as far as its script.
    pub(crate) fn boot_of(&self, mac: Mac) -> Boot {
        let known = identity::find(&self.machines, &MachineId::of_card(mac), |_| false);
        let local = known.map(|at| &self.machines[at]);
        let local = local.is_some_and(|m| m.life.boots_local || m.stays_away(&self.rules));
        if local { Boot::Local } else { Boot::Deploy }
    }

    /// A machine asks for something to boot.
    pub(crate) fn boots(
        &mut self,
        id: &MachineId,
        address: &str,
        now: f64,
    ) -> Result<(Boot, Change), Refusal> {
        let (at, mut change) = self.record(id, address, now)?;
        let machine = &mut self.machines[at];
        let lost = machine.lost();
        machine.last_heard = now;
        machine.address = Some(one_line(address, MAX_TEXT));
        if machine.calls.take().is_some() {
            change.keep(machine);
        }
        let before = machine.life;
        machine.life = before.after(Event::AsksToBoot);
        if machine.life.boots_local {
            return Ok((Boot::Local, change));
        }
        if machine.stays_away(&self.rules) {
            change.ended.extend(lost);
            machine.begin_run("");
            machine.waits_for = machine.objections(&self.rules);
            if before.state != State::Failed {
                machine.life = Life { state: State::Waiting, ..before };
            }
            change.keep(machine);
            return Ok((Boot::Local, change));
        }
        machine.present_macs = id.macs().to_vec();
        // Firmware asks several times on its way; what counts is when it began.
        let anew = machine.times.booting.is_none_or(|asked| now - asked > ONE_BOOT_S);
        if before.state == State::Booting && machine.times.booting.is_some() && anew {
            machine.all_cards = true;
        }
        if before != machine.life || anew {
            change.ended.extend(lost);
            machine.begin_run("");
            machine.times.booting = Some(now);
            change.keep(machine);
        }
        let boot = if machine.all_cards { Boot::DeployWithAllCards } else { Boot::Deploy };
        Ok((boot, change))
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
        let (at, mut change) = self.record(&report.machine, address, now)?;
        let machine = &mut self.machines[at];
        if machine.past_runs.contains(&report.run) {
            // Who holds after a failure hears that it is to be deployed.
            let waits =
                machine.life.state == State::Again && matches!(report.event, report::Event::Failed { .. });
            let leave = waits.then_some(Leave::Restart);
            return Ok((Directive { leave, ..Directive::default() }, change));
        }
        let lost = machine.lost();
        machine.last_heard = now;
        machine.present_macs = report.machine.macs().to_vec();
        machine.address = Some(one_line(address, MAX_TEXT));
        let before = (machine.life, machine.run.clone());
        let state = State::of(&report.event);
        if machine.run != report.run && machine.life.boots_local && state == State::Started {
            // Started all the same, from a stick or by another boot server: it is told, and no run begins.
            return Ok((Directive { done: true, ..Directive::default() }, change));
        }
        if machine.run == report.run {
            machine.life = machine.life.after(Event::Reports(state));
        } else {
            change.ended.extend(lost);
            machine.begin_run(&report.run);
            if !machine.is_given_up(&self.rules) {
                machine.error = None;
            }
            machine.life = machine.life.after(Event::Begins(state));
        }
        let (mut go, mut new_wait, mut waits_for) = (false, false, Vec::new());
        if let report::Event::Asks { wanted, .. } = &report.event {
            let last = machine.waits_for.clone();
            waits_for = machine.ask(wanted, &self.rules);
            new_wait = waits_for != last;
            go = waits_for.is_empty();
            if !go {
                machine.life = machine.life.after(Event::Reports(State::Waiting));
            }
        }
        let had_ended = machine.has_ended();
        machine.learn(report, now);
        if !had_ended && machine.has_ended() {
            let done = machine.times.done.is_some();
            change.ended.push(machine.deployment(if done { Outcome::Done } else { Outcome::Failed }, now));
        }
        if machine.life.state == State::Again {
            machine.begin_run("");
        }
        let called = machine.calls.take().is_some();
        let keeps = called || go || new_wait || matches!(report.event, report::Event::Inventory { .. });
        if keeps || before != (machine.life, machine.run.clone()) {
            change.keep(machine);
        }
        let (release, leave) = (self.released(at, now), self.machines[at].leave);
        Ok((Directive { release, go, waits_for, leave, ..Directive::default() }, change))
    }

    /// The number of a machine whose run is under way, for what is called `purpose`. It is the same whenever it asks,
    /// and no other machine has it.
    pub(crate) fn number(
        &mut self,
        id: &MachineId,
        run: &str,
        address: &str,
        purpose: Option<&str>,
    ) -> Result<(Option<u32>, Change), Denied> {
        let known = identity::find(&self.machines, id, |_| false);
        let at = known.filter(|at| number::may_know(&self.machines[*at], run, address)).ok_or(Denied)?;
        let Some(purpose) = purpose else { return Ok((None, Change::default())) };
        let number = number::of(&self.machines, at, purpose);
        let machine = &mut self.machines[at];
        let known = machine.numbers.insert(purpose.to_owned(), number);
        let save = if known.is_some() { Vec::new() } else { vec![machine.clone()] };
        Ok((Some(number), Change { save, ..Change::default() }))
    }

    /// May this machine stop serving? When nobody lacks its image any more, and nobody has for a while.
    fn released(&self, at: usize, now: f64) -> bool {
        let machine = &self.machines[at];
        // One that waits lacks all, though nobody need wait for it.
        if machine.life.state.lacks_data() || machine.life.state == State::Waiting {
            return false;
        }
        let needed = self.machines.iter().any(|other| self.may_need(other, &machine.image, now));
        let of_image = self.machines.iter().filter(|other| other.image == machine.image);
        let last_need = of_image.filter_map(|m| m.times.last_byte.or(m.times.failed)).fold(0.0, f64::max);
        !needed && now - last_need >= self.linger_s
    }

    fn may_need(&self, machine: &Machine, image: &Option<String>, now: f64) -> bool {
        let concerned = machine.image.is_none() || machine.image == *image;
        let state = machine.life.state;
        self.is_under_way(machine, now) && (state == State::Booting || state.lacks_data() && concerned)
    }

    /// Is the machine in init now, or on its way there?
    fn is_under_way(&self, machine: &Machine, now: f64) -> bool {
        match machine.life.state {
            State::Booting => machine.times.booting.is_some_and(|since| now - since < BOOT_TIME_S),
            state => state.runs() && !self.is_silent(machine, now),
        }
    }

    /// The record of `id`, made if need be; records that turn out to be one machine are joined.
    fn record(&mut self, id: &MachineId, address: &str, now: f64) -> Result<(usize, Change), Refusal> {
        if id.is_nobody() {
            return Err(Refusal::Nobody);
        }
        let mut change = Change::default();
        let at = match identity::find(&self.machines, id, |m| self.is_under_way(m, now)) {
            Some(at) => at,
            None => {
                let replaced = strangers::to_replace(&self.machines, address).map_err(|()| Refusal::Full)?;
                change.remove.extend(replaced.map(|at| self.machines.swap_remove(at).id));
                self.machines.push(Machine::new(now));
                self.machines.len() - 1
            }
        };
        let mut machine = self.machines.swap_remove(at);
        machine.identity.learn(id);
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

    /// The machine has these cards now. A record that knew nothing but such cards was this machine; one that is
    /// another machine has lost them.
    fn claim_macs(&mut self, machine: &mut Machine, id: &MachineId, change: &mut Change) {
        let mut others = Vec::new();
        for mut other in std::mem::take(&mut self.machines) {
            if !other.identity.shares_a_card(id) {
                others.push(other);
                continue;
            }
            other.identity.lose_cards_to(id);
            if identity::is_rest_of(&other.identity, &machine.identity) {
                let mut identity = other.identity;
                identity.learn(&machine.identity);
                machine.identity = identity;
                machine.times.first_seen = machine.times.first_seen.min(other.times.first_seen);
                machine.times.booting = machine.times.booting.or(other.times.booting);
                machine.life.boots_local |= other.life.boots_local;
                machine.numbers.extend(other.numbers);
                machine.known_disks.join(other.known_disks);
                machine.held |= other.held;
                machine.admitted |= other.admitted;
                machine.order = machine.order.take().or(other.order);
                change.remove.push(other.id);
            } else {
                change.save.push(other.clone());
                others.push(other);
            }
        }
        self.machines = others;
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
pub(super) mod tests;
