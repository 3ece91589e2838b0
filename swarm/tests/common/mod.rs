//! Rooms within one process: a server and members over loopback, each with a file as its disk.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by several tests, each of which uses a part"
)]

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::metainfo::Metainfo;
use ezio_swarm::storage::{Action, DeviceStorage, Storage, StorageError};
use ezio_swarm::{Config, Content, Role, Swarm, SwarmError};
use sha1::{Digest, Sha1};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// No wait in these tests is longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A torrent and its content.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) content: Arc<Vec<u8>>,
    pub(crate) extents: ExtentMap,
}

/// Bytes that no two pieces share.
pub(crate) fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(length);
    out
}

fn image(name: &str, piece_length: u32, content: Vec<u8>, extents: ExtentMap, raw: bool) -> Image {
    let hashes: Vec<u8> = content.chunks(piece_length as usize).flat_map(Sha1::digest).collect();
    let runs = (!raw).then_some(&extents);
    let metainfo = Metainfo::create(name, piece_length, content.len() as u64, runs, &hashes).unwrap();
    Image { metainfo: Arc::new(metainfo), content: Arc::new(content), extents }
}

/// A raw image.
pub(crate) fn raw(name: &str, piece_length: u32, length: usize) -> Image {
    of(name, piece_length, content(length as u64, length))
}

/// A raw image of these bytes.
pub(crate) fn of(name: &str, piece_length: u32, content: Vec<u8>) -> Image {
    let extents = ExtentMap::contiguous(content.len() as u64).unwrap();
    image(name, piece_length, content, extents, true)
}

/// A raw image of text, which compresses well.
pub(crate) fn text(piece_length: u32, length: usize) -> Image {
    let mut content: Vec<u8> =
        (0..length / 16).flat_map(|line| format!("line {line} of the disk\n").into_bytes()).collect();
    content.truncate(length);
    image("text", piece_length, content, ExtentMap::contiguous(length as u64).unwrap(), true)
}

/// An image of runs with gaps between them; `runs` are their lengths.
pub(crate) fn runs(name: &str, piece_length: u32, runs: &[u64]) -> Image {
    let mut offset = 4096;
    let extents = runs.iter().map(|&length| {
        let extent = Extent { offset, length };
        offset += length + 8192;
        extent
    });
    let extents = ExtentMap::new(extents.collect()).unwrap();
    let length = extents.total_length();
    image(name, piece_length, content(length, length as usize), extents, false)
}

/// A disk of one machine: one temporary file for each torrent.
pub(crate) struct Disk(Vec<Arc<File>>);

impl Disk {
    pub(crate) fn blank(images: &[Image]) -> Self {
        Self(images.iter().map(|_| Arc::new(tempfile::tempfile().unwrap())).collect())
    }

    /// Nothing of it is what it is to be.
    pub(crate) fn used(images: &[Image]) -> Self {
        let disk = Self::blank(images);
        for (file, image) in disk.0.iter().zip(images) {
            file.write_all_at(&vec![0xee; image.extents.target_end() as usize], 0).unwrap();
        }
        disk
    }

    /// One file, with these bytes.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Self::of_file(file)
    }

    pub(crate) fn of_file(file: File) -> Self {
        Self(vec![Arc::new(file)])
    }

    pub(crate) fn full(images: &[Image]) -> Self {
        let disk = Self::blank(images);
        for (storage, image) in disk.storages(images).iter().zip(images) {
            storage.write_at(0, &image.content).unwrap();
        }
        disk
    }

    pub(crate) fn storages(&self, images: &[Image]) -> Vec<Arc<dyn Storage>> {
        let storage = |(file, image): (&Arc<File>, &Image)| -> Arc<dyn Storage> {
            Arc::new(DeviceStorage::new(Arc::clone(file), "disk", 0, image.extents.clone()))
        };
        self.0.iter().zip(images).map(storage).collect()
    }

    /// Fails unless every run lies where it should.
    pub(crate) fn assert_holds(&self, images: &[Image]) {
        for (file, image) in self.0.iter().zip(images) {
            let mut at = 0;
            for extent in image.extents.extents() {
                let mut got = vec![0; extent.length as usize];
                file.read_exact_at(&mut got, extent.offset).unwrap();
                let want = &image.content[at..at + got.len()];
                assert!(got == want, "run at {} of {} differs", extent.offset, image.metainfo.name());
                at += got.len();
            }
        }
    }
}

