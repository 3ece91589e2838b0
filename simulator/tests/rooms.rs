//! The policy in a small room, over simulated links: everybody finishes, near the limit, whatever happens to some.

use std::time::Duration;

use ezio_scheduler::{NUMBERS, Tuning};
use ezio_simulator::{Report, Room, run};

fn room() -> Room {
    Room { clients: 16, size: 24 << 20, ..Room::default() }
}

/// All healthy clients finish within so many S/B.
fn finishes(room: &Room, limit: f64) -> Report {
    let report = run(room);
    assert_eq!(report.done, report.healthy, "{report}");
    assert!(report.last < limit, "{report}");
    report
}

#[test]
fn a_room_comes_near_the_limit_and_the_server_sends_little_more_than_one_copy() {
    let report = finishes(&room(), 1.15);
    assert!(report.server_copies < 1.2, "{report}");
    assert!(report.duplicates < 0.01, "{report}");
    assert_eq!(run(&room()), report, "the same room gives the same report");
}

/// A piece takes 0.4 s of a link here: the server must not wait for one receiver, whose link others share.
#[test]
fn large_pieces_on_thin_links_keep_the_server_busy() {
    finishes(&Room { size: 48 << 20, piece_length: 256 << 10, rate: 5e6, ..room() }, 1.13);
}

/// Pieces travel down trees here.
fn large_room() -> Room {
    Room { clients: 140, size: 16 << 20, ..Room::default() }
}

#[test]
fn a_large_room_comes_near_the_limit_at_once() {
    // The first 0.15 s, in which all probe, are 0.02 of this short time.
    let report = finishes(&large_room(), 1.25);
    assert!(report.drops < 0.5, "{report}");
    let mesh = finishes(&Room { trees: false, ..large_room() }, 1.45);
    assert!(mesh.last > report.last + 0.02, "what trees gain: {mesh}\n{report}");
}

#[test]
fn a_large_room_goes_on_when_two_die_high_up_in_the_trees() {
    let killed = vec![(3, Duration::from_secs(3)), (5, Duration::from_secs(3))];
    for (trees, limit) in [(true, 1.45), (false, 1.6)] {
        finishes(&Room { killed: killed.clone(), trees, ..large_room() }, limit);
    }
}

/// Who is slow when the trees are planted passes on to a leaf at most.
#[test]
fn a_large_room_does_not_wait_for_a_slow_one() {
    for (slow, rate, trees) in [(1, 12e6, true), (5, 2e6, true), (5, 12e6, true), (5, 2e6, false)] {
        let report = finishes(&Room { slow: vec![(slow, rate)], trees, ..large_room() }, 1.5);
        assert!(report.median < if trees { 1.25 } else { 1.4 }, "{report}");
    }
}

#[test]
fn nobody_waits_for_a_slow_one() {
    // One room in eight ends a second later by chance.
    let room = |seed| Room { slow: vec![(3, 2e6)], seed, ..room() };
    let mut last = [1, 2, 3, 4, 5].map(|seed| finishes(&room(seed), 1.45).last);
    last.sort_by(f64::total_cmp);
    assert!(last[2] < 1.12, "{last:?}");
}

#[test]
fn the_others_finish_when_two_vanish_without_a_word() {
    let killed = vec![(2, Duration::from_secs(4)), (9, Duration::from_secs(5))];
    assert_eq!(finishes(&Room { killed, silent_death: true, ..room() }, 1.35).healthy, 14);
}

#[test]
fn the_room_finishes_without_the_server_once_everything_has_left_it() {
    finishes(&Room { server_leaves: true, ..room() }, 1.2);
}

#[test]
fn wrong_data_costs_little() {
    finishes(&Room { corrupt: vec![5], ..room() }, 1.3);
}

#[test]
fn one_copy_crosses_the_link_between_two_switches() {
    let report = finishes(&Room { switches: 2, ..room() }, 1.35);
    assert!(report.crossed < 1.25, "{report}");
}

/// Untold, half of everything would cross: such a room took more than ten times as long.
#[test]
fn a_room_finds_its_two_switches_by_itself() {
    let report = finishes(&Room { switches: 2, sites_known: false, ..room() }, 1.6);
    assert!(report.crossed < 1.6 && report.placed == 16, "{report}");
}

/// Each machine knows a few of those at its switch, by chance, and some know none. Found by streams alone, such rooms took twice as
/// long.
#[test]
fn a_room_finds_its_eight_switches_by_itself() {
    let room = Room { clients: 64, switches: 8, trunk: Some(60e6), sites_known: false, ..room() };
    let mut last = [1, 2, 3].map(|seed| finishes(&Room { seed, ..room.clone() }, 2.0).last);
    last.sort_by(f64::total_cmp);
    assert!(last[1] < 1.5, "{last:?}");
}

/// Some cables are fuller than others. The likeliest parting takes two of these switches for one, and such a room took 2.6; what tells most
/// takes one for two, elsewhere.
#[test]
fn a_room_finds_three_switches_of_which_two_look_like_one() {
    finishes(&Room { clients: 39, switches: 3, sites_known: false, seed: 4, ..Room::default() }, 1.3);
}

/// Pieces take six seconds to the last site of a ring. If all that wait there asked the server, it had no time for new pieces: such a
/// room took 3.2 S/B, and one of twice as many machines 84. Along two trees they are there sooner.
#[test]
fn pieces_reach_many_sites_along_trees_and_who_is_far_down_a_ring_leaves_the_server_its_time() {
    let last = [(100, 1.8), (Tuning::default().ring, 1.7)].map(|(ring, copies)| {
        let tuning = Tuning { ring, ..Tuning::default() };
        let room = Room { clients: 300, switches: 15, trunk: Some(100e6), piece_length: 256 << 10, ..room() };
        let report = finishes(&Room { tuning, ..room }, 2.6);
        assert!(report.server_copies < copies, "{report}");
        report.last
    });
    assert!(last[1] < 0.92 * last[0], "{last:?}");
}

/// Where any other site might be asked, the first trunk of a chain carries half of everything twice.
#[test]
fn each_trunk_of_a_chain_carries_one_copy() {
    let report = finishes(&Room { clients: 18, switches: 3, chain: true, ..room() }, 1.4);
    assert!(report.crossed < 1.25, "{report}");
}

#[test]
fn a_room_at_one_switch_is_not_cut_whoever_is_slow() {
    let slow = vec![(3, 2e6), (4, 5e6), (9, 3e6)];
    for room in [room(), Room { slow, ..room() }, Room { corrupt: vec![5], ..room() }] {
        let report = run(&room);
        assert_eq!(report.placed, 0, "{report}");
    }
}

#[test]
fn little_more_crosses_in_a_room_too_large_for_a_full_mesh() {
    // 1.46 where a grant may end within a pack; what that costs raw rooms, packs give back threefold.
    let report = finishes(&Room { clients: 80, switches: 2, ..room() }, 1.55);
    assert!(report.crossed < 1.4, "{report}");
}

/// No number of the policy is a cliff: with half of it, and with double, a room still comes near the limit.
#[test]
fn half_and_double_of_each_number_cost_little() {
    let room = Room { clients: 8, size: 8 << 20, ..Room::default() };
    let usual = run(&room).last;
    for number in NUMBERS {
        for factor in [0.5, 2.0] {
            let mut room = room.clone();
            number.set(&mut room.tuning, number.get(&Tuning::default()) * factor);
            let last = run(&room).last;
            assert!(last < usual + 0.15, "{} times {factor}: {last} instead of {usual}", number.name);
        }
    }
}
