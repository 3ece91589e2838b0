//! What must hold of the scheduler, whatever happens: it asks for nothing it has, keeps its bounds, sends what was asked and
//! nothing else, and every healthy member finishes as long as the pieces exist.
//!
//! A failure prints the room, its seed included, and is kept for replay in `proptest-regressions`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod ledger;
mod world;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use ezio_scheduler::{
    BLOCK_SIZE, Blocks, Config, ConnId, Geometry, Input, Output, Pace, Peer, PieceId, Place, REQUEST_QUEUE,
    Role, SENT_AT_ONCE, Scheduler, SiteId, Start, TorrentId, TorrentShape,
};
use proptest::prelude::*;

use world::{Room, World};

fn torrents() -> impl Strategy<Value = Vec<TorrentShape>> {
    let shape = (0u32..4, 1u64..1_000_000)
        .prop_map(|(power, total_length)| TorrentShape { piece_length: 16384 << power, total_length });
    prop::collection::vec(shape, 1..4)
}

prop_compose! {
    fn room()(
        seed in any::<u64>(),
        torrents in torrents(),
        members in 1usize..7,
        meshes in prop_oneof![2 => Just(0u8), 1 => Just(u8::MAX), 1 => any::<u8>()],
        forest in 1u32..12,
        memory in 32_768u64..4_000_000,
        foreign in prop::option::of(any::<bool>()),
        corrupt in prop::option::weighted(0.3, 1usize..7),
        silent in prop::option::weighted(0.3, (1usize..7, 100u64..4000)),
        breaks in prop::collection::vec(100u64..8000, 0..6),
        sites in 0u16..4,
        found in prop::option::of(0u64..4000),
        settle in 0u64..1000,
        old in prop_oneof![2 => Just(0u8), 1 => 0u8..101],
    ) -> Room {
        let settle = Duration::from_millis(settle);
        let breaks = breaks.into_iter().map(Duration::from_millis).collect();
        let found = found.map(Duration::from_millis);
        let silent = silent.map(|(node, ms)| (node, Duration::from_millis(ms)));
        Room { seed, torrents, members, meshes, forest, settle, memory, foreign, corrupt, silent, breaks, sites, old, found }
    }
}

