//! `write` against a swarm in this process.

use std::net::SocketAddr;
use std::path::PathBuf;

use ezio_image::conf::SeedPolicy;
use ezio_image::extents::{Extent, ExtentMap};
use ezio_swarm::Swarm;

use super::*;
use crate::commands::arguments::ProgressMode;
use crate::test_image::{content, seeder, torrent};

/// A seeder of these bytes, and the torrent file for it.
struct Room {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    swarm: Swarm,
}

impl Room {
    async fn new(bytes: Vec<u8>, runs: Option<ExtentMap>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metainfo = torrent("sda1", &bytes, runs.as_ref());
        std::fs::write(dir.path().join("sda1.torrent"), metainfo.to_torrent(&[])).unwrap();
        let swarm = seeder(&metainfo, &bytes).await;
        Self { dir, bytes, swarm }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self, target: &str) -> WriteOptions {
        WriteOptions {
            source: self.path("sda1.torrent").display().to_string(),
            target: self.path(target),
            progress: Some(ProgressMode::None),
            seed: SeedPolicy::NONE,
            peers: vec![self.swarm.listen_addr()],
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            limit_up: None,
            limit_down: None,
            dry_run: false,
            force: false,
            partition: None,
            exact: false,
            yes: false,
        }
    }
}

async fn run(options: &WriteOptions) -> anyhow::Result<Result<(), Stopped>> {
    let mut signals = StopSignals::listen().unwrap();
    let bound = std::time::Duration::from_secs(60);
    tokio::time::timeout(bound, write(options, &mut signals)).await.expect("has not ended")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_image_makes_a_file_of_its_size() {
    let room = Room::new(content(300_001), None).await;
    run(&room.options("target")).await.unwrap().unwrap();
    assert_eq!(std::fs::read(room.path("target")).unwrap(), room.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_to_their_offsets_and_old_signatures_are_cleared() {
    let runs = [(4096, 50_000), (100_000, 1), (1 << 20, 70_000)];
    let runs = runs.iter().map(|&(offset, length)| Extent { offset, length }).collect();
    let map = ExtentMap::new(runs).unwrap();
    let room = Room::new(content(120_001), Some(map.clone())).await;
    const SIZE: usize = 8 << 20;
    std::fs::write(room.path("target"), vec![0xee; SIZE]).unwrap();
    run(&room.options("target")).await.unwrap().unwrap();
    // Head and tail are cleared where no run lies; between them nothing is touched.
    let mut expected = vec![0xee; SIZE];
    expected[..(4 << 20) + 4096].fill(0);
    expected[SIZE - (2 << 20)..].fill(0);
    let mut from = 0;
    for extent in map.extents() {
        let (offset, length) = (extent.offset as usize, extent.length as usize);
        expected[offset..offset + length].copy_from_slice(&room.bytes[from..from + length]);
        from += length;
    }
    assert_eq!(std::fs::read(room.path("target")).unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_nothing() {
    let room = Room::new(content(100), None).await;
    run(&WriteOptions { dry_run: true, ..room.options("target") }).await.unwrap().unwrap();
    assert!(!room.path("target").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_ends_by_its_bound() {
    let room = Room::new(content(100_000), None).await;
    let seed = "ratio=5,time=1s".parse().unwrap();
    let began = std::time::Instant::now();
    run(&WriteOptions { seed, ..room.options("target") }).await.unwrap().unwrap();
    assert!(began.elapsed() >= std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let room = Room::new(content(100), None).await;
    let source = |source: &str| WriteOptions { source: source.into(), ..room.options("target") };
    let target = |target: &str| WriteOptions { target: target.into(), ..room.options("") };
    std::fs::write(room.path("bad.torrent"), b"d4:infoe").unwrap();
    let bad = room.path("bad.torrent").display().to_string();
    for (options, word) in [
        (source("https://server/a.torrent"), "https is not supported"),
        (source("/nonexistent.torrent"), "/nonexistent.torrent"),
        (source(&bad), "not a torrent file"),
        (source("magnet:?dn=nothing"), "magnet"),
        (target("/dev/no-such-disk"), "no such device"),
        (target("/nonexistent/folder/file"), "there is no folder"),
        (target("/dev/null"), "neither a block device nor a regular file"),
        (WriteOptions { peers: Vec::new(), listen: None, ..room.options("target") }, "names no tracker"),
    ] {
        let text = format!("{:#}", run(&options).await.unwrap_err());
        assert!(text.contains(word), "{word}: {text}");
    }
}
