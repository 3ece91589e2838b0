//! Machines that are to be switched on for their orders are called until they are heard of, a few times. Each call is kept before it is
//! made: a server that is killed makes none twice, and what is lost by that, or in the network, the next call makes up for.

use serde::{Deserialize, Serialize};

use super::act::Acted;
use super::machine::Machine;
use super::room::{Change, Room};

/// Calls for one order.
const CALLS: u32 = 3;
/// Between two calls, in seconds: firmware that hears one takes some 30 s until it asks what to boot.
const PAUSE_S: f64 = 60.0;
/// What should have begun while the server was down is made up for so long, in seconds: a room of people should not be met by last
/// night's deployment.
pub(crate) const LATE_S: f64 = 3600.0;

/// The calls of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calls {
    /// So far.
    made: u32,
    /// When the next one is due, in seconds since 1970.
    next: f64,
}

impl Calls {
    /// What is left after a call now.
    fn after(self, now: f64) -> Option<Self> {
        let made = self.made + 1;
        (made < CALLS && !self.is_late(now)).then_some(Self { made, next: now + PAUSE_S })
    }

    fn is_late(self, now: f64) -> bool {
        now - self.next > LATE_S
    }
}

impl Room {
    /// Has those called who were given an order.
    pub(super) fn call(&mut self, given: &Acted, change: &mut Change, now: f64) {
        for acted in given.machines.iter().filter(|acted| acted.done) {
            let Some(machine) = self.machine_mut(&acted.id) else { continue };
            machine.calls = Some(Calls { made: 0, next: now });
            change.keep(machine);
        }
    }

    /// Those who are to be called now; it counts as done once the change is kept.
    pub(super) fn due_calls(&mut self, now: f64) -> (Vec<Machine>, Change) {
        let (mut due, mut change) = (Vec::new(), Change::default());
        for machine in self.machines_mut() {
            let Some(calls) = machine.calls.filter(|calls| calls.next <= now) else { continue };
            machine.calls = calls.after(now);
            change.keep(machine);
            if !calls.is_late(now) {
                due.push(machine.clone());
            }
        }
        (due, change)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::act::Meant;
    use super::super::consent::Rules;
    use super::super::order::Order;
    use super::super::room::tests::{MAC, UUID, id, play, room};
    use super::*;

    fn ordered() -> (Room, Change) {
        let mut room = room();
        play(&mut room, &id(Some(UUID), &[MAC]), "first", 9, 0.0);
        let all = Meant::of(vec!["all".to_owned()]);
        let (acted, mut change) = room.deploy(&all, &Order::default(), false, 100.0);
        room.call(&acted, &mut change, 100.0);
        (room, change)
    }

    /// After a kill that left this.
    fn again(kept: &Change) -> Room {
        Room::new(kept.save.clone(), Duration::from_secs(30), Duration::ZERO, Rules::default())
    }

    #[test]
    fn a_kill_between_any_two_steps_makes_no_call_twice_and_loses_none() {
        let (_, kept) = ordered();
        assert_eq!(
            (kept.save.len(), kept.save[0].order.is_some()),
            (1, true),
            "with its order, in one write"
        );
        let mut room = again(&kept);
        let (due, kept) = room.due_calls(101.0);
        assert_eq!(due.len(), 1, "killed before the call: it is made now");
        let mut room = again(&kept);
        assert!(room.due_calls(102.0).0.is_empty(), "killed after it: it is not made again");
        let calls = (103..1000).filter(|now| !room.due_calls(f64::from(*now)).0.is_empty());
        assert_eq!(calls.collect::<Vec<_>>(), [161, 221]);
        assert!(room.machines()[0].calls.is_none());
    }

    #[test]
    fn nobody_is_called_who_is_there_or_whose_order_is_gone_or_long_after() {
        let machine = id(Some(UUID), &[MAC]);
        let (mut room, _) = ordered();
        let (_, change) = room.boots(&machine, "10.0.0.9", 101.0).unwrap();
        assert_eq!(change.save.len(), 1, "that it was heard of is kept");
        assert!(room.due_calls(200.0).0.is_empty());
        let (mut room, _) = ordered();
        room.cancel(&Meant::of(vec!["all".to_owned()]));
        assert!(room.due_calls(200.0).0.is_empty());
        let (mut room, _) = ordered();
        assert!(room.due_calls(100.0 + LATE_S + 1.0).0.is_empty());
        assert!(room.machines()[0].calls.is_none());
    }
}
