use super::*;
use crate::fleet::{Act, Meant};
use ezio_contract::FirmwareIdentity;
use ezio_contract::report::{Event, Leave, Progress};
use ezio_contract::report::{FORMAT, StepTimes};
use proptest::prelude::*;

pub(in crate::fleet) const UUID: &str = "aaaaaaaa-0000-1111-2222-333333333333";
pub(in crate::fleet) const UUID_2: &str = "bbbbbbbb-0000-1111-2222-333333333333";
pub(in crate::fleet) const MAC: &str = "52:54:00:00:00:01";
pub(in crate::fleet) const DOCK: &str = "02:00:00:00:00:99";

pub(in crate::fleet) fn room() -> Room {
    Room::new(Vec::new(), Duration::from_secs(30), Duration::ZERO, Rules::default())
}

/// Has machines deployed again; how many were meant.
pub(in crate::fleet) fn again(room: &mut Room, name: &str) -> (usize, Change) {
    let (acted, change) = room.act(Act::Again, &Meant::of(vec![name.to_owned()]), 0.0);
    (acted.machines.len(), change)
}

pub(in crate::fleet) fn id(uuid: Option<&str>, macs: &[&str]) -> MachineId {
    with_serial(uuid, None, macs)
}

pub(in crate::fleet) fn with_serial(uuid: Option<&str>, serial: Option<&str>, macs: &[&str]) -> MachineId {
    let said = FirmwareIdentity {
        uuid: uuid.map(Into::into),
        serial: serial.map(Into::into),
        product: None,
        macs: macs.iter().map(|m| (*m).into()).collect(),
    };
    said.into()
}

fn numbered(n: u32) -> MachineId {
    id(Some(&format!("{n:08x}-0000-1111-2222-333333333333")), &[&format!("52:54:00:00:00:{n:02x}")])
}

#[test]
fn a_machine_keeps_its_number_and_nobody_else_gets_it() {
    let mut room = room();
    let ask = |room: &mut Room, n: u32, purpose: &str| {
        let run = format!("run-{n}");
        room.number(&numbered(n), &run, "10.0.0.9", Some(purpose))
            .map(|(number, change)| (number, change.save.len()))
    };
    for n in 1..=3 {
        send(&mut room, &numbered(n), &format!("run-{n}"), 0, script()[0].clone(), 1.0);
    }
    assert_eq!(ask(&mut room, 2, "lab"), Ok((Some(1), 1)), "it is kept before it is told");
    assert_eq!(ask(&mut room, 3, "lab"), Ok((Some(2), 1)));
    assert_eq!(ask(&mut room, 2, "lab"), Ok((Some(1), 0)));
    assert_eq!(ask(&mut room, 1, "office"), Ok((Some(1), 1)), "each template counts for itself");
    let (_, change) = again(&mut room, &numbered(3).uuid().unwrap().to_string());
    let mut later = Room::new(change.save, Duration::from_secs(30), Duration::ZERO, Rules::default());
    send(&mut later, &numbered(3), "run-3b", 0, script()[0].clone(), 9.0);
    let kept = later.number(&numbered(3), "run-3b", "10.0.0.9", Some("lab")).unwrap().0;
    assert_eq!(kept, Some(2), "after a restart of the server and a new run");
}

#[test]
fn what_is_a_machine_s_own_is_told_to_its_run_while_it_lasts() {
    let mut room = room();
    let machine = numbered(1);
    let ask = |room: &mut Room, id: &MachineId, run: &str, address: &str| {
        room.number(id, run, address, None).is_ok()
    };
    assert!(!ask(&mut room, &machine, "run", "10.0.0.9"), "nobody has heard of it");
    play(&mut room, &machine, "run", 2, 0.0);
    assert!(ask(&mut room, &machine, "run", "10.0.0.9"));
    assert!(!ask(&mut room, &machine, "other", "10.0.0.9"), "another run");
    assert!(!ask(&mut room, &machine, "run", "10.0.0.8"), "from elsewhere");
    assert!(!ask(&mut room, &numbered(2), "run", "10.0.0.9"), "another machine");
    play(&mut room, &machine, "run", 9, 0.0);
    assert!(!ask(&mut room, &machine, "run", "10.0.0.9"), "it is done");
}

