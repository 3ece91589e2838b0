//! Places in the trees: who keeps them, and what both trees get.

use std::time::Duration;

use ezio_scheduler::{
    Blocks, Config, ConnId, Geometry, Input, Output, Peer, PieceId, Place, Role, Scheduler, Start, TorrentId,
    TorrentShape,
};

use super::{peer, tell};

/// Two machines that dial each other have two connections for a moment, and close one.
#[test]
fn a_place_is_given_up_only_when_a_parent_stays_away() {
    let [server, parent, again] = [ConnId(0), ConnId(1), ConnId(2)];
    let shape = TorrentShape { piece_length: 32768, total_length: 300_000 };
    let mut scheduler = Scheduler::new(Config::new(Role::Member, 9), Geometry::new([shape]), &[Start::None]);
    let mut gives_up = |ms, input: Option<Input<'_>>| {
        let mut out = Vec::new();
        input.into_iter().for_each(|input| scheduler.handle(Duration::from_millis(ms), input));
        scheduler.poll(Duration::from_millis(ms), &mut out);
        out.contains(&Output::Place(server, None))
    };
    assert!(!gives_up(0, Some(Input::Connected(server, peer(0, Role::Server)))));
    assert!(!gives_up(1, Some(Input::Connected(parent, peer(1, Role::Member)))));
    let place = Place { parents: [1, 2], from: [0, 1], children: [None; 2] };
    assert!(!gives_up(2, Some(Input::Placed(server, Some(place)))));
    assert!(!gives_up(3, Some(Input::Closed(parent))), "the other parent is not there yet either");
    assert!(!gives_up(4, Some(Input::Connected(again, peer(1, Role::Member)))));
    assert!(!gives_up(4900, None));
    assert!(gives_up(5200, None), "the second parent never came");
}

/// The server in front of two trees, with two members, one next to it in each. `link` says, by the milliseconds passed and who
/// of them has data in the kernel's queue, whose 32 KiB leave next and how long they take. How many pieces each gets in `seconds`,
/// and whether they keep their places, also those for a second torrent, whose time has not come.
fn two_trees(seconds: u64, mut link: impl FnMut(u64, [bool; 2]) -> (usize, u64)) -> ([u32; 2], bool) {
    let shape = TorrentShape { piece_length: 32768, total_length: 4000 * 32768 };
    let mut config = Config::new(Role::Server, 9);
    (config.tuning.forest, config.tuning.settle) = (2, Duration::ZERO);
    let mut scheduler = Scheduler::new(config, Geometry::new([shape; 2]), &[Start::All; 2]);
    let (mut out, mut ms, mut ticked) = (Vec::new(), 0, 0);
    let (mut got, mut queued, mut keep) = ([0; 2], [0; 2], true);
    let ask = |member: usize, n: u32| {
        let piece = PieceId(2 * n + member as u32);
        Input::Requested(ConnId(member as u32), Blocks { piece, first: 0, count: 2 })
    };
    for (id, member, torrent) in [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1)] {
        let peer = Peer { torrent: TorrentId(torrent), ..peer(member, Role::Member) };
        tell(&mut scheduler, Duration::ZERO, Input::Connected(ConnId(id), peer), &mut out);
        tell(&mut scheduler, Duration::ZERO, Input::HaveNone(ConnId(id)), &mut out);
    }
    (0..16).for_each(|n| tell(&mut scheduler, Duration::ZERO, ask(n % 2, n as u32 / 2), &mut out));
    while ms < 1000 * seconds {
        for output in out.drain(..) {
            match output {
                Output::Serve(ConnId(member), blocks) => queued[member as usize] += blocks.count,
                Output::Place(_, place) => keep &= place.is_some(),
                _ => {}
            }
        }
        let (member, took) = link(ms, queued.map(|blocks| blocks >= 2));
        ms += took;
        let now = Duration::from_millis(ms);
        let id = ConnId(member as u32);
        tell(&mut scheduler, now, Input::Sent(id, 32768), &mut out);
        tell(&mut scheduler, now, Input::Have(id, &[PieceId(2 * got[member] + id.0)]), &mut out);
        queued[member] -= 2;
        got[member] += 1;
        tell(&mut scheduler, now, ask(member, got[member] + 7), &mut out);
        if ms >= ticked + 50 {
            ticked = ms;
            scheduler.poll(now, &mut out);
        }
    }
    (got, keep)
}

/// Both next to the server ask for all they can get, and all others need both trees.
#[test]
fn trees_get_the_same_however_the_kernel_shares_the_link() {
    let mut turn = 0;
    let ([even, odd], keep) = two_trees(30, |_, [even, odd]| {
        turn += 1;
        (usize::from(odd && (!even || turn % 10 == 0)), 33)
    });
    assert!(keep && even.abs_diff(odd) <= 4 && even + odd > 900, "{even} {odd}");
}

#[test]
fn trees_end_when_a_slow_member_next_to_the_server_holds_up_all() {
    let link = |slow_from: u64| {
        move |ms: u64, [even, odd]: [bool; 2]| {
            let odd = odd && (!even || ms.is_multiple_of(2));
            (usize::from(odd), if odd && ms >= slow_from { 330 } else { 33 })
        }
    };
    assert!(two_trees(20, link(u64::MAX)).1);
    assert!(!two_trees(20, link(6_000)).1);
}
