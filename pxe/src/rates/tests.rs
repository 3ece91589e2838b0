use serde_json::json;

use super::*;

/// A machine that was just heard of.
fn machine(id: &str, run: &str, state: &str, rates: [u64; 2], now: f64) -> Machine {
    let progress = Progress { down_bytes_per_s: rates[0], up_bytes_per_s: rates[1], ..Progress::default() };
    serde_json::from_value(json!({
        "id": id, "macs": [], "state": state, "run": run, "last_heard": now,
        "times": { "first-byte": 0.0 }, "progress": progress
    }))
    .unwrap()
}

fn samples<const N: usize>(series: &Series<N>) -> Vec<Vec<u64>> {
    series.view(0.0).samples.into_values().collect()
}

#[test]
fn the_room_is_what_its_machines_say_who_are_there() {
    let mut kept = Kept::default();
    let mut room = vec![
        machine("a", "1", "working", [100, 10], 1.0),
        machine("b", "1", "working", [50, 20], 1.0),
        machine("c", "1", "seeding", [70, 30], 1.0),
        machine("d", "1", "failed", [70, 30], 1.0),
        Machine { last_heard: 1.0 - HEARD_S, ..machine("e", "1", "working", [70, 30], 1.0) },
    ];
    room[1].times.first_byte = Some(1.0);
    kept.take(&room, 7, 1.0);
    assert_eq!(samples(kept.room.as_ref().unwrap()), [[150, 7, 2]]);
    assert_eq!(samples(&kept.machines["c"].series), [[0, 30]], "who has all receives nothing");
    assert_eq!(kept.machines.len(), 3, "who failed, or is not heard of, says nothing");
    room[0].times.first_byte = None;
    kept.take(&room, 8, 2.0);
    assert_eq!(samples(kept.room.as_ref().unwrap()), [[150, 7, 2], [50, 8, 1]]);
}

#[test]
fn a_run_and_a_deployment_begin_anew() {
    let mut kept = Kept::default();
    let mut take = |run: &str, state: &str, now: f64| {
        kept.take(&[machine("a", run, state, [9, 9], now)], 1, now);
        let (of_room, of_machine) = (kept.room.as_ref().unwrap(), &kept.machines["a"].series);
        (of_room.view(0.0).since, of_machine.view(0.0).since)
    };
    assert_eq!(take("1", "working", 0.0), (0.0, 0.0));
    assert_eq!(take("1", "seeding", 1.0), (0.0, 0.0));
    assert_eq!(take("2", "working", 100.0), (0.0, 100.0), "soon after: the same deployment");
    assert_eq!(take("2", "seeding", 300.0), (0.0, 100.0), "serving others is no deployment");
    assert_eq!(take("3", "working", 301.0), (301.0, 301.0));
}

#[test]
fn what_is_kept_of_machines_is_bounded_by_those_that_are_known() {
    let mut kept = Kept::default();
    for number in 0..1000 {
        kept.take(&[machine(&number.to_string(), "1", "working", [1, 1], 1.0)], 1, 1.0);
        assert_eq!(kept.machines.len(), 1);
    }
}
