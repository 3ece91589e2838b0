//! What a medium gives back otherwise than it was written is found, wherever it is.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use ezio_swarm::prove;
use ezio_swarm::storage::{Mirror, Storage};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

const PIECE: u32 = 16 << 10;

/// Bits to flip: some dozens, or as many as `EZIO_CASES` says.
fn cases() -> u32 {
    std::env::var("EZIO_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
}

#[test]
fn a_bit_that_is_flipped_anywhere_is_found_and_named() {
    let mut runner = TestRunner::new(Cases { failure_persistence: None, ..Cases::with_cases(cases()) });
    let image = runs("sda1", PIECE, &[100_000, 1, 700_000, 16 << 10, 33_333]);
    let images = [image.clone()];
    let (one, two) = (Disk::full(&images), Disk::full(&images));
    let mirror = Mirror::new(one.storages(&images).remove(0), vec![two.storages(&images).remove(0)]);
    let content = contents(&images, vec![Arc::new(mirror)], false);
    assert!(prove(&content, |_| true).unwrap().places.is_empty());
    let total = image.metainfo.total_length();
    runner
        .run(&(0..total, 0u32..8, any::<bool>()), |(byte, bit, second)| {
            let disk = if second { &two } else { &one };
            let storage = disk.storages(&images).remove(0);
            let mut was = [0];
            storage.read_at(byte, &mut was).unwrap();
            storage.write_at(byte, &[was[0] ^ (1 << bit)]).unwrap();
            let wrong = prove(&content, |_| true).unwrap().places;
            storage.write_at(byte, &was).unwrap();
            let named: Vec<_> = wrong.iter().map(|e| (e.piece.clone(), e.content_offset)).collect();
            let piece = byte / u64::from(PIECE);
            let expected = (Some(("sda1".to_owned(), piece as u32)), Some(piece * u64::from(PIECE)));
            prop_assert_eq!(named, [expected]);
            let offset = image.extents.slices(piece * u64::from(PIECE), 1).next().unwrap().offset;
            prop_assert_eq!(wrong[0].device_offset, offset);
            let text = wrong[0].to_string();
            prop_assert_eq!(
                text,
                format!("cannot prove disk at byte {} (piece {piece} of sda1)", offset.unwrap())
            );
            Ok(())
        })
        .unwrap();
    assert!(prove(&content, |_| true).unwrap().places.is_empty());
}

#[test]
fn a_medium_that_ends_early_or_lies_is_found() {
    let images = [raw("disk", PIECE, 10 * PIECE as usize)];
    let short = tempfile::tempfile().unwrap();
    short.write_all_at(&images[0].content[..4 * PIECE as usize + 1], 0).unwrap();
    let short = Disk::of_file(short).storages(&images);
    let missing = prove(&contents(&images, short, false), |_| true).unwrap();
    assert_eq!((missing.count, missing.places.len()), (6, 6), "{missing:?}");
    let liar: Vec<Arc<dyn Storage>> =
        vec![Arc::new(Corrupt(Disk::full(&images).storages(&images).remove(0)))];
    assert_eq!(prove(&contents(&images, liar, false), |_| true).unwrap().count, 10);
}

#[test]
fn of_a_disk_with_another_content_only_the_first_places_are_kept() {
    let images = [raw("disk", PIECE, 1000 * PIECE as usize)];
    let other = tempfile::tempfile().unwrap();
    other.set_len(1000 * u64::from(PIECE)).unwrap();
    let content = contents(&images, Disk::of_file(other).storages(&images), false);
    let most = AtomicU64::new(0);
    let watch = |compared: u64| most.fetch_max(compared, Ordering::Relaxed) <= 1000 * u64::from(PIECE);
    let wrong = prove(&content, watch).unwrap();
    assert_eq!(wrong.count, 1000);
    assert!((1..100).contains(&wrong.places.len()), "{}", wrong.places.len());
    assert_eq!(most.into_inner(), 1000 * u64::from(PIECE), "all is compared, and said");
}

#[test]
fn a_proof_that_is_given_up_says_nothing() {
    let images = [raw("disk", PIECE, 10 * PIECE as usize)];
    let content = contents(&images, Disk::full(&images).storages(&images), false);
    assert!(prove(&content, |_| false).is_none());
}
