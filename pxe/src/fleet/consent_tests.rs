use std::time::Duration;

use ezio_contract::MachineId;
use ezio_contract::health::Health;
use ezio_contract::inventory::{DiskId, Holds, InventoryDisk, Mark, Overwrite, Wanted};
use ezio_contract::report::{Directive, Event};

use super::super::act::{Act, Meant};
use super::super::life::State;
use super::super::room::Room;
use super::super::room::tests::{MAC, UUID, again, id, script, send};
use super::*;
use crate::boot::Boot;

const GIB: u64 = 1 << 30;

fn machine() -> MachineId {
    id(Some(UUID), &[MAC])
}

fn room(rules: Rules) -> Room {
    Room::new(Vec::new(), Duration::from_secs(30), Duration::ZERO, rules)
}

fn disk(serial: &str) -> DiskId {
    DiskId { serial: Some(serial.into()), size: GIB, ..DiskId::default() }
}

fn windows() -> Holds {
    Holds { blank: false, mark: Some(Mark::Mbr(7)), lines: vec!["Windows".into(), "NTFS \"Daten\"".into()] }
}

fn image() -> Mark {
    Mark::Mbr(0xabcd)
}

fn with_mark(mark: Mark) -> Holds {
    Holds { mark: Some(mark), ..windows() }
}

fn wants(holds: Holds, overwrite: Overwrite) -> Wanted {
    Wanted { name: "/dev/sda".into(), id: disk("S1"), overwrite, holds, becomes: Some(image()) }
}

/// A run of one machine in a room; each call is its next report.
struct Started<'a> {
    room: &'a mut Room,
    run: &'static str,
    sequence: u64,
}

fn start<'a>(room: &'a mut Room, run: &'static str) -> Started<'a> {
    let mut run = Started { room, run, sequence: 0 };
    run.send(script()[0].clone());
    run
}

impl Started<'_> {
    fn send(&mut self, event: Event) -> Directive {
        self.sequence += 1;
        send(self.room, &machine(), self.run, self.sequence, event, 100.0)
    }

    fn ask(&mut self, holds: Holds, overwrite: Overwrite) -> Directive {
        self.send(Event::Asks { image: "debian".into(), wanted: vec![wants(holds, overwrite)] })
    }

    fn list(&mut self, holds: Holds) {
        let disk =
            InventoryDisk { path: "/dev/sda".into(), id: disk("S1"), holds, ..InventoryDisk::default() };
        self.send(Event::Inventory { disks: vec![disk], cards: Vec::new(), computer: None });
    }

    fn end_well(&mut self) {
        script().into_iter().skip(1).take(6).for_each(|event| drop(self.send(event)));
        self.list(with_mark(image()));
        self.send(Event::Done { end: "reboot".into() });
    }

    fn fail(&mut self) {
        self.send(Event::Failed {
            step: "write".into(),
            error: "no".into(),
            next: "reboot".into(),
            console: Vec::new(),
        });
    }
}

/// The room, as a server knows it that was killed and started again.
fn restarted(room: &Room, rules: Rules) -> Room {
    let kept = serde_json::to_vec(room.machines()).unwrap();
    Room::new(serde_json::from_slice(&kept).unwrap(), Duration::from_secs(30), Duration::ZERO, rules)
}

fn act(room: &mut Room, act: Act, name: &str) -> bool {
    let (acted, change) = room.act(act, &Meant::of(vec![name.to_owned()]), 100.0);
    let done = !acted.machines.is_empty() && acted.machines.iter().all(|machine| machine.done);
    assert_eq!(done, change != Default::default(), "it is kept before it is answered");
    done
}

#[test]
fn what_may_be_overwritten_unasked() {
    let blank = Holds { blank: true, ..Holds::default() };
    let nameless = Holds::only("something that is not known");
    for (holds, blank_only, ours, any) in [
        (blank, true, true, true),
        (windows(), false, false, true),
        (with_mark(image()), false, true, true),
        (with_mark(Mark::Begun("r1".into())), true, true, true),
        (with_mark(Mark::Begun("r0".into())), false, false, true),
        (nameless, false, false, true),
    ] {
        for (overwrite, expected) in
            [(Overwrite::Blank, blank_only), (Overwrite::Ours, ours), (Overwrite::Any, any)]
        {
            let mut known = Disks::default();
            known.begin(&[wants(Holds { blank: true, ..Holds::default() }, Overwrite::Ours)], "r1");
            let wanted = wants(holds.clone(), overwrite);
            assert_eq!(known.leave(&wanted).is_some(), expected, "{holds:?} {overwrite}");
            let other = Wanted { id: disk("S2"), ..wanted };
            let by_what_is_there = holds.blank || overwrite == Overwrite::Any;
            assert_eq!(
                known.leave(&other).is_some(),
                by_what_is_there,
                "on another disk: {holds:?} {overwrite}"
            );
        }
    }
}

