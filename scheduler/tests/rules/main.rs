//! What must hold of the scheduler, whatever happens: it asks for nothing it has, keeps its bounds, sends what was asked and
//! nothing else, and every healthy member finishes as long as the pieces exist.
//!
//! A failure prints the room, its seed included, and is kept for replay in `proptest-regressions`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod ledger;
mod peers;
mod trees;
mod world;

use std::time::Duration;

use ezio_scheduler::{
    Blocks, Config, ConnId, Echo, Geometry, Input, Output, Pace, Peer, PieceId, Place, REQUEST_QUEUE, Role,
    Route, Routes, Scheduler, SiteId, Start, TorrentId, TorrentShape,
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
        sites in 0u16..8,
        ring in 0u32..9,
        found in prop::option::of(0u64..4000),
        settle in 0u64..1000,
        old in prop_oneof![2 => Just(0u8), 1 => 0u8..101],
    ) -> Room {
        let settle = Duration::from_millis(settle);
        let breaks = breaks.into_iter().map(Duration::from_millis).collect();
        let found = found.map(Duration::from_millis);
        let silent = silent.map(|(node, ms)| (node, Duration::from_millis(ms)));
        Room { seed, torrents, members, meshes, forest, settle, memory, foreign, corrupt, silent, breaks, sites, ring, old, found }
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
    let echo = (0u64..4, any::<u32>())
        .prop_map(|(member, us)| Echo { member, time: Duration::from_micros(us.into()) });
    let echoes = prop::collection::vec(echo, 0..6);
    let site = prop::option::of((0u16..2).prop_map(SiteId));
    let some = prop::collection::btree_set((0u16..3).prop_map(SiteId), 0..3);
    let route = (some.clone(), some).prop_map(|(from, to)| Route { from, to });
    let routes = [route.clone(), route].prop_map(Routes);
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
        (conn.clone(), echoes).prop_map(|(c, e)| Input::Echoes(c, e.leak())),
        conn.clone().prop_map(Input::Echoed),
        Just(Input::Meet),
        site.clone().prop_map(Input::OwnSite),
        routes.prop_map(|routes| Input::Routes(Box::leak(Box::new(routes)))),
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