fn progress(done_bytes: u64) -> Progress {
    Progress { done_bytes, total_bytes: 100, ..Progress::default() }
}

pub(in crate::fleet) fn script() -> Vec<Event> {
    vec![
        Event::Started { version: "1".into(), firmware: "uefi".into(), address: "10.0.0.9".into() },
        Event::Planned {
            image: "debian".into(),
            disks: vec!["/dev/sda".into()],
            total_bytes: 100,
            notes: vec![],
        },
        Event::FirstByte,
        Event::Progress(progress(50)),
        Event::LastByte(progress(100)),
        Event::Verified(progress(100)),
        Event::Deployed(progress(100)),
        Event::Seeding(progress(100)),
        Event::Done { end: "reboot".into() },
    ]
}

pub(in crate::fleet) fn report(id: &MachineId, run: &str, sequence: u64, event: Event) -> Report {
    let steps = StepTimes::default();
    Report { format: FORMAT, machine: id.clone(), run: run.into(), sequence, uptime_s: 1.0, steps, event }
}

pub(in crate::fleet) fn send(
    room: &mut Room,
    id: &MachineId,
    run: &str,
    sequence: u64,
    event: Event,
    now: f64,
) -> Directive {
    room.report(&report(id, run, sequence, event), "10.0.0.9", now).unwrap().0
}

pub(in crate::fleet) fn play(room: &mut Room, id: &MachineId, run: &str, events: usize, start: f64) {
    for (n, event) in script().into_iter().take(events).enumerate() {
        send(room, id, run, n as u64, event, start + n as f64);
    }
}

#[test]
fn a_good_run_ends_with_a_machine_that_boots_its_own_disk() {
    let mut room = room();
    let id = id(Some(UUID), &[MAC]);
    assert_eq!(room.boots(&id, "10.0.0.9", 100.0).unwrap().0, Boot::Deploy);
    play(&mut room, &id, "r", 9, 110.0);
    let machine = &room.machines()[0];
    assert_eq!((machine.life.state, machine.life.boots_local, machine.deployments), (State::Done, true, 1));
    let times = &machine.times;
    assert_eq!((times.booting, times.started, times.first_byte), (Some(100.0), Some(110.0), Some(112.0)));
    assert_eq!(times.kernel, Some(109.0));
    assert_eq!((times.last_byte, times.verified, times.done), (Some(114.0), Some(115.0), Some(118.0)));
    assert_eq!(room.boot_of(MAC.parse().unwrap()), Boot::Local);
    assert_eq!(room.boots(&id, "10.0.0.9", 200.0).unwrap().0, Boot::Local);
    assert_eq!(again(&mut room, "all").0, 1);
    assert_eq!(room.machines()[0].life.state, State::Again);
    assert_eq!(room.boots(&id, "10.0.0.9", 300.0).unwrap().0, Boot::Deploy);
    // A report of the last run that was still under way puts nothing back.
    send(&mut room, &id, "r", 8, Event::Done { end: "reboot".into() }, 301.0);
    assert_eq!((room.machines()[0].life.state, room.machines()[0].life.boots_local), (State::Booting, false));
}

#[test]
fn a_machine_that_did_not_come_into_init_is_given_the_drivers_of_all_cards_from_then_on() {
    let mut room = room();
    let id = numbered(1);
    let boots = |room: &mut Room, now| room.boots(&id, "10.0.0.9", now).unwrap().0;
    assert_eq!(boots(&mut room, 100.0), Boot::Deploy);
    assert_eq!(boots(&mut room, 101.0), Boot::Deploy, "its firmware asks several times");
    assert_eq!(boots(&mut room, 300.0), Boot::DeployWithAllCards);
    assert_eq!(room.machines()[0].times.booting, Some(300.0));
    play(&mut room, &id, "r", 9, 310.0);
    again(&mut room, "all");
    assert_eq!(boots(&mut room, 400.0), Boot::DeployWithAllCards);

    // One that was heard of found its network.
    let id = numbered(2);
    room.boots(&id, "10.0.0.9", 500.0).unwrap();
    play(&mut room, &id, "r", 3, 510.0);
    assert_eq!(room.boots(&id, "10.0.0.9", 700.0).unwrap().0, Boot::Deploy);
}