#[test]
fn a_disk_with_data_waits_for_an_approval_and_then_goes_on() {
    let mut room = room(Rules::default());
    let answer = start(&mut room, "r1").ask(windows(), Overwrite::Ours);
    assert!(!answer.go);
    assert_eq!(answer.waits_for, ["/dev/sda: Windows, NTFS \"Daten\" (overwrite = \"ours\")"]);
    let machine = &room.machines()[0];
    assert_eq!((machine.life.state, &machine.waits_for), (State::Waiting, &answer.waits_for));
    // A server that was killed meanwhile, between any two words.
    let mut room = restarted(&room, Rules::default());
    assert!(act(&mut room, Act::Approve, "all"));
    let mut room = restarted(&room, Rules::default());
    let mut run = Started { room: &mut room, run: "r1", sequence: 9 };
    assert!(run.ask(windows(), Overwrite::Ours).go);
    // The answer was lost: it asks once more.
    assert!(run.ask(windows(), Overwrite::Ours).go);
    run.end_well();
    assert_eq!(room.machines()[0].life.state, State::Done);
    assert!(room.machines()[0].waits_for.is_empty());
    // What was given up is gone; should the same come back, it is asked for again.
    again(&mut room, "all");
    assert!(!start(&mut room, "r2").ask(windows(), Overwrite::Ours).go);
}

#[test]
fn what_was_not_seen_is_not_approved() {
    let mut room = room(Rules::default());
    start(&mut room, "r1").ask(windows(), Overwrite::Ours);
    act(&mut room, Act::Approve, MAC);
    let mut run = Started { room: &mut room, run: "r1", sequence: 9 };
    assert!(!run.ask(with_mark(Mark::Mbr(8)), Overwrite::Ours).go, "another system was put there meanwhile");
    // Before it is due: by its last inventory.
    let mut room = self::room(Rules::default());
    start(&mut room, "r1").list(windows());
    act(&mut room, Act::Approve, MAC);
    assert!(start(&mut room, "r2").ask(windows(), Overwrite::Ours).go);
}

#[test]
fn a_disk_of_ours_is_written_again_unasked_wherever_the_power_failed() {
    let mut room = room(Rules::default());
    assert!(start(&mut room, "r1").ask(Holds { blank: true, ..Holds::default() }, Overwrite::Ours).go);
    // Before anything, half written, and written but not said.
    let left =
        [Holds { blank: true, ..Holds::default() }, with_mark(Mark::Begun("r1".into())), with_mark(image())];
    for holds in left {
        let mut room = restarted(&room, Rules::default());
        assert!(start(&mut room, "r2").ask(holds, Overwrite::Ours).go);
    }
    Started { room: &mut room, run: "r1", sequence: 9 }.end_well();
    let mut room = restarted(&room, Rules::default());
    again(&mut room, "all");
    // It begins once more, and the old system may be there still.
    assert!(start(&mut room, "r3").ask(with_mark(image()), Overwrite::Ours).go);
    for holds in [with_mark(image()), with_mark(Mark::Begun("r3".into()))] {
        let mut room = restarted(&room, Rules::default());
        assert!(start(&mut room, "r4").ask(holds, Overwrite::Ours).go);
    }
    assert!(
        !start(&mut room, "r5").ask(with_mark(Mark::Begun("r1".into())), Overwrite::Ours).go,
        "long gone"
    );
    assert!(!start(&mut room, "r6").ask(windows(), Overwrite::Ours).go, "somebody installed Windows on it");
}

#[test]
fn a_machine_that_is_held_starts_from_its_own_disk_until_it_is_approved() {
    let mut room = room(Rules::default());
    start(&mut room, "r1").ask(windows(), Overwrite::Any);
    act(&mut room, Act::Hold, UUID);
    assert!(!start(&mut room, "r2").ask(windows(), Overwrite::Any).go);
    assert_eq!(room.boots(&machine(), "10.0.0.9", 200.0).unwrap().0, Boot::Local);
    assert_eq!(room.boot_of(MAC.parse().unwrap()), Boot::Local);
    assert!(!room.is_silent(&room.machines()[0], 9999.0), "nobody waits to hear of it");
    assert!(!act(&mut room, Act::Approve, "all"), "who is held is meant by name only");
    assert!(act(&mut room, Act::Approve, UUID));
    assert_eq!(room.machines()[0].life.state, State::Again);
    assert_eq!(room.boots(&machine(), "10.0.0.9", 300.0).unwrap().0, Boot::Deploy);
}

