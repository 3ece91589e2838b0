//! What the targets hold already stays there, is served to others, and is believed only when it was hashed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use common::*;
use ezio_image::conf::Reuse;
use ezio_swarm::storage::{Mirror, Storage};
use ezio_swarm::{Config, Role, Swarm};
use proptest::prelude::*;

const PIECE: usize = 16 << 10;

/// What a piece of a target was before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Old {
    Same,
    Zeros,
    /// All but one bit is right.
    Flipped(usize),
    Other(u8),
}

fn old() -> impl Strategy<Value = Old> {
    prop_oneof![
        4 => Just(Old::Same),
        1 => Just(Old::Zeros),
        1 => (0..PIECE * 8).prop_map(Old::Flipped),
        1 => any::<u8>().prop_map(Old::Other),
    ]
}

fn age(content: &[u8], old: &[Old]) -> Vec<u8> {
    let pieces = content.chunks(PIECE).zip(old.iter().cycle());
    let mut aged = Vec::new();
    for (piece, old) in pieces {
        let mut piece = piece.to_vec();
        match *old {
            Old::Same => {}
            Old::Zeros => piece.fill(0),
            Old::Flipped(bit) => {
                let length = piece.len();
                piece[bit / 8 % length] ^= 1 << (bit % 8);
            }
            Old::Other(byte) => piece.fill(byte),
        }
        aged.extend(piece);
    }
    aged
}

/// Bytes of pieces that are no zeros and the same in all of these.
fn kept(content: &[u8], disks: &[&[u8]]) -> u64 {
    let pieces = content.chunks(PIECE).enumerate();
    let same = |at: usize, piece: &[u8]| disks.iter().all(|disk| &disk[at * PIECE..][..piece.len()] == piece);
    let kept = pieces.filter(|(at, piece)| piece.iter().any(|b| *b != 0) && same(*at, piece));
    kept.map(|(_, piece)| piece.len() as u64).sum()
}

/// A member of which these storages are the disks, alike.
async fn member_on(image: &Image, mut disks: Vec<Arc<dyn Storage>>, reuse: Reuse, server: &Swarm) -> Swarm {
    let first = disks.remove(0);
    let storage = if disks.is_empty() { first } else { Arc::new(Mirror::new(first, disks)) };
    let config = Config { peers: vec![server.listen_addr()], reuse, ..config(Role::Member) };
    Swarm::start(config, contents(std::slice::from_ref(image), vec![storage], false)).await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn whatever_was_there_the_image_is_there_then_and_only_what_was_right_is_kept(
        olds in prop::collection::vec(prop::collection::vec(old(), 1..60), 1..3),
        zeros in prop::collection::vec(0usize..80, 0..8),
        length in 1usize..80 * PIECE,
        reuse in prop::sample::select(vec![Reuse::Auto, Reuse::Never, Reuse::Always]),
    ) {
        let mut bytes = content(length as u64, length);
        for piece in zeros {
            bytes.chunks_mut(PIECE).nth(piece).into_iter().for_each(|piece| piece.fill(0));
        }
        let before: Vec<Vec<u8>> = olds.iter().map(|old| age(&bytes, old)).collect();
        let expected = kept(&bytes, &before.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let images = [of("disk", PIECE as u32, bytes)];
        let disks: Vec<Disk> = before.iter().map(|bytes| Disk::holding(bytes)).collect();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let server = server(&images).await;
            let storages = disks.iter().map(|disk| disk.storages(&images).remove(0)).collect();
            let member = member_on(&images[0], storages, reuse, &server).await;
            completed(&member).await.unwrap();
            disks.iter().for_each(|disk| disk.assert_holds(&images));
            let progress = *member.progress().borrow();
            assert_eq!(progress.done_bytes, length as u64);
            match reuse {
                Reuse::Never => assert_eq!(progress.kept_bytes, 0),
                Reuse::Always => assert!(progress.kept_bytes <= expected),
                Reuse::Auto => assert!(progress.kept_bytes <= expected),
            }
            // What was given up unread came from the server.
            assert_eq!(
                progress.from_server_bytes + progress.from_peers_bytes,
                length as u64 - progress.zero_bytes - progress.kept_bytes
            );
        });
    }
}

/// The server is not asked for what is there: of a hundred pieces of which five differ, five travel.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_fetches_what_has_changed() {
    let bytes = content(9, 400 * PIECE);
    let mut old = bytes.clone();
    (0..400).step_by(20).for_each(|piece| old[piece * PIECE + 1] ^= 4);
    let images = [of("disk", PIECE as u32, bytes)];
    let server = server(&images).await;
    let disks: Vec<Disk> = (0..5).map(|_| Disk::holding(&old)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member_on(&images[0], disk.storages(&images), Reuse::Auto, &server).await);
    }
    introduce(&members.iter().collect::<Vec<_>>());
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(&images);
        let progress = *member.progress().borrow();
        assert_eq!(progress.kept_bytes, 380 * PIECE as u64);
        assert_eq!(progress.from_server_bytes + progress.from_peers_bytes, 20 * PIECE as u64);
        assert_eq!(member.write_stats().bytes, 20 * PIECE as u64, "what is there is not written again");
    }
}

/// Who has found a piece serves it, though nobody has sent it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_offered_to_others() {
    let images = [raw("disk", PIECE as u32, 100 * PIECE)];
    let full = Disk::full(&images);
    let config = Config { reuse: Reuse::Auto, ..config(Role::Member) };
    let holder = Swarm::start(config, contents(&images, full.storages(&images), false)).await.unwrap();
    completed(&holder).await.unwrap();
    let blank = Disk::blank(&images);
    let other = member(&images, &blank, &[holder.listen_addr()]).await;
    completed(&other).await.unwrap();
    blank.assert_holds(&images);
}

/// The power fails at some moment, and the machine starts again: what it had is not fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_starts_again_goes_on_where_it_was() {
    let images = [raw("disk", PIECE as u32, 300 * PIECE)];
    let total = 300 * PIECE as u64;
    for part in [30, 110, 250] {
        let slow = Config { limit_up: Some(4_000_000), ..config(Role::Server) };
        let server = server_with(&images, slow).await;
        let disk = Disk::used(&images);
        let first = member_on(&images[0], disk.storages(&images), Reuse::Auto, &server).await;
        verified(&first, part * PIECE as u64).await;
        drop(first);
        let again = member_on(&images[0], disk.storages(&images), Reuse::Auto, &server).await;
        completed(&again).await.unwrap();
        disk.assert_holds(&images);
        let progress = *again.progress().borrow();
        assert_eq!(progress.kept_bytes + progress.from_server_bytes, total);
        if part > 100 {
            assert!(progress.kept_bytes > total / 6, "{progress:?}");
        }
    }
}