#[test]
fn a_machine_that_is_done_and_starts_init_again_is_told_so() {
    let mut room = room();
    let id = numbered(1);
    play(&mut room, &id, "first", 9, 100.0);
    for (sequence, now) in [(0, 200.0), (0, 201.0)] {
        assert!(send(&mut room, &id, "stick", sequence, script().remove(0), now).done);
    }
    let machine = &room.machines()[0];
    assert_eq!((machine.life.state, machine.run.as_str(), machine.last_heard), (State::Done, "first", 201.0));
    // Somebody deploys it by hand: that is an operator's word.
    assert!(!send(&mut room, &id, "by hand", 0, script().remove(1), 300.0).done);
    assert_eq!((room.machines()[0].life.state, room.machines()[0].life.boots_local), (State::Planned, true));

    again(&mut room, "all");
    assert!(!send(&mut room, &id, "stick once more", 0, script().remove(0), 400.0).done);
    assert_eq!(room.machines()[0].life.state, State::Started);
}

#[test]
fn an_operators_word_during_a_run_holds_at_its_end() {
    let mut room = room();
    let id = numbered(1);
    play(&mut room, &id, "r", 8, 0.0);
    assert_eq!(again(&mut room, "52:54:00:00:00:01").0, 1);
    assert_eq!(room.machines()[0].life.state, State::Seeding);
    for _ in 0..2 {
        send(&mut room, &id, "r", 8, Event::Done { end: "reboot".into() }, 20.0);
        assert_eq!((room.machines()[0].life.state, room.machines()[0].deployments), (State::Again, 1));
    }
    assert_eq!(room.boots(&id, "10.0.0.9", 30.0).unwrap().0, Boot::Deploy);
}

#[test]
fn a_run_that_ended_well_did_not_fail_whichever_is_heard_first() {
    let failed = Event::Failed {
        step: "crash".into(),
        error: "signal 9".into(),
        next: "hold".into(),
        console: Vec::new(),
    };
    let done = Event::Done { end: "reboot".into() };
    for ends in [[done.clone(), failed.clone()], [failed, done]] {
        let mut room = room();
        play(&mut room, &numbered(1), "r", 8, 0.0);
        for end in ends {
            send(&mut room, &numbered(1), "r", 9, end, 20.0);
        }
        let machine = &room.machines()[0];
        assert_eq!(
            (machine.life.state, machine.life.boots_local, machine.deployments),
            (State::Done, true, 1)
        );
        assert_eq!(machine.error, None);
    }
}

#[test]
fn a_run_that_somebody_ends_is_no_failure_of_the_machine_and_the_next_run_goes_on() {
    let (mut room, machine) = (room(), id(Some(UUID), &[MAC]));
    let meant = Meant::of(vec![UUID.to_owned()]);
    play(&mut room, &machine, "one", 3, 1.0);
    let (acted, change) = room.act(Act::PowerOff, &meant, 5.0);
    assert!(
        acted.machines[0].done && change.save[0].leave == Some(Leave::PowerOff),
        "it outlives the server"
    );
    let failed = |next: &str| Event::Failed {
        step: "stop".into(),
        error: "somebody".into(),
        next: next.into(),
        console: Vec::new(),
    };
    let told = |room: &mut Room, run, sequence, event| {
        room.report(&report(&machine, run, sequence, event), "10.0.0.9", 6.0).unwrap().0.leave
    };
    assert_eq!(told(&mut room, "one", 3, Event::Progress(progress(1))), Some(Leave::PowerOff));
    assert_eq!(told(&mut room, "one", 4, failed("poweroff")), None);
    assert_eq!((room.machines()[0].life.state, room.machines()[0].failures), (State::Failed, 0));
    assert_eq!(told(&mut room, "two", 0, script()[0].clone()), None);
    room.act(Act::Restart, &meant, 8.0);
    assert_eq!(
        told(&mut room, "three", 0, script()[0].clone()),
        None,
        "it has restarted by itself meanwhile"
    );
}