/// Any input, sensible or not; connections 0 to 3.
fn input() -> impl Strategy<Value = Input<'static>> {
    let conn = (0u32..4).prop_map(ConnId);
    let number = prop_oneof![4 => 0u32..20, 1 => any::<u32>()];
    let role = prop::sample::select(vec![Role::Server, Role::Member, Role::Foreign]);
    let blocks = (
        number.clone(),
        prop_oneof![4 => 0u32..5, 1 => any::<u32>()],
        prop_oneof![4 => 0u32..5, 1 => any::<u32>()],
    )
        .prop_map(|(piece, first, count)| Blocks { piece: PieceId(piece), first, count });
    let piece = number.prop_map(PieceId);
    let peer = (0u16..3, 0u64..3, role, prop::option::of((0u16..2).prop_map(SiteId)), any::<bool>())
        .prop_map(|(torrent, member, role, site, fast)| Peer {
            torrent: TorrentId(torrent),
            member,
            role,
            site,
            fast,
            queue: REQUEST_QUEUE,
        });
    let place = prop::option::of((any::<[u32; 2]>(), prop::array::uniform2(0u64..3))).prop_map(|place| {
        place.map(|(from, parents)| Place {
            parents,
            children: parents.map(Some),
            from: from.map(|f| f % 20),
        })
    });
    let pace = (0u64..4, any::<u32>(), any::<u32>()).prop_map(|(member, bytes, ms)| Pace {
        member,
        bytes,
        busy: Duration::from_millis(ms.into()),
    });
    let paces = prop::collection::vec(pace, 0..6);
    let site = prop::option::of((0u16..2).prop_map(SiteId));
    prop_oneof![
        (conn.clone(), place).prop_map(|(c, p)| Input::Placed(c, p)),
        (conn.clone(), peer).prop_map(|(c, p)| Input::Connected(c, p)),
        conn.clone().prop_map(Input::Closed),
        (conn.clone(), prop::sample::select(vec![&b"\xff\xff\xff"[..], b"\xa0", b""]))
            .prop_map(|(c, b)| Input::Bitfield(c, b)),
        conn.clone().prop_map(Input::HaveAll),
        conn.clone().prop_map(Input::HaveNone),
        (conn.clone(), prop::collection::vec(piece.clone(), 0..4))
            .prop_map(|(c, p)| Input::Have(c, p.leak())),
        conn.clone().prop_map(Input::Choked),
        conn.clone().prop_map(Input::Unchoked),
        conn.clone().prop_map(Input::Interested),
        conn.clone().prop_map(Input::NotInterested),
        (conn.clone(), piece.clone()).prop_map(|(c, p)| Input::Suggested(c, p)),
        (conn.clone(), blocks.clone()).prop_map(|(c, b)| Input::Rejected(c, b)),
        (conn.clone(), blocks.clone()).prop_map(|(c, b)| Input::Arrived(c, b)),
        (conn.clone(), paces).prop_map(|(c, p)| Input::Reported(c, p.leak())),
        site.clone().prop_map(Input::OwnSite),
        (conn.clone(), site).prop_map(|(c, s)| Input::PeerSite(c, s)),
        piece.clone().prop_map(Input::Verified),
        piece.clone().prop_map(Input::Failed),
        piece.clone().prop_map(Input::Stored),
        piece.clone().prop_map(Input::Sought),
        piece.clone().prop_map(Input::Found),
        piece.prop_map(Input::Absent),
        (conn.clone(), blocks.clone()).prop_map(|(c, b)| Input::Requested(c, b)),
        (conn.clone(), blocks).prop_map(|(c, b)| Input::Cancelled(c, b)),
        (conn, any::<u32>()).prop_map(|(c, bytes)| Input::Sent(c, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn every_healthy_member_finishes_and_all_rules_hold(room in room()) {
        World::new(&room).run();
    }

    #[test]
    fn nothing_that_a_peer_sends_breaks_it(
        role in prop::sample::select(vec![Role::Server, Role::Member]),
        inputs in prop::collection::vec((input(), 0u64..200, any::<bool>()), 0..200),
    ) {
        let shape = TorrentShape { piece_length: 32768, total_length: 300_000 };
        let geometry = Geometry::new([shape, shape]);
        let start = if role == Role::Server { Start::All } else { Start::None };
        let mut scheduler = Scheduler::new(Config::new(role, 1), geometry, &[start, start]);
        let (mut now, mut out) = (Duration::ZERO, Vec::new());
        for (input, wait, alone) in inputs {
            now += Duration::from_millis(wait);
            scheduler.handle(now, input);
            if alone {
                scheduler.poll(now, &mut out);
            }
            prop_assert!(scheduler.outstanding() <= 2 * (96 << 20));
        }
    }
}

/// Tells one input, and runs the rules.
fn tell(scheduler: &mut Scheduler, now: Duration, input: Input<'_>, out: &mut Vec<Output>) {
    scheduler.handle(now, input);
    scheduler.poll(now, out);
}

fn peer(member: u64, role: Role) -> Peer {
    Peer { torrent: TorrentId(0), member, role, site: None, fast: true, queue: REQUEST_QUEUE }
}

#[test]
fn what_was_to_be_said_to_one_peer_is_not_said_to_the_next_by_its_number() {
    let shape = TorrentShape { piece_length: 32768, total_length: 32768 };
    let mut scheduler = Scheduler::new(Config::new(Role::Member, 9), Geometry::new([shape]), &[Start::None]);
    let (id, mut out) = (ConnId(0), Vec::new());
    let stranger = Peer { torrent: TorrentId(7), ..peer(1, Role::Member) };
    for input in
        [Input::Connected(id, stranger), Input::Closed(id), Input::Connected(id, peer(2, Role::Member))]
    {
        scheduler.handle(Duration::ZERO, input);
    }
    scheduler.poll(Duration::ZERO, &mut out);
    assert_eq!(out, [Output::Unchoke(id)]);
}

#[test]
fn what_was_cancelled_is_not_refused() {
    let shape = TorrentShape { piece_length: 65536, total_length: 65536 };
    let mut scheduler = Scheduler::new(Config::new(Role::Member, 9), Geometry::new([shape]), &[Start::None]);
    let (id, piece, mut out) = (ConnId(0), PieceId(0), Vec::new());
    let asked = Blocks { piece, first: 0, count: 4 };
    let stranger = Peer { fast: true, ..peer(2, Role::Foreign) };
    for input in [
        Input::Connected(id, stranger),
        Input::Requested(id, asked),
        Input::Cancelled(id, Blocks::one(piece, 1)),
    ] {
        scheduler.handle(Duration::ZERO, input);
    }
    scheduler.poll(Duration::ZERO, &mut out);
    out.retain(|output| matches!(output, Output::Reject(..)));
    let behind = Blocks { piece, first: 2, count: 2 };
    assert_eq!(out, [Output::Reject(id, Blocks::one(piece, 0)), Output::Reject(id, behind)]);
}

/// It need not be the only one that has the block, and may be.
#[test]
fn a_peer_that_skips_a_request_is_asked_once_more_after_two_seconds() {
    let (id, piece) = (ConnId(0), PieceId(0));
    let shape = TorrentShape { piece_length: 32768, total_length: 32768 };
    let mut scheduler = Scheduler::new(Config::new(Role::Member, 9), Geometry::new([shape]), &[Start::None]);
    let mut out = Vec::new();
    let foreign = Input::Connected(id, peer(1, Role::Foreign));
    for input in [foreign, Input::HaveAll(id), Input::Unchoked(id)] {
        tell(&mut scheduler, Duration::ZERO, input, &mut out);
    }
    assert!(out.contains(&Output::Request(id, Blocks { piece, first: 0, count: 2 })), "{out:?}");
    out.clear();
    let mut asked = Vec::new();
    for ms in (0..60_000).step_by(50) {
        if ms == 100 {
            scheduler.handle(Duration::from_millis(ms), Input::Arrived(id, Blocks::one(piece, 1)));
        }
        scheduler.poll(Duration::from_millis(ms), &mut out);
        for output in out.drain(..) {
            match output {
                Output::Request(_, blocks) if blocks == Blocks::one(piece, 0) => asked.push(ms),
                Output::Disconnect(..) => asked.push(ms),
                _ => {}
            }
        }
        if scheduler.outstanding() == 0 {
            break;
        }
    }
    assert!((2000..3000).contains(&asked[0]), "{asked:?}");
    assert!(asked.last().is_some_and(|end| (30_000..31_000).contains(end)), "{asked:?}");
}

/// It answers all others, so that it is not silent; and another has the block, or comes to have it.
#[test]
fn a_peer_that_never_answers_one_request_costs_two_seconds() {
    for (role, answers, other_comes) in [(Role::Member, 0, 0), (Role::Foreign, 3, 0), (Role::Member, 3, 1500)]
    {
        let (never, other, piece) = (ConnId(0), ConnId(1), PieceId(0));
        let shape = TorrentShape { piece_length: 65536, total_length: 65536 };
        let config = Config::new(Role::Member, 9);
        let mut scheduler = Scheduler::new(config, Geometry::new([shape]), &[Start::None]);
        let mut out = Vec::new();
        let mut asked = None;
        for ms in (0..60_000).step_by(50) {
            let now = Duration::from_millis(ms);
            for (id, role, comes) in [(never, role, 0), (other, Role::Member, other_comes)] {
                let comes = comes == ms;
                let there =
                    [Input::Connected(id, peer(id.0.into(), role)), Input::HaveAll(id), Input::Unchoked(id)];
                there
                    .into_iter()
                    .filter(|_| comes)
                    .for_each(|input| tell(&mut scheduler, now, input, &mut out));
            }
            let answer =
                (1..=3).find(|block| ms == 100 * u64::from(*block)).filter(|block| *block <= answers);
            answer.into_iter().for_each(|block| {
                tell(&mut scheduler, now, Input::Arrived(never, Blocks::one(piece, block)), &mut out);
            });
            scheduler.poll(now, &mut out);
            let first =
                |output: Output| matches!(output, Output::Request(id, b) if id == other && b.first == 0);
            if out.drain(..).any(first) {
                asked = Some(ms);
                break;
            }
        }
        assert!(asked.is_some_and(|ms| ms <= 2100), "{role:?}, {answers} answers: {asked:?}");
    }
}

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

#[test]
fn a_neighbour_is_told_every_other_second_of_all_that_is_not_rare() {
    let shape = TorrentShape { piece_length: 32768, total_length: 80 * 32768 };
    let mut scheduler = Scheduler::new(Config::new(Role::Member, 9), Geometry::new([shape]), &[Start::None]);
    let (holders, listener) = (0..4, ConnId(4));
    let mut out = Vec::new();
    for id in 0..5 {
        let peer = peer(id.into(), Role::Member);
        tell(&mut scheduler, Duration::ZERO, Input::Connected(ConnId(id), peer), &mut out);
        let has =
            if holders.contains(&id) { Input::HaveAll(ConnId(id)) } else { Input::HaveNone(ConnId(id)) };
        tell(&mut scheduler, Duration::ZERO, has, &mut out);
        tell(&mut scheduler, Duration::ZERO, Input::Unchoked(ConnId(id)), &mut out);
    }
    let (mut asked, mut verified, mut told) = (VecDeque::new(), HashMap::new(), BTreeMap::new());
    for ms in (0..12_000).step_by(50) {
        let now = Duration::from_millis(ms);
        scheduler.poll(now, &mut out);
        if let Some((id, blocks)) = asked.pop_front() {
            tell(&mut scheduler, now, Input::Arrived(id, blocks), &mut out);
        }
        while let Some(at) = out.iter().position(|o| matches!(o, Output::Check(_))) {
            if let Output::Check(piece) = out.swap_remove(at) {
                verified.insert(piece, ms);
                tell(&mut scheduler, now, Input::Verified(piece), &mut out);
            }
        }
        for output in out.drain(..) {
            match output {
                Output::Request(id, blocks) => asked.push_back((id, blocks)),
                Output::Have(id, piece) if id == listener => {
                    told.entry(ms).or_insert_with(Vec::new).push(piece)
                }
                _ => {}
            }
        }
    }
    assert_eq!((verified.len(), told.values().map(Vec::len).sum()), (80, 80));
    assert!(told.iter().all(|(ms, pieces)| pieces.iter().all(|p| ms - verified[p] <= 2200)), "{told:?}");
    assert!(told.len() <= 3, "{told:?}");
}

/// Whatever a machine sends at once takes its time on a thin link, and now and then the machine has something else to do.
#[test]
fn a_thin_link_serves_few_at_a_time() {
    let shape = TorrentShape { piece_length: 32768, total_length: 400 * 32768 };
    let mut scheduler = Scheduler::new(Config::new(Role::Server, 9), Geometry::new([shape]), &[Start::All]);
    let mut out = Vec::new();
    for (id, piece) in (0..20).flat_map(|id| (0..20).map(move |n| (ConnId(id), PieceId(20 * id + n)))) {
        if piece.0 % 20 == 0 {
            tell(
                &mut scheduler,
                Duration::ZERO,
                Input::Connected(id, peer(id.0.into(), Role::Member)),
                &mut out,
            );
            tell(&mut scheduler, Duration::ZERO, Input::HaveNone(id), &mut out);
        }
        let piece = Blocks { piece, first: 0, count: 2 };
        tell(&mut scheduler, Duration::ZERO, Input::Requested(id, piece), &mut out);
    }
    let (mut ms, mut served, mut most) = (0, VecDeque::<(ConnId, u32)>::new(), 0);
    for round in 0..400 {
        for output in out.drain(..) {
            let Output::Serve(id, blocks) = output else { continue };
            let bytes = blocks.count * BLOCK_SIZE;
            match served.iter_mut().find(|(other, _)| *other == id) {
                Some((_, left)) => *left += bytes,
                None => served.push_back((id, bytes)),
            }
        }
        most = most.max(served.len());
        let (id, left) = served.pop_front().expect("there is always somebody to be served");
        let bytes = left.min(SENT_AT_ONCE);
        ms += if round % 50 == 49 { 180 } else { 33 };
        served.extend((left > bytes).then_some((id, left - bytes)));
        tell(&mut scheduler, Duration::from_millis(ms), Input::Sent(id, bytes), &mut out);
    }
    assert_eq!(most, 5);
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
