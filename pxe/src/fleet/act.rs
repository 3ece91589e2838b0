//! What an operator does to machines: has them deployed again, approves what they would overwrite, holds them, ends
//! their runs, forgets them.

use ezio_contract::report::Leave;
use ezio_image::conf::Conf;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::identity;
use super::life::{Event, Life, State};
use super::machine::Machine;
use super::room::{Change, Room};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Again,
    Approve,
    Hold,
    Restart,
    PowerOff,
    Forget,
}

/// Which machines are meant: `"all"`, or a list of names (id, MAC, UUID or serial number).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Meant {
    /// `"all"` alone.
    All(All),
    Named(Vec<String>),
    Group(Group),
}

/// The known machines of a group of ezio.conf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) group: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum All {
    All,
}

impl Meant {
    /// The same with names in place of a group that ezio.conf knows.
    pub(crate) fn by(self, conf: &Conf, machines: &[Machine]) -> Self {
        let Self::Group(Group { group }) = &self else { return self };
        let is_in = |machine: &&Machine| conf.is_in_group(&machine.identity, group) == Some(true);
        let members: Vec<String> = machines.iter().filter(is_in).map(|machine| machine.id.clone()).collect();
        if members.is_empty() { self } else { Self::Named(members) }
    }

    /// As a person writes it.
    pub(crate) fn of(names: Vec<String>) -> Self {
        match names.iter().any(|name| name == "all") {
            true => Self::All(All::All),
            false => Self::Named(names),
        }
    }
}

/// What became of them: the answer to `POST /api/again`, `approve`, `hold`, `restart`,
/// `poweroff` and `forget`.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Acted {
    pub(crate) machines: Vec<ActedOn>,
    /// Names that are no machine's.
    pub(crate) unknown: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ActedOn {
    pub(crate) id: String,
    /// Was it done?
    pub(crate) done: bool,
    /// What happens now, or why it was not done.
    pub(crate) what: String,
}

impl Room {
    /// Does it; a name of the fleet's own is one machine's, even where that is a UUID which others have too.
    pub(crate) fn act(&mut self, act: Act, meant: &Meant, now: f64) -> (Acted, Change) {
        let mut change = Change::default();
        let (ids, unknown) = self.meant(meant, |machine| is_of_all(act, machine));
        let mut acted = Acted { machines: Vec::new(), unknown };
        for id in ids {
            let (done, what) = self.act_on(act, &id, now, &mut change);
            acted.machines.push(ActedOn { id, done, what: what.to_owned() });
        }
        (acted, change)
    }

    /// The ids of all that are meant, and names that are nobody's. `all` says who is one of them all.
    pub(super) fn meant(&self, meant: &Meant, all: impl Fn(&Machine) -> bool) -> (Vec<String>, Vec<String>) {
        let names = match meant {
            Meant::All(_) => {
                let all = self.machines().iter().filter(|machine| all(machine));
                return (all.map(|machine| machine.id.clone()).collect(), Vec::new());
            }
            Meant::Named(names) => names,
            // Whoever knows ezio.conf has put its members in its place, if it has any.
            Meant::Group(Group { group }) => return (Vec::new(), vec![group.clone()]),
        };
        let (mut ids, mut unknown): (Vec<String>, _) = (Vec::new(), Vec::new());
        for name in names {
            let found = self.named(name);
            if found.is_empty() {
                unknown.push(name.clone());
            }
            ids.extend(found.into_iter().filter(|id| !ids.contains(id)).collect::<Vec<_>>());
        }
        (ids, unknown)
    }

    fn named(&self, name: &str) -> Vec<String> {
        let exact = self.machines().iter().any(|machine| machine.id == name);
        let is_meant = |machine: &&Machine| match exact {
            true => machine.id == name,
            false => identity::answers_to(machine, name),
        };
        self.machines().iter().filter(is_meant).map(|machine| machine.id.clone()).collect()
    }

    fn act_on(&mut self, act: Act, id: &str, now: f64, change: &mut Change) -> (bool, &'static str) {
        let carry_out = match act {
            Act::Again => Machine::again,
            Act::Approve => Machine::approved,
            Act::Hold => Machine::kept_away,
            Act::Restart => return self.left(id, Leave::Restart, now, change),
            Act::PowerOff => return self.left(id, Leave::PowerOff, now, change),
            Act::Forget => return self.forgotten(id, now, change),
        };
        let Some(machine) = self.machine_mut(id) else { return (false, "there is no such machine") };
        let what = carry_out(machine);
        change.save.push(machine.clone());
        (true, what)
    }

    /// Its run ends with its next report.
    fn left(&mut self, id: &str, leave: Leave, now: f64, change: &mut Change) -> (bool, &'static str) {
        if !self.machines().iter().any(|m| m.id == id && self.hears(m, now)) {
            return (false, "it is not in init: nobody is there to hear that");
        }
        let Some(machine) = self.machine_mut(id) else { return (false, "there is no such machine") };
        machine.leave = Some(leave);
        change.save.push(machine.clone());
        match leave {
            Leave::Restart => (true, "leaves all as it is, and restarts"),
            Leave::PowerOff => (true, "leaves all as it is, and is switched off"),
        }
    }

    fn forgotten(&mut self, id: &str, now: f64, change: &mut Change) -> (bool, &'static str) {
        if self.machines().iter().any(|m| m.id == id && m.is_being_written() && !self.is_silent(m, now)) {
            return (false, "it is being deployed: it is not forgotten");
        }
        self.forget(id);
        change.remove.push(id.to_owned());
        (true, "is forgotten, and its disks with it")
    }
}

/// What a machine is that is not up when an operator wants it deployed.
const TO_BE_DEPLOYED: Life = Life { state: State::Again, boots_local: false, again: false };

/// Whom "all" means: those that are done, those that wait, those in init, or everybody.
fn is_of_all(act: Act, machine: &Machine) -> bool {
    match act {
        Act::Again => machine.life.boots_local && !machine.held,
        Act::Approve => machine.life.state == State::Waiting && !machine.held,
        Act::Restart | Act::PowerOff => !machine.run.is_empty(),
        Act::Hold | Act::Forget => true,
    }
}

impl Machine {
    fn is_up(&self) -> bool {
        self.life.state.runs() && !self.run.is_empty()
    }

    pub(super) fn is_being_written(&self) -> bool {
        self.is_up() && self.life.state > State::Waiting
    }

    pub(super) fn again(&mut self) -> &'static str {
        (self.held, self.admitted, self.failures) = (false, true, 0);
        self.life = match self.is_up() {
            true => self.life.after(Event::Again),
            false => TO_BE_DEPLOYED,
        };
        if self.life.state == State::Again {
            self.begin_run("");
            self.error = None;
        }
        "will be deployed at its next network boot"
    }

    fn approved(&mut self) -> &'static str {
        let gives_up =
            !self.wanted.is_empty() || self.known_disks.inventory.iter().any(|disk| !disk.holds.blank);
        self.approve();
        match (self.life.state, self.is_up()) {
            (State::Waiting, true) => return "goes on",
            (State::Waiting | State::Failed, _) => {
                self.life = TO_BE_DEPLOYED;
                self.begin_run("");
            }
            _ => {}
        }
        match gives_up {
            true => "may overwrite what its disks held when they were last seen",
            false => "is approved; what its disks hold has not been seen, so it will ask if that is anything",
        }
    }

    fn kept_away(&mut self) -> &'static str {
        self.hold();
        match self.is_being_written() {
            true => "is held once this run has ended",
            false => "is held: nothing of it is overwritten, and it starts from its own disk",
        }
    }
}