pub(crate) fn contents(images: &[Image], storages: Vec<Arc<dyn Storage>>, complete: bool) -> Vec<Content> {
    images
        .iter()
        .zip(storages)
        .map(|(image, storage)| Content {
            metainfo: Arc::clone(&image.metainfo),
            storage,
            complete,
            trackers: Vec::new(),
        })
        .collect()
}

pub(crate) fn config(role: Role) -> Config {
    Config { listen: "127.0.0.1:0".parse().unwrap(), role, memory: 64 << 20, ..Config::default() }
}

pub(crate) async fn server(images: &[Image]) -> Swarm {
    server_with(images, config(Role::Server)).await
}

pub(crate) async fn server_with(images: &[Image], config: Config) -> Swarm {
    let storages = Disk::full(images).storages(images);
    Swarm::start(config, contents(images, storages, true)).await.unwrap()
}

pub(crate) async fn member(images: &[Image], disk: &Disk, peers: &[SocketAddr]) -> Swarm {
    member_with(images, disk, Config { peers: peers.to_vec(), ..config(Role::Member) }).await
}

pub(crate) async fn member_with(images: &[Image], disk: &Disk, config: Config) -> Swarm {
    Swarm::start(config, contents(images, disk.storages(images), false)).await.unwrap()
}

/// Tells everyone of everyone, themselves included.
pub(crate) fn introduce(swarms: &[&Swarm]) {
    let all: Vec<_> = swarms.iter().map(|s| s.listen_addr()).collect();
    swarms.iter().for_each(|s| s.add_peers(&all));
}

pub(crate) async fn completed(swarm: &Swarm) -> Result<(), SwarmError> {
    tokio::time::timeout(LIMIT, swarm.completed()).await.unwrap_or_else(|_| {
        panic!("not complete in time: {:?}", *swarm.progress().borrow());
    })
}

/// Waits until so many bytes are verified.
pub(crate) async fn verified(swarm: &Swarm, bytes: u64) {
    let mut progress = swarm.progress();
    tokio::time::timeout(LIMIT, progress.wait_for(|p| p.done_bytes >= bytes)).await.unwrap().unwrap();
}

/// A disk that reads other bytes than were written.
pub(crate) struct Corrupt(pub(crate) Arc<dyn Storage>);

impl Storage for Corrupt {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.0.read_at(content_offset, buf)?;
        buf.iter_mut().for_each(|b| *b ^= 0x55);
        Ok(())
    }
    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.0.write_at(content_offset, buf)
    }
    fn sync(&self) -> Result<(), StorageError> {
        self.0.sync()
    }
}

/// A disk that takes no more bytes from an offset on, or cannot sync.
pub(crate) struct Failing {
    pub(crate) inner: Arc<dyn Storage>,
    pub(crate) full_from: u64,
    pub(crate) sync_fails: bool,
}

impl Storage for Failing {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.inner.read_at(content_offset, buf)
    }
    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        if content_offset + buf.len() as u64 > self.full_from {
            let full = io::Error::from_raw_os_error(28);
            return Err(StorageError::at(Action::Write, "/dev/test", content_offset, content_offset, full));
        }
        self.inner.write_at(content_offset, buf)
    }
    fn sync(&self) -> Result<(), StorageError> {
        if self.sync_fails {
            return Err(StorageError::whole(Action::Sync, "/dev/test", io::Error::from_raw_os_error(5)));
        }
        self.inner.sync()
    }
}

/// A disk that counts how often it is read.
pub(crate) struct Counting {
    pub(crate) inner: Arc<dyn Storage>,
    pub(crate) reads: AtomicUsize,
}

impl Storage for Counting {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_at(content_offset, buf)
    }
    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.inner.write_at(content_offset, buf)
    }
    fn sync(&self) -> Result<(), StorageError> {
        self.inner.sync()
    }
}

/// What lies between a member and its server: connections through it can be cut.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    pulled: watch::Sender<u32>,
}

impl Cable {
    pub(crate) async fn plug(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (pulled, seen) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut seen = seen.clone();
                seen.mark_unchanged();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.changed() => {}
                    }
                });
            }
        });
        Self { address, pulled }
    }

    pub(crate) fn pull(&self) {
        self.pulled.send_modify(|times| *times += 1);
    }
}
