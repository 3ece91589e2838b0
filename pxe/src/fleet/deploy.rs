//! Orders to deploy: given to machines, and taken back.

use ezio_image::conf::{ImageRef, Over};

use super::act::{Acted, ActedOn, Meant};
use super::life::{Life, State};
use super::machine::Machine;
use super::order::Order;
use super::room::{Change, Room};

impl Machine {
    /// What it gets instead of what ezio.conf says.
    pub(crate) fn over(&self) -> Option<Over> {
        let order = self.order.as_ref()?;
        let image = order.image.clone().map(ImageRef::Name);
        let by = order.source.clone();
        Some(Over { machine: self.identity.clone(), image, end: order.then, by })
    }

    fn take_back(&mut self) -> (bool, &'static str) {
        let has_order = self.order.take().is_some();
        self.calls = None;
        match (self.life.state, self.deployments) {
            (State::Again, 1..) => {
                self.life = Life { state: State::Done, boots_local: true, again: false };
                (true, "is not deployed: it starts from its own disk")
            }
            _ if !has_order => (false, "nothing was ordered for it"),
            (State::Again, _) => (true, "is deployed as ezio.conf says, if it is not held"),
            (state, _) if state.runs() => {
                (true, "has begun already: only what would come after that is taken back")
            }
            _ => (true, "its order is taken back"),
        }
    }
}

impl Room {
    /// Has machines deployed by this order. `approve` gives up what their disks held when they were last seen.
    pub(crate) fn deploy(
        &mut self,
        meant: &Meant,
        order: &Order,
        approve: bool,
        now: f64,
    ) -> (Acted, Change) {
        self.each(meant, |room, id| {
            let silent =
                room.machines().iter().any(|machine| machine.id == id && room.is_silent(machine, now));
            let machine = room.machine_mut(id)?;
            if machine.is_being_written() && !silent {
                return Some((false, "is being deployed now: wait for its end", None));
            }
            machine.order = Some(order.clone());
            if approve {
                machine.approve();
            }
            Some((true, machine.again(), Some(machine.clone())))
        })
    }

    /// Takes orders back.
    pub(crate) fn cancel(&mut self, meant: &Meant) -> (Acted, Change) {
        self.each(meant, |room, id| {
            let machine = room.machine_mut(id)?;
            let (done, what) = machine.take_back();
            Some((done, what, done.then(|| machine.clone())))
        })
    }

    fn each(
        &mut self,
        meant: &Meant,
        mut act: impl FnMut(&mut Self, &str) -> Option<(bool, &'static str, Option<Machine>)>,
    ) -> (Acted, Change) {
        let (ids, unknown) = self.meant(meant, |_| true);
        let (mut acted, mut change) = (Acted { machines: Vec::new(), unknown }, Change::default());
        for id in ids {
            let Some((done, what, machine)) = act(self, &id) else { continue };
            change.save.extend(machine);
            acted.machines.push(ActedOn { id, done, what: what.to_owned() });
        }
        (acted, change)
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::tests::{MAC, UUID, again, id, play, room};
    use super::*;
    use ezio_image::conf::EndAction;

    #[test]
    fn an_order_holds_for_one_deployment_and_is_taken_back_before() {
        let mut room = room();
        let machine = id(Some(UUID), &[MAC]);
        let all = Meant::of(vec!["all".to_owned()]);
        let order =
            Order { image: Some("other".into()), then: Some(EndAction::PowerOff), source: "test".into() };
        play(&mut room, &machine, "first", 9, 0.0);
        let (acted, change) = room.deploy(&all, &order, false, 20.0);
        assert!(acted.machines[0].done && change.save[0].order.as_ref() == Some(&order));
        assert_eq!(room.machines()[0].over().map(|over| over.end), Some(Some(EndAction::PowerOff)));
        room.cancel(&all);
        let state = |room: &Room| (room.machines()[0].life.state, room.machines()[0].order.is_some());
        assert_eq!(state(&room), (State::Done, false));
        assert!(!room.cancel(&all).0.machines[0].done, "there is nothing to take back");
        room.deploy(&all, &order, false, 30.0);
        play(&mut room, &machine, "second", 4, 40.0);
        assert!(!room.deploy(&all, &order, false, 44.0).0.machines[0].done, "it is being written");
        assert_eq!(state(&room), (State::Working, true));
        play(&mut room, &machine, "second", 9, 40.0);
        assert_eq!(state(&room), (State::Done, false));
        again(&mut room, "all");
        assert_eq!(state(&room), (State::Again, false));
    }
}