#[test]
fn who_holds_after_a_failure_is_told_to_restart_or_is_deployed_again_at_once() {
    let (mut room, machine) = (room(), id(Some(UUID), &[MAC]));
    let failed = Event::Failed {
        step: "write".into(),
        error: "full".into(),
        next: "hold".into(),
        console: Vec::new(),
    };
    let hears = |room: &mut Room, run, sequence, now| {
        room.report(&report(&machine, run, sequence, failed.clone()), "10.0.0.9", now).unwrap().0.leave
    };
    assert_eq!((hears(&mut room, "one", 1, 1.0), hears(&mut room, "one", 2, 6.0)), (None, None));
    let restart = |room: &mut Room, now| {
        room.act(Act::Restart, &Meant::of(vec![UUID.to_owned()]), now).0.machines[0].done
    };
    assert!(!restart(&mut room, 40.0), "it was not heard of for 34 s");
    assert!(restart(&mut room, 8.0));
    assert_eq!(hears(&mut room, "one", 3, 11.0), Some(Leave::Restart));
    hears(&mut room, "two", 1, 50.0);
    again(&mut room, UUID);
    assert_eq!(hears(&mut room, "two", 2, 55.0), Some(Leave::Restart));
    assert_eq!((room.machines()[0].life.state, room.machines()[0].failures), (State::Again, 0));
}

#[test]
fn a_failure_is_kept_until_the_next_start() {
    let mut room = room();
    let id = id(Some(UUID), &[MAC]);
    let failed = Event::Failed {
        step: "choose disk".into(),
        error: "no disk\u{1b}[2J fits".into(),
        next: "hold".into(),
        console: Vec::new(),
    };
    send(&mut room, &id, "r", 0, script()[0].clone(), 1.0);
    send(&mut room, &id, "r", 1, failed, 2.0);
    let machine = &room.machines()[0];
    assert_eq!((machine.life.state, machine.life.boots_local), (State::Failed, false));
    assert_eq!(machine.error.as_ref().unwrap().error, "no disk [2J fits");
    room.boots(&id, "10.0.0.9", 60.0).unwrap();
    assert!(room.machines()[0].error.is_some());
    send(&mut room, &id, "r2", 0, script()[0].clone(), 70.0);
    assert_eq!((room.machines()[0].life.state, room.machines()[0].error.clone()), (State::Started, None));
}

#[test]
fn when_the_last_machine_has_all_the_next_report_of_each_other_lets_it_go() {
    let mut room = room();
    let (one, two, three) = (numbered(1), numbered(2), numbered(3));
    let seeding = || Event::Seeding(progress(100));
    play(&mut room, &one, "a", 8, 0.0);
    play(&mut room, &two, "b", 8, 0.0);
    play(&mut room, &three, "c", 4, 0.0);
    assert!(!send(&mut room, &one, "a", 9, seeding(), 20.0).release, "three still works");
    // It has yet to sync its disk; for that it needs nobody.
    send(&mut room, &three, "c", 4, Event::LastByte(progress(100)), 21.0);
    assert!(send(&mut room, &one, "a", 10, seeding(), 21.1).release);
    assert!(send(&mut room, &two, "b", 10, seeding(), 21.2).release);
    // A fourth one boots: it may need anything.
    room.boots(&numbered(4), "10.0.0.9", 37.0).unwrap();
    assert!(!send(&mut room, &one, "a", 12, seeding(), 38.0).release);
    // It never comes: nobody waits for ever.
    assert!(send(&mut room, &one, "a", 13, seeding(), 37.0 + BOOT_TIME_S).release);
}

#[test]
fn an_operator_can_have_machines_serve_late_comers() {
    let mut room = Room::new(Vec::new(), Duration::from_secs(30), Duration::from_secs(15), Rules::default());
    play(&mut room, &numbered(1), "a", 8, 0.0);
    assert_eq!(room.machines()[0].times.last_byte, Some(4.0));
    let seeding = || Event::Seeding(progress(100));
    assert!(!send(&mut room, &numbered(1), "a", 9, seeding(), 18.0).release);
    assert!(send(&mut room, &numbered(1), "a", 10, seeding(), 19.0).release);
}

#[test]
fn a_machine_that_died_does_not_hold_the_others() {
    let mut room = room();
    let (one, two) = (numbered(1), numbered(2));
    play(&mut room, &one, "a", 8, 0.0);
    play(&mut room, &two, "b", 4, 0.0);
    assert!(!send(&mut room, &one, "a", 9, Event::Seeding(progress(100)), 30.0).release);
    assert!(room.is_silent(room.machines().iter().find(|m| m.run == "b").unwrap(), 34.0));
    assert!(send(&mut room, &one, "a", 10, Event::Seeding(progress(100)), 34.0).release);
}

