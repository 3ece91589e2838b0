//! What one scheduler says to the peers around it, and what it does about those that do not answer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use ezio_scheduler::{
    BLOCK_SIZE, Blocks, Config, ConnId, Geometry, Input, Output, Peer, PieceId, Role, SENT_AT_ONCE,
    Scheduler, SiteId, Start, TorrentId, TorrentShape,
};

use super::{peer, tell};

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
        // Who knows where it is sends no probes.
        let config = Config { site: Some(SiteId(0)), ..Config::new(Role::Member, 9) };
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
