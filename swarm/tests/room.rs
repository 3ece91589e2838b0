//! Whole rooms in one process: every member ends with the image, whatever happens to the others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;
use ezio_swarm::storage::{Storage, StorageError};
use ezio_swarm::{Config, Role, Swarm};
use std::error::Error;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A server and `count` members with all pieces of `images`, started together.
async fn everyone_gets_it(images: &[Image], count: usize) {
    let server = server(images).await;
    let disks: Vec<Disk> = (0..count).map(|_| Disk::blank(images)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member(images, disk, &[server.listen_addr()]).await);
    }
    introduce(&members.iter().collect::<Vec<_>>());
    let total: u64 = images.iter().map(|i| i.metainfo.total_length()).sum();
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(images);
        let progress = *member.progress().borrow();
        assert_eq!((progress.done_bytes, progress.total_bytes), (total, total));
        assert!(progress.from_server_bytes + progress.from_peers_bytes >= total);
        assert_eq!(member.write_stats().bytes, total, "each byte is written once");
    }
    for member in members {
        member.shutdown().await;
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_members_share_small_pieces() {
    everyone_gets_it(&[raw("disk", 64 << 10, 8_000_000)], 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smallest_pieces() {
    everyone_gets_it(&[raw("disk", 16 << 10, 3_000_001)], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_sixteen_mebibytes() {
    everyone_gets_it(&[raw("disk", 16 << 20, (40 << 20) + 12_345)], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_span_pieces_and_pieces_span_runs() {
    let lengths: Vec<u64> = (0..60).map(|i| 512 + (i * i * 977) % 300_000).collect();
    everyone_gets_it(&[runs("sda1", 128 << 10, &lengths)], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_torrents_are_one_job() {
    let images = [
        runs("sda1", 64 << 10, &[100_000, 1, 700_000]),
        raw("sda2", 256 << 10, 3_000_000),
        raw("sda3", 16 << 10, 5),
    ];
    everyone_gets_it(&images, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_are_written_and_never_travel() {
    const PIECE: usize = 64 << 10;
    // Zeros at the front, between, and at the short end; and a piece with one byte in it, which does travel.
    let mut bytes = content(5, 100 * PIECE + 700);
    for zeros in [0..9, 30..31, 50..80, 99..100] {
        bytes[zeros.start * PIECE..zeros.end * PIECE].fill(0);
    }
    bytes[100 * PIECE..].fill(0);
    bytes[60 * PIECE + 17] = 1;
    let zeros = (9 + 1 + 29 + 1) * PIECE as u64 + 700;
    let images = [of("disk", PIECE as u32, bytes), of("all zeros", PIECE as u32, vec![0; 3 * PIECE + 1])];
    let (zeros, total) = (zeros + 3 * PIECE as u64 + 1, 103 * PIECE as u64 + 701);
    let server = server(&images).await;
    let disks: Vec<Disk> = (0..3).map(|_| Disk::used(&images)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member(&images, disk, &[server.listen_addr()]).await);
    }
    introduce(&members.iter().collect::<Vec<_>>());
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(&images);
        let progress = *member.progress().borrow();
        assert_eq!((progress.done_bytes, progress.zero_bytes), (total, zeros));
        assert_eq!(progress.from_server_bytes + progress.from_peers_bytes, total - zeros);
        assert_eq!(member.write_stats().bytes, total, "each byte is written once");
    }
}

/// Nobody tells these members of each other but the server, by giving each its place in the trees.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_room_that_knows_only_the_server_passes_pieces_along_trees() {
    const MEMBERS: usize = 130;
    let images = [raw("disk", 16 << 10, 4_000_000)];
    // At this rate all are there before much has left.
    let server = server_with(&images, Config { limit_up: Some(500_000), ..config(Role::Server) }).await;
    let disks: Vec<Disk> = (0..MEMBERS).map(|_| Disk::blank(&images)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member(&images, disk, &[]).await);
    }
    members.iter().for_each(|member| member.add_peers(&[server.listen_addr()]));
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(&images);
    }
    let progress = members.iter().map(|m| *m.progress().borrow());
    let from_server: u64 = progress.map(|p| p.from_server_bytes).sum();
    assert!(from_server < 3 * 4_000_000, "{from_server} bytes came from the server");
}

/// When it has the first torrent, its connection for that one ends, and the server's steering has to go on with the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_gets_several_torrents_at_full_rate() {
    let images = [raw("sda1", 64 << 10, 1 << 20), raw("sda2", 64 << 10, 64 << 20)];
    let server = server(&images).await;
    let disk = Disk::blank(&images);
    let started = Instant::now();
    let member = member(&images, &disk, &[server.listen_addr()]).await;
    completed(&member).await.unwrap();
    disk.assert_holds(&images);
    // A server that waits for suggestions to expire sends some pieces a second: that would be minutes.
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_corrupts_is_shunned() {
    let images = [raw("disk", 64 << 10, 6_000_000)];
    let server = server_with(&images, Config { limit_up: Some(4_000_000), ..config(Role::Server) }).await;
    let liar_disk = Disk::full(&images).storages(&images).remove(0);
    let liar = ezio_swarm::Swarm::start(
        config(Role::Member),
        contents(&images, vec![Arc::new(Corrupt(liar_disk))], true),
    )
    .await
    .unwrap();
    let disk = Disk::blank(&images);
    let member = member(&images, &disk, &[liar.listen_addr(), server.listen_addr()]).await;
    completed(&member).await.unwrap();
    disk.assert_holds(&images);
    let sent = liar.progress().borrow().sent_bytes;
    assert!(sent > 0, "it was asked");
    let room = member.room().borrow().clone();
    assert!(room.peers.iter().all(|p| p.address != liar.listen_addr()), "it is not connected any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_finish_when_one_is_killed() {
    let images = [raw("disk", 64 << 10, 8_000_000)];
    let server = server_with(&images, Config { limit_up: Some(8_000_000), ..config(Role::Server) }).await;
    let disks: Vec<Disk> = (0..5).map(|_| Disk::blank(&images)).collect();
    let mut members = Vec::new();
    for disk in &disks {
        members.push(member(&images, disk, &[server.listen_addr()]).await);
    }
    introduce(&members.iter().collect::<Vec<_>>());
    verified(&members[0], 2_000_000).await;
    drop(members.remove(0));
    for (member, disk) in members.iter().zip(&disks[1..]) {
        completed(member).await.unwrap();
        disk.assert_holds(&images);
    }
}

/// A disk whose first write ends when it is told to.
struct Late {
    began: SyncSender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl Storage for Late {
    fn read_at(&self, _: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        buf.fill(0xee);
        Ok(())
    }
    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), StorageError> {
        let _ = self.began.try_send(());
        let _ = self.goes_on.lock().unwrap().recv();
        Ok(())
    }
    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_shut_down_has_let_go_of_its_disk() {
    let images = [raw("disk", 64 << 10, 4_000_000)];
    let server = server(&images).await;
    let ((began, writes), (go_on, goes_on)) = (sync_channel(1), channel());
    let disk: Arc<dyn Storage> = Arc::new(Late { began, goes_on: Mutex::new(goes_on) });
    let held = Arc::downgrade(&disk);
    let config = Config { peers: vec![server.listen_addr()], ..config(Role::Member) };
    let member = Swarm::start(config, contents(&images, vec![disk], false)).await.unwrap();
    spawn_blocking(move || writes.recv_timeout(LIMIT)).await.unwrap().unwrap();
    let mut ending = tokio::spawn(member.shutdown());
    let early = timeout(Duration::from_millis(500), &mut ending).await;
    assert!(early.is_err(), "the disk is still being written");
    drop(go_on);
    timeout(LIMIT, ending).await.unwrap().unwrap();
    assert!(held.upgrade().is_none(), "somebody still holds the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_finish_when_the_server_is_gone() {
    let images = [raw("disk", 64 << 10, 4_000_000)];
    let server = server(&images).await;
    let disks: Vec<Disk> = (0..4).map(|_| Disk::blank(&images)).collect();
    let mut members = vec![member(&images, &disks[0], &[server.listen_addr()]).await];
    // All is out when the first has it all; the slowest needs twice as long as the others, so it is not done by then.
    for (disk, limit) in disks[1..].iter().zip([800_000, 800_000, 300_000]) {
        let slow =
            Config { limit_down: Some(limit), peers: vec![server.listen_addr()], ..config(Role::Member) };
        members.push(member_with(&images, disk, slow).await);
    }
    introduce(&members.iter().collect::<Vec<_>>());
    completed(&members[0]).await.unwrap();
    server.shutdown().await;
    let done: Vec<u64> = members.iter().map(|m| m.progress().borrow().done_bytes).collect();
    assert!(done[3] < 4_000_000, "somebody still needs something: {done:?}");
    for (member, disk) in members.iter().zip(&disks) {
        completed(member).await.unwrap();
        disk.assert_holds(&images);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_member_is_served_by_those_who_are_done() {
    let images = [raw("disk", 64 << 10, 4_000_000)];
    let server = server(&images).await;
    let disks = [Disk::blank(&images), Disk::blank(&images)];
    let early = member(&images, &disks[0], &[server.listen_addr()]).await;
    completed(&early).await.unwrap();
    server.shutdown().await;
    let late = member(&images, &disks[1], &[early.listen_addr()]).await;
    completed(&late).await.unwrap();
    disks[1].assert_holds(&images);
    let progress = *late.progress().borrow();
    assert_eq!((progress.from_server_bytes, progress.from_peers_bytes), (0, 4_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_that_names_the_place() {
    let images = [raw("disk", 64 << 10, 4_000_000)];
    let server = server(&images).await;
    let inner = Disk::blank(&images).storages(&images).remove(0);
    let storage = Failing { inner, full_from: 2_000_000, sync_fails: false };
    let config = Config { peers: vec![server.listen_addr()], ..config(Role::Member) };
    let member =
        ezio_swarm::Swarm::start(config, contents(&images, vec![Arc::new(storage)], false)).await.unwrap();
    let error = completed(&member).await.unwrap_err();
    let cause = error.source().unwrap();
    assert!(cause.to_string().starts_with("cannot write /dev/test at byte "), "{cause}");
    assert!(cause.to_string().contains(" of disk)"), "{cause}");
    assert!(cause.source().unwrap().to_string().contains("No space left"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_is_not_completion() {
    let images = [raw("disk", 64 << 10, 1_000_000)];
    let server = server(&images).await;
    let inner = Disk::blank(&images).storages(&images).remove(0);
    let storage = Failing { inner, full_from: u64::MAX, sync_fails: true };
    let config = Config { peers: vec![server.listen_addr()], ..config(Role::Member) };
    let member =
        ezio_swarm::Swarm::start(config, contents(&images, vec![Arc::new(storage)], false)).await.unwrap();
    let error = completed(&member).await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "cannot sync /dev/test");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_from_a_target_that_nobody_asks_for() {
    let images = [raw("disk", 64 << 10, 4_000_000)];
    let server = server(&images).await;
    let disk = Disk::blank(&images);
    let inner = disk.storages(&images).remove(0);
    let storage = Arc::new(Counting { inner, reads: AtomicUsize::new(0) });
    let config = Config { peers: vec![server.listen_addr()], ..config(Role::Member) };
    let member =
        ezio_swarm::Swarm::start(config, contents(&images, vec![storage.clone()], false)).await.unwrap();
    completed(&member).await.unwrap();
    disk.assert_holds(&images);
    assert_eq!(storage.reads.load(Ordering::Relaxed), 0, "neither at the start nor to check what came");
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_hold_within_five_per_cent() {
    let rates = [(Some(LIMITED), None), (None, Some(LIMITED))];
    for (up, down) in rates {
        let images = [raw("disk", 64 << 10, 4 * LIMITED as usize)];
        let server = server_with(&images, Config { limit_up: up, ..config(Role::Server) }).await;
        let disk = Disk::blank(&images);
        let start = Instant::now();
        let limited = Config { limit_down: down, peers: vec![server.listen_addr()], ..config(Role::Member) };
        let member = member_with(&images, &disk, limited).await;
        let best = tokio::join!(completed(&member), best_second(&member)).1;
        let mean = 4.0 * LIMITED as f64 / start.elapsed().as_secs_f64();
        let (mean, best) = (mean / LIMITED as f64, best / LIMITED as f64);
        assert!(mean < 1.05, "{mean} with {up:?} {down:?}");
        // What else the machine has to do slows some seconds, but not all.
        assert!(best > 0.95, "{best} with {up:?} {down:?}");
    }
}

/// Bytes a second, for the tests of limits.
const LIMITED: u64 = 3_000_000;

/// The most that came in a second, until all is there.
async fn best_second(member: &ezio_swarm::Swarm) -> f64 {
    let mut progress = member.progress();
    let mut seen = std::collections::VecDeque::new();
    let mut best = 0.0_f64;
    loop {
        let now = *progress.borrow_and_update();
        let bytes = now.from_server_bytes;
        seen.push_back((Instant::now(), bytes));
        while let Some(&(then, before)) = seen.front()
            && then.elapsed() >= Duration::from_secs(1)
        {
            best = best.max((bytes - before) as f64 / then.elapsed().as_secs_f64());
            seen.pop_front();
        }
        if now.done_bytes == now.total_bytes {
            return best;
        }
        progress.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_is_told_at_once() {
    const BLOCK: u64 = 16 << 10;
    // A block takes 80 ms: at the next turn of those who tell twice a second there would be six.
    let images = [raw("disk", 16 << 10, 300_000)];
    let slow = Config { limit_up: Some(200_000), ..config(Role::Server) };
    let server = server_with(&images, slow).await;
    let disk = Disk::blank(&images);
    let member = member(&images, &disk, &[server.listen_addr()]).await;
    let mut progress = member.progress();
    let first = progress.wait_for(|now| now.from_server_bytes > 0);
    let first = tokio::time::timeout(LIMIT, first).await.unwrap().unwrap().from_server_bytes;
    assert!(first <= 2 * BLOCK, "{first} bytes had come when the first was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_do_not_disturb() {
    let images = [raw("disk", 64 << 10, 2_000_000)];
    let server = server(&images).await;
    let mut intruders = Vec::new();
    for bytes in [b"".as_slice(), b"GET / HTTP/1.0\r\n\r\n", &[0xff; 4096], b"\x13BitTorrent protocol"] {
        let mut stream = std::net::TcpStream::connect(server.listen_addr()).unwrap();
        stream.write_all(bytes).unwrap();
        intruders.push(stream);
    }
    let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\x04".to_vec();
    hello.extend(images[0].metainfo.info_hash().0);
    hello.extend(b"-XX0000-000000000000");
    for tail in [b"\xff\xff\xff\xff".as_slice(), b"\0\0\0\x05\x04\xff\xff\xff\xff", b"\0\0\0\x02\x05\0"] {
        let mut stream = std::net::TcpStream::connect(server.listen_addr()).unwrap();
        stream.write_all(&[&hello, tail].concat()).unwrap();
        intruders.push(stream);
    }
    let disk = Disk::blank(&images);
    let member = member(&images, &disk, &[server.listen_addr()]).await;
    completed(&member).await.unwrap();
    disk.assert_holds(&images);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_magnet_link_gives_the_torrent() {
    let lengths: Vec<u64> = (0..2000).map(|_| 512).collect();
    let images = [runs("sda1", 16 << 10, &lengths)];
    assert!(images[0].metainfo.info_bytes().len() > 3 * (16 << 10), "several blocks of metadata");
    let server = server(&images).await;
    let link = format!("magnet:?xt=urn:btih:{}", images[0].metainfo.info_hash().as_string());
    let magnet = ezio_swarm::magnet::Magnet::parse(&link).unwrap();
    let found = ezio_swarm::magnet::fetch(&magnet, &[server.listen_addr()], LIMIT).await.unwrap();
    assert_eq!(found.info_bytes(), images[0].metainfo.info_bytes());
}

/// The cable of a machine is pulled in the middle of many pieces, and put back. What it has of them is not asked for again, and
/// the server must not wait until it could send it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_cut_off_goes_on_at_full_rate() {
    let images = [raw("sda1", 256 << 10, 4 << 20), raw("sda2", 1 << 20, 24 << 20)];
    let server = server_with(&images, Config { limit_up: Some(4_000_000), ..config(Role::Server) }).await;
    let cable = Cable::plug(server.listen_addr()).await;
    let disk = Disk::blank(&images);
    let member = member(&images, &disk, &[cable.address]).await;
    for part in 1..4 {
        verified(&member, part * (4 << 20)).await;
        cable.pull();
    }
    let started = Instant::now();
    completed(&member).await.unwrap();
    disk.assert_holds(&images);
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
}