#[test]
fn another_image_does_not_count() {
    let mut room = room();
    play(&mut room, &numbered(1), "a", 8, 0.0);
    let planned = Event::Planned { image: "windows".into(), disks: vec![], total_bytes: 5, notes: vec![] };
    send(&mut room, &numbered(2), "b", 1, planned, 29.0);
    assert!(send(&mut room, &numbered(1), "a", 9, Event::Seeding(progress(100)), 30.0).release);
}

/// A machine that makes up others drives out none but those: neither known machines nor strangers from elsewhere.
#[test]
fn who_makes_up_machines_drives_out_its_own() {
    let (mut room, stranger) = (room(), "02:00:00:01:00:00");
    let made_up = |n: usize| id(None, &[&format!("02:00:00:00:{:02x}:{:02x}", n >> 8, n & 255)]);
    room.boots(&id(None, &[stranger]), "10.0.0.7", 1.0).unwrap();
    play(&mut room, &numbered(1), "run", script().len(), 1.0);
    let mut made = 0;
    for n in 0..200 {
        let (_, change) = room.boots(&made_up(n), "10.0.0.6", 100.0 + n as f64).unwrap();
        made += 1 - i32::try_from(change.remove.len()).unwrap();
    }
    assert_eq!((room.machines().len(), made), (2 + 64, 64), "the database forgets them as well");
    assert!(room.machines().iter().any(|m| m.id == stranger));
    assert!(room.machines().iter().any(|m| m.deployments == 1));
    assert!(!room.machines().iter().any(|m| m.id == "02:00:00:00:00:00"), "the oldest of them are gone");
}

#[test]
fn there_is_an_end_to_machines_and_to_text() {
    let mut room = room();
    let made_up = |n: usize| id(None, &[&format!("02:00:00:00:{:02x}:{:02x}", n >> 8, n & 255)]);
    for n in 0..MAX_MACHINES {
        room.boots(&made_up(n), &n.to_string(), 1.0).unwrap();
    }
    let everyone = room.machines().iter().map(|m| m.id.clone()).collect();
    room.act(Act::Hold, &Meant::of(everyone), 1.0);
    let more = made_up(MAX_MACHINES);
    assert_eq!(room.boots(&more, "", 1.0), Err(Refusal::Full), "all others are wanted");
    assert_eq!(room.machines().len(), MAX_MACHINES);
    let event = Event::Planned {
        image: "x".repeat(9999),
        disks: vec!["y".repeat(9999); 999],
        total_bytes: 1,
        notes: vec!["z".repeat(9999); 999],
    };
    let serial = "aä".repeat(5000);
    let long = report(&with_serial(None, Some(&serial), &["02:00:00:00:00:00"]), "r", 0, event);
    room.report(&long, "", 2.0).unwrap();
    for sequence in 1..99 {
        let step = Event::Step { step: "s".repeat(9999) };
        room.report(&Report { sequence, event: step, ..long.clone() }, "", 2.0).unwrap();
    }
    let machine = room.machines().last().unwrap();
    assert!(serde_json::to_vec(machine).unwrap().len() < 48_000);
    assert_eq!(room.report(&Report { run: "r".repeat(999), ..long }, "", 2.0), Err(Refusal::Run));
}

proptest! {
    /// Whatever order the reports of a run come in, and however often each: the machine ends as if they had come
    /// once and in order.
    #[test]
    fn order_and_repetition_do_not_matter(order in proptest::collection::vec(0usize..9, 0..40)) {
        let mut room = room();
        let id = numbered(1);
        for n in order.iter().copied().chain(0..9) {
            send(&mut room, &id, "r", n as u64, script()[n].clone(), 5.0);
        }
        let machine = &room.machines()[0];
        prop_assert_eq!((machine.life.state, machine.life.boots_local, machine.deployments), (State::Done, true, 1));
        prop_assert_eq!(machine.progress, progress(100));
        prop_assert_eq!(machine.image.as_deref(), Some("debian"));
        prop_assert_eq!(machine.times.verified, Some(5.0));
    }
}
