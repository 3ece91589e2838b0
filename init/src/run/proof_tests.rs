//! A medium that does not keep what it is given.

use std::path::Path;
use std::sync::Mutex;

use ezio_image::extents::ExtentMap;
use ezio_image::metainfo::Metainfo;
use ezio_swarm::storage::{DeviceStorage, Storage, StorageError};

use super::*;
use crate::fetch::Fetcher;
use crate::machine::SystemPaths;
use crate::run::consent::Consent;
use crate::run::reporter::Reporter;
use crate::screen::Screen;
use crate::test_image::{PIECE, content, seeder, torrent};

/// Where the content begins on the disk.
const BASE: u64 = 4096;
/// The byte of the content that is kept wrong, in its piece 3.
const AT: u64 = 3 * PIECE as u64 + 77;

/// A disk that gives back another bit at one place: until that is written once more, or always.
struct Forgetful {
    disk: DeviceStorage,
    is_wrong: AtomicBool,
    for_good: bool,
    /// Offset and length of what was written.
    written: Mutex<Vec<(u64, u64)>>,
}

impl Forgetful {
    fn new(bytes: &[u8], for_good: bool) -> Arc<Self> {
        let file = tempfile::tempfile().unwrap();
        let all = ExtentMap::contiguous(bytes.len() as u64).unwrap();
        let disk = DeviceStorage::new(Arc::new(file), "/dev/sdx", BASE, all);
        disk.write_at(0, bytes).unwrap();
        Arc::new(Self { disk, is_wrong: AtomicBool::new(true), for_good, written: Mutex::default() })
    }
}

impl Storage for Forgetful {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.disk.read_at(offset, buf)?;
        let there = AT.checked_sub(offset).and_then(|at| buf.get_mut(at as usize));
        if let Some(byte) = there.filter(|_| self.is_wrong.load(Ordering::Relaxed)) {
            *byte ^= 1;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.written.lock().unwrap().push((offset, buf.len() as u64));
        if (offset..offset + buf.len() as u64).contains(&AT) {
            self.is_wrong.store(self.for_good, Ordering::Relaxed);
        }
        self.disk.write_at(offset, buf)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.disk.sync()
    }

    fn differs(&self, offset: u64) -> StorageError {
        self.disk.differs(offset)
    }
}

/// Proves the disk, and writes again what differs.
async fn prove_and_mend(disk: &Arc<Forgetful>, metainfo: &Metainfo, bytes: &[u8]) -> anyhow::Result<()> {
    let (paths, screen) = (SystemPaths::below(Path::new("/nonexistent")), Screen::dark());
    let (fetcher, reporter) = (Fetcher::new().unwrap(), Reporter::silent());
    let run = Run::alone(&paths, &screen, &fetcher, &reporter, Consent::Given);
    let storage: Arc<dyn Storage> = Arc::<Forgetful>::clone(disk);
    let metainfo = Arc::new(metainfo.clone());
    let contents =
        [Content { metainfo: Arc::clone(&metainfo), storage, complete: false, trackers: Vec::new() }];
    let wrong = run.prove(&contents, &Arc::default()).await.unwrap();
    assert_eq!(wrong.count, 1);
    let server = seeder(&metainfo, bytes).await;
    let peers = vec![server.listen_addr()];
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), peers, ..Config::default() };
    run.write_again(config, &contents, &wrong).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_kept_is_written_once_more_and_then_proved() {
    let bytes = content(100_000);
    let disk = Forgetful::new(&bytes, false);
    prove_and_mend(&disk, &torrent("sda1", &bytes, None), &bytes).await.unwrap();
    let written = disk.written.lock().unwrap().clone();
    assert_eq!(written, [(3 * u64::from(PIECE), u64::from(PIECE))], "nothing but what differed");
    let mut there = vec![0; bytes.len()];
    disk.read_at(0, &mut there).unwrap();
    assert!(there == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_twice_is_a_failure_that_names_disk_offset_and_piece() {
    let bytes = content(100_000);
    let disk = Forgetful::new(&bytes, true);
    let error = prove_and_mend(&disk, &torrent("sda1", &bytes, None), &bytes).await.unwrap_err();
    let text = format!("{error:#}");
    let place = format!("/dev/sdx at byte {} (piece 3 of sda1)", BASE + 3 * u64::from(PIECE));
    assert!(text.contains("written twice, and wrong both times") && text.contains(&place), "{text}");
    assert_eq!(disk.written.lock().unwrap().len(), 1);
}