#[test]
fn machines_that_were_never_seen_do_what_the_operator_says() {
    let deploys = |unknown, asks: bool| {
        let mut room = room(Rules { unknown, ..Rules::default() });
        let boot = room.boots(&machine(), "10.0.0.9", 1.0).unwrap().0;
        let go = asks && start(&mut room, "r1").ask(windows(), Overwrite::Any).go;
        (boot, go, room)
    };
    assert!(matches!(deploys(Unknown::Deploy, true), (Boot::Deploy, true, _)));
    let (boot, go, mut room) = deploys(Unknown::Wait, true);
    assert_eq!((boot, go, room.machines()[0].life.state), (Boot::Deploy, false, State::Waiting));
    act(&mut room, Act::Approve, "all");
    assert!(Started { room: &mut room, run: "r1", sequence: 9 }.ask(windows(), Overwrite::Any).go);
    let (boot, _, mut room) = deploys(Unknown::Local, false);
    assert_eq!((boot, room.machines()[0].life.state), (Boot::Local, State::Waiting));
    act(&mut room, Act::Approve, MAC);
    assert_eq!(room.boots(&machine(), "10.0.0.9", 2.0).unwrap().0, Boot::Deploy);
}

#[test]
fn a_machine_that_fails_and_fails_is_not_deployed_for_ever() {
    for (after_attempts, boot) in [(AfterAttempts::Wait, Boot::Deploy), (AfterAttempts::Local, Boot::Local)] {
        let rules = Rules { attempts: 2, after_attempts, ..Rules::default() };
        let mut room = room(rules);
        for run in ["r1", "r2"] {
            let mut run = start(&mut room, run);
            assert!(run.ask(windows(), Overwrite::Any).go);
            run.fail();
            run.fail();
        }
        let mut room = restarted(&room, rules);
        assert_eq!(room.boots(&machine(), "10.0.0.9", 200.0).unwrap().0, boot);
        let error = room.machines()[0].error.as_ref().map(|e| e.step.clone());
        assert_eq!(error.as_deref(), Some("write"), "it is shown as failed");
        let answer = start(&mut room, "r3").ask(windows(), Overwrite::Any);
        assert_eq!(answer.waits_for, ["its last 2 runs failed: write: no"]);
        assert!(act(&mut room, Act::Approve, MAC));
        assert!(start(&mut room, "r4").ask(windows(), Overwrite::Any).go);
    }
}

#[test]
fn who_is_forgotten_has_no_disk_of_ours() {
    let mut room = room(Rules::default());
    let mut run = start(&mut room, "r1");
    assert!(run.ask(Holds { blank: true, ..Holds::default() }, Overwrite::Ours).go);
    run.send(script()[3].clone());
    assert!(!act(&mut room, Act::Forget, MAC), "not while it is being written");
    Started { room: &mut room, run: "r1", sequence: 9 }.end_well();
    assert!(act(&mut room, Act::Forget, MAC));
    assert!(room.machines().is_empty());
    assert!(!start(&mut room, "r2").ask(with_mark(image()), Overwrite::Ours).go);
}

#[test]
fn the_health_of_a_disk_is_what_it_said_last_within_bounds() {
    let mut known = Disks::default();
    let health = |why: &str| Some(Health { failing: vec![why.to_owned()], ..Health::default() });
    let listed = |health| InventoryDisk { id: disk("S1"), health, ..InventoryDisk::default() };
    known.learn(&[listed(health("one"))], false);
    // Once it is written it may say nothing, or more.
    known.learn(&[listed(None)], true);
    assert_eq!(known.inventory[0].complaint().as_deref(), Some("one"));
    known.learn(&[listed(health("two"))], true);
    assert_eq!(known.inventory[0].complaint().as_deref(), Some("two"));
    known.learn(&[listed(Some(Health::default()))], true);
    assert_eq!(known.inventory[0].complaint(), None);
    // Another disk, or the same mended: nothing of before stays.
    known.learn(&[listed(health("one"))], false);
    known.learn(&[listed(None)], false);
    assert_eq!(known.inventory[0].health, None);
    let endless = Health { failing: vec!["x".repeat(10_000); 1000], ..Health::default() };
    known.learn(&[listed(Some(endless))], false);
    assert!(known.inventory[0].complaint().unwrap().len() <= (MAX_LINE + 2) * MAX_LINES);
}
