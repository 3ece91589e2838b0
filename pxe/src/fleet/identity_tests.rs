use ezio_contract::Mac;

use super::super::life::State;
use super::super::room::tests::{
    DOCK, MAC, UUID, UUID_2, again, id, play, report, room, script, send, with_serial,
};
use super::super::room::{Refusal, Room};
use crate::boot::Boot;

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

/// The record of the machine whose run this is.
fn of_run<'a>(room: &'a Room, run: &str) -> &'a super::Machine {
    room.machines().iter().find(|machine| machine.run == run).unwrap()
}

#[test]
fn the_smbios_uuid_joins_what_macs_keep_apart() {
    let mut room = room();
    // Two cards boot before anybody knows that they are one machine.
    room.boots(&id(None, &[MAC]), "10.0.0.9", 1.0).unwrap();
    room.boots(&id(None, &[DOCK]), "10.0.0.8", 2.0).unwrap();
    assert_eq!(room.machines().len(), 2);
    let both = id(Some(UUID), &[MAC, DOCK]);
    let (_, change) = room.report(&report(&both, "r", 0, script()[0].clone()), "10.0.0.9", 3.0).unwrap();
    assert_eq!(room.machines().len(), 1);
    assert_eq!((room.machines()[0].id.as_str(), room.machines()[0].times.first_seen), (UUID, 1.0));
    let mut removed = change.remove;
    removed.sort();
    assert_eq!(removed, [DOCK, MAC]);
}

#[test]
fn a_dock_that_moves_belongs_to_the_machine_that_has_it_now() {
    let mut room = room();
    play(&mut room, &id(Some(UUID), &[DOCK]), "a", 9, 0.0);
    send(&mut room, &id(Some(UUID_2), &[DOCK]), "b", 0, script()[0].clone(), 50.0);
    assert_eq!(room.machines().len(), 2);
    assert_eq!(room.boot_of(DOCK.parse().unwrap()), Boot::Deploy);
    assert_eq!(room.boots(&id(Some(UUID), &[]), "", 51.0).unwrap().0, Boot::Local);
}

#[test]
fn boards_that_share_a_uuid_are_told_apart_by_serial_number() {
    let mut room = room();
    for (serial, mac) in [("S1", MAC), ("S2", DOCK), ("S1", MAC)] {
        let id = with_serial(Some(UUID), Some(serial), &[mac]);
        room.boots(&id, "10.0.0.9", 1.0).unwrap();
    }
    let mut ids: Vec<&str> = room.machines().iter().map(|m| m.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["S2", UUID]);
}

#[test]
fn placeholders_name_nobody() {
    let mut room = room();
    for mac in [MAC, DOCK] {
        let id =
            with_serial(Some("00000000-0000-0000-0000-000000000000"), Some("To Be Filled By O.E.M."), &[mac]);
        room.boots(&id, "10.0.0.9", 1.0).unwrap();
    }
    assert_eq!(room.machines().len(), 2);
    assert_eq!(
        room.boots(&id(Some("ffffffff-ffff-ffff-ffff-ffffffffffff"), &["junk"]), "", 1.0),
        Err(Refusal::Nobody)
    );
}

#[test]
fn boards_of_a_series_without_serial_numbers_are_machines_of_their_own() {
    let (one, two) = (id(Some(UUID), &[MAC]), id(Some(UUID), &[DOCK]));
    // One after the other: what is on the disk of the one says nothing about the other.
    let mut room = room();
    play(&mut room, &one, "a", 9, 0.0);
    assert_eq!(room.boots(&two, "10.0.0.8", 100.0).unwrap().0, Boot::Deploy);
    // At the same time: each is followed to its end.
    let mut room = self::room();
    for n in 0..9 {
        send(&mut room, &one, "a", n, script()[n as usize].clone(), n as f64);
        send(&mut room, &two, "b", n, script()[n as usize].clone(), n as f64);
    }
    assert_eq!(room.machines().len(), 2);
    for run in ["a", "b"] {
        assert_eq!((of_run(&room, run).life.state, of_run(&room, run).deployments), (State::Done, 1));
    }
    // A record's own name means that one only.
    assert_eq!(again(&mut room, UUID).0, 1);
    assert_eq!([&one, &two].map(|id| room.boots(id, "", 200.0).unwrap().0), [Boot::Deploy, Boot::Local]);
}

