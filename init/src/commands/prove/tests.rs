//! Proof of disks that are files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use ezio_image::plan::Step;

use super::*;
use crate::test_image::{DISK, MIB, TestImage};

/// A disk with the image on it.
async fn written(image: &TestImage, folder: &Path) -> (Image, PathBuf) {
    let (fetched, disk) = (
        image_at(&image.path().display().to_string(), &Fetcher::new().unwrap()).await.unwrap().one().unwrap(),
        folder.join("disk"),
    );
    fs::write(&disk, vec![0xee; (DISK + MIB) as usize]).unwrap();
    let device = BlockTarget::open_exclusive(&disk).unwrap();
    let plan = fetched.plan_for_disk(device.size(), 512, &ezio_image::conf::Grow::None).unwrap();
    let mut from = 0;
    for run in image.runs.extents() {
        device.write_all_at(MIB + run.offset, &image.bytes[from..from + run.length as usize]).unwrap();
        from += run.length as usize;
    }
    write_rest(&device, &plan);
    (fetched, disk)
}

fn write_rest(device: &BlockTarget, plan: &Plan) {
    for step in plan.after_payload() {
        match step {
            Step::Write { offset, bytes, .. } => device.write_all_at(*offset, bytes).unwrap(),
            Step::Table { image, .. } => {
                image.writes().iter().for_each(|(at, bytes)| device.write_all_at(*at, bytes).unwrap());
            }
            _ => {}
        }
    }
}

/// What is wrong with the disk, and what is said of it.
fn looked_at(image: &Image, disk: &Path) -> (Vec<String>, Vec<String>) {
    let target = named(image, disk, &ProveOptions::default(), &SystemPaths::below(Path::new("/"))).unwrap();
    let (fixed, contents) = look(vec![target]).unwrap();
    let Wrong { places, count } = ezio_swarm::prove(&contents, |_| true).unwrap();
    assert_eq!(count, places.len() as u64);
    let wrong = fixed.wrong.into_iter().chain(places.into_iter().map(place));
    (wrong.map(|place| place.to_string()).collect(), fixed.notes)
}

fn flip(disk: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(disk).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[tokio::test]
async fn what_differs_is_named_and_what_the_image_does_not_use_does_not_count() {
    let (image, folder) = (TestImage::new(), tempfile::tempdir().unwrap());
    let (fetched, disk) = written(&image, folder.path()).await;
    let name = disk.display();
    flip(&disk, MIB + 50_000);
    assert_eq!(looked_at(&fetched, &disk), (Vec::new(), Vec::new()));
    let run = MIB + 65_536;
    // Content 40000 lies at byte 65536 of the partition; pieces of 16 KiB.
    let (piece, begins) = (3, run + 3 * 16_384 - 40_000);
    let other = "it gives back something else than belongs there";
    let swap = 9 * MIB;
    for (at, expected) in [
        (run + 10_000, format!("{name} at byte {begins} (piece {piece} of sda1): {other}")),
        (swap + 4090, format!("{name} at byte {swap}: swap sda2: something else is there")),
        (3, format!("{name} at byte 0: GPT with 2 partitions, boot code: something else is there")),
    ] {
        flip(&disk, at);
        assert_eq!(looked_at(&fetched, &disk).0, [expected]);
        flip(&disk, at);
    }
    let small = fs::File::options().write(true).open(&disk).unwrap();
    small.set_len(DISK - 4 * MIB).unwrap();
    let refused = named(&fetched, &disk, &ProveOptions::default(), &SystemPaths::below(Path::new("/")));
    assert!(refused.err().unwrap().to_string().contains("too small"));
}

#[tokio::test]
async fn a_table_with_ids_of_its_own_is_told_apart_from_a_damaged_one() {
    let (image, folder) = (TestImage::new(), tempfile::tempdir().unwrap());
    let (fetched, disk) = written(&image, folder.path()).await;
    let device = BlockTarget::open_exclusive(&disk).unwrap();
    let (renewed, _) = fetched.with_new_table_ids().unwrap();
    write_rest(&device, &renewed.plan_for_disk(device.size(), 512, &ezio_image::conf::Grow::None).unwrap());
    let (wrong, notes) = looked_at(&fetched, &disk);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(notes.iter().any(|note| note.contains("but for ids of its own")), "{notes:?}");
    // An entry's type, first in one copy alone.
    flip(&disk, 1024);
    assert_eq!(looked_at(&fetched, &disk).0.len(), 1);
    let size = device.size();
    flip(&disk, size - 33 * 512);
    let (wrong, _) = looked_at(&fetched, &disk);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
}

#[tokio::test]
async fn a_call_with_something_wrong_fails_and_says_how_much() {
    let (image, folder) = (TestImage::new(), tempfile::tempdir().unwrap());
    let (_, disk) = written(&image, folder.path()).await;
    let options = ProveOptions {
        image: Some(image.path().display().to_string()),
        targets: vec![disk.clone()],
        progress: Some(super::super::arguments::ProgressMode::None),
        ..ProveOptions::default()
    };
    prove(&options).await.unwrap();
    flip(&disk, MIB);
    flip(&disk, MIB + 39_999);
    let error = prove(&options).await.unwrap_err().to_string();
    assert!(error.starts_with("2 places differ from the image"), "{error}");
}
