//! Blocks that travel compressed: between our own, and only where they are right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use ezio_swarm::storage::{Storage, StorageError};
use ezio_swarm::{Config, Role, Swarm};
use std::sync::Arc;

/// Makes what is said to be the frame of these bytes.
type Make = fn(Vec<u8>) -> Vec<u8>;

/// A storage whose content lies as frames, made by whoever tests.
struct Frames {
    inner: Arc<dyn Storage>,
    make: Make,
}

impl Storage for Frames {
    fn read_at(&self, content_offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.inner.read_at(content_offset, buf)
    }
    fn write_at(&self, content_offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        self.inner.write_at(content_offset, buf)
    }
    fn sync(&self) -> Result<(), StorageError> {
        self.inner.sync()
    }
    fn has_frames(&self) -> bool {
        true
    }
    fn read_frame(&self, content_offset: u64, length: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let mut raw = vec![0; length as usize];
        self.inner.read_at(content_offset, &mut raw)?;
        Ok(Some((self.make)(raw)))
    }
}

fn frame(raw: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(raw.len())];
    let length = zstd_safe::compress(&mut out[..], raw, 3).unwrap();
    out.truncate(length);
    out
}

/// Who has all of `images`, as such frames.
async fn with_frames(images: &[Image], config: Config, make: Make) -> Swarm {
    let storages = Disk::full(images).storages(images);
    let storages = storages.into_iter().map(|inner| -> Arc<dyn Storage> { Arc::new(Frames { inner, make }) });
    Swarm::start(config, contents(images, storages.collect(), true)).await.unwrap()
}

/// What `count` members of a room got, on the wire and as content.
async fn room(images: &[Image], server: &Swarm, count: usize) -> (u64, u64) {
    let disks: Vec<Disk> = (0..count).map(|_| Disk::blank(images)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member(images, disk, &[server.listen_addr()]).await);
    }
    introduce(&members.iter().collect::<Vec<_>>());
    let (mut wire, mut content) = (0, 0);
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(images);
        let progress = *member.progress().borrow();
        wire += member.on_wire().0;
        content += progress.from_server_bytes + progress.from_peers_bytes;
    }
    (wire, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_travel_as_they_lie_and_are_passed_on_as_they_came() {
    for (piece, length) in [(64 << 10, 6_000_001), (512 << 10, 12_000_000), (1 << 20, 9_000_000)] {
        let images = [text(piece, length)];
        let server = with_frames(&images, config(Role::Server), |raw| frame(&raw)).await;
        let (wire, content) = room(&images, &server, 5).await;
        assert!(content >= 5 * length as u64);
        // Text compresses to a twentieth; some of it went as it is, where only a part of a frame was asked for.
        assert!(wire < content / 3, "{wire} bytes for {content}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_worth_packing_for_and_only_where_it_saves() {
    let slow = || Config { limit_up: Some(2_000_000), ..config(Role::Server) };
    let images = [text(256 << 10, 12_000_000)];
    let (wire, content) = room(&images, &server_with(&images, slow()).await, 1).await;
    assert!(wire < content / 3, "{wire} bytes for {content}");
    let images = [raw("disk", 256 << 10, 3_000_000)];
    assert_eq!(room(&images, &server_with(&images, slow()).await, 1).await, (3_000_000, 3_000_000));
}

/// Frames that are not what they should be, each kind by itself.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_frames_that_are_wrong_is_shunned() {
    let kinds: [(&str, Make); 7] = [
        ("no frame", |raw| raw[..1000].to_vec()),
        ("next to nothing", |_| vec![0x28]),
        ("cut off", |raw| frame(&raw).split_off(1)),
        ("other content", |raw| frame(&raw.iter().map(|b| b ^ 1).collect::<Vec<u8>>())),
        ("too short", |raw| frame(&raw[1..])),
        ("too long", |raw| frame(&[raw, vec![0; 64 << 20]].concat())),
        ("trailing bytes", |raw| [frame(&raw), vec![0]].concat()),
    ];
    let rooms = kinds.map(|(kind, make)| tokio::spawn(async move { a_liar_is_shunned(kind, make).await }));
    for room in rooms {
        room.await.unwrap();
    }
}

async fn a_liar_is_shunned(kind: &str, make: Make) {
    let images = [text(64 << 10, 6_000_000)];
    let slow = Config { limit_up: Some(100_000), ..config(Role::Server) };
    let server = with_frames(&images, slow, |raw| frame(&raw)).await;
    let liar = with_frames(&images, config(Role::Member), make).await;
    let disk = Disk::blank(&images);
    let member = member(&images, &disk, &[liar.listen_addr(), server.listen_addr()]).await;
    // It goes long before all is there.
    let mut room = member.room();
    let gone = room.wait_for(|room| {
        let here = room.peers.iter().any(|p| p.address == liar.listen_addr());
        liar.progress().borrow().sent_bytes > 0 && !here
    });
    tokio::time::timeout(LIMIT, gone).await.unwrap_or_else(|_| panic!("{kind}: it stays")).unwrap();
    let progress = *member.progress().borrow();
    assert!(progress.done_bytes < progress.total_bytes, "{kind}");
    completed(&member).await.unwrap();
    disk.assert_holds(&images);
}
