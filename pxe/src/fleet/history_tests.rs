use crate::store::numbered;
use ezio_contract::MachineId;
use ezio_contract::report::Event;

use super::super::room::Room;
use super::super::room::tests::{MAC, UUID, id, report, room, script};
use super::*;

/// Plays events, one a second, and gives the runs that ended with them.
fn play(room: &mut Room, id: &MachineId, run: &str, events: &[Event], start: f64) -> Vec<Deployment> {
    let mut ended = Vec::new();
    for (n, event) in events.iter().enumerate() {
        let report = report(id, run, n as u64, event.clone());
        ended.extend(room.report(&report, "10.0.0.9", start + n as f64).unwrap().1.ended);
    }
    ended
}

#[test]
fn a_run_is_told_once_when_it_ends() {
    let (mut room, machine) = (room(), id(Some(UUID), &[MAC]));
    let mut events = script();
    events.insert(8, Event::Proved);
    let ended = play(&mut room, &machine, "good", &events, 100.0);
    let [good] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!(
        (good.machine.as_str(), good.run.as_str(), good.image.as_deref()),
        (UUID, "good", Some("debian"))
    );
    assert_eq!((good.started, good.ended, good.done_bytes, good.proved), (100.0, 109.0, 100, true));
    assert_eq!((good.outcome, &good.error), (Outcome::Done, &None));
    assert_eq!(play(&mut room, &machine, "good", &events, 200.0), [], "the same reports once more");
}

#[test]
fn a_run_that_fails_says_why_and_one_that_is_left_behind_is_lost() {
    let (mut room, machine) = (room(), id(Some(UUID), &[MAC]));
    let fails = Event::Failed {
        step: "choose disk".into(),
        error: "none fits".into(),
        next: "reboot".into(),
        console: Vec::new(),
    };
    let ended = play(&mut room, &machine, "bad", &[script()[0].clone(), fails], 100.0);
    assert_eq!(ended[0].outcome, Outcome::Failed);
    assert_eq!(
        (ended[0].failed_step.as_deref(), ended[0].error.as_deref()),
        (Some("choose disk"), Some("none fits"))
    );
    assert_eq!(play(&mut room, &machine, "cut", &script()[..4], 200.0), []);
    let (_, change) = room.boots(&machine, "10.0.0.9", 300.0).unwrap();
    let [lost] = change.ended.as_slice() else { panic!("{:?}", change.ended) };
    assert_eq!(
        (lost.run.as_str(), lost.outcome, lost.ended, &lost.error),
        ("cut", Outcome::Lost, 203.0, &None)
    );
    assert_eq!(room.boots(&machine, "10.0.0.9", 400.0).unwrap().1.ended, [], "told already");
}

fn some(n: usize) -> Vec<Deployment> {
    vec![Machine::new(0.0).deployment(Outcome::Done, 1.0); n]
}

#[test]
fn numbers_go_on_and_the_oldest_go_first() {
    let mut history = History::new(Vec::new());
    assert_eq!(history.add(&mut some(MAX_DEPLOYMENTS)), [0u64; 0]);
    assert_eq!(history.add(&mut some(2)), [1, 2]);
    let mut again = History::new(history.newest().cloned().collect());
    assert_eq!(again.newest().next().map(|d| d.number), Some(MAX_DEPLOYMENTS as u64 + 2));
    assert_eq!(again.add(&mut some(1)), [3]);
    assert!(numbered(9) < numbered(10));
}

#[test]
fn none_is_passed_over_that_is_still_being_written() {
    let mut history = History::new(Vec::new());
    let (mut first, mut second) = (some(1), some(2));
    history.add(&mut first);
    history.add(&mut second);
    let next = |history: &History, number| history.after(number).map(|d| d.number);
    history.kept(&second);
    assert_eq!((next(&history, 0), history.count_after(0), history.last()), (None, 3, 3));
    history.kept(&first);
    assert_eq!((next(&history, 0), next(&history, 2), next(&history, 3)), (Some(1), Some(3), None));
    // What lies further back than is kept is passed over.
    history.add(&mut some(MAX_DEPLOYMENTS));
    assert_eq!((next(&history, 0), history.count_after(0)), (None, MAX_DEPLOYMENTS));
}