#[test]
fn a_machine_with_a_new_card_is_the_same_machine() {
    let mut room = room();
    play(&mut room, &with_serial(Some(UUID), Some("S1"), &[MAC]), "a", 9, 0.0);
    let repaired = with_serial(Some(UUID), Some("S1"), &[DOCK]);
    assert_eq!(room.boots(&repaired, "10.0.0.9", 100.0).unwrap().0, Boot::Local);
    assert_eq!(room.machines().len(), 1);
    assert_eq!(room.machines()[0].identity.macs(), [mac(DOCK), mac(MAC)]);
    // Firmware that starts GRUB names the card only; init then says which machine it is in.
    let other = "02:00:00:00:00:77";
    room.boots(&id(None, &[other]), "10.0.0.9", 200.0).unwrap();
    send(&mut room, &with_serial(Some(UUID), Some("S1"), &[other]), "b", 0, script()[0].clone(), 220.0);
    assert_eq!((room.machines().len(), room.machines()[0].id.as_str()), (1, UUID));
}

/// Serial numbers of a kind that we do not know to be placeholders.
#[test]
fn two_runs_at_the_same_time_are_two_machines_whatever_their_boards_say() {
    let board = |mac| with_serial(Some(UUID), Some("MODEL-X"), &[mac]);
    let mut room = room();
    for mac in [MAC, DOCK] {
        room.boots(&board(mac), "10.0.0.9", 1.0).unwrap();
    }
    assert_eq!(room.machines().len(), 2, "the first is on its way into init");

    // The second was taken for the first with a new card, until both run.
    let mut room = self::room();
    play(&mut room, &board(MAC), "a", 9, 0.0);
    assert_eq!(room.boots(&board(DOCK), "10.0.0.8", 100.0).unwrap().0, Boot::Local);
    assert_eq!((again(&mut room, "all").0, room.machines().len()), (1, 1));
    for n in 0..9 {
        send(&mut room, &board(MAC), "c", n, script()[n as usize].clone(), 200.0);
        send(&mut room, &board(DOCK), "d", n, script()[n as usize].clone(), 200.0);
    }
    assert_eq!(room.machines().len(), 2);
    for (run, card) in [("c", MAC), ("d", DOCK)] {
        assert_eq!(of_run(&room, run).life.state, State::Done);
        assert_eq!(of_run(&room, run).identity.macs(), [mac(card)]);
    }
}

#[test]
fn a_machine_that_boots_through_one_card_after_the_other_is_one() {
    let mut room = room();
    for mac in [MAC, DOCK] {
        room.boots(&id(Some(UUID), &[mac]), "10.0.0.9", 1.0).unwrap();
    }
    send(&mut room, &id(Some(UUID), &[DOCK, MAC]), "r", 0, script()[0].clone(), 30.0);
    assert_eq!(room.machines().len(), 1);
    assert_eq!(room.machines()[0].identity.macs(), [mac(DOCK), mac(MAC)]);
}

#[test]
fn docks_go_around_and_laptops_stay_themselves() {
    let (one, two) = (
        |dock| with_serial(Some(UUID), Some("S1"), &[dock]),
        |dock| with_serial(Some(UUID_2), Some("S2"), &[dock]),
    );
    let other_dock = "02:00:00:00:00:98";
    let mut room = room();
    play(&mut room, &one(DOCK), "a", 9, 0.0);
    play(&mut room, &two(DOCK), "b", 9, 100.0);
    play(&mut room, &one(other_dock), "c", 9, 200.0);
    assert_eq!(room.machines().len(), 2);
    let macs = |run| of_run(&room, run).identity.macs().to_vec();
    assert_eq!((macs("b"), macs("c")), (vec![mac(DOCK)], vec![mac(other_dock)]));
    assert_eq!(room.boots(&one(DOCK), "", 300.0).unwrap().0, Boot::Local);
    assert_eq!(room.machines().len(), 2);
}
