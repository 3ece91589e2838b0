//! A room's torrent goes out of the server a few times, and from machine to machine beyond that; also while they are still
//! before the writing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Process;
use ezio_tests::netns::{HTTP_PORT, Links, Room, SERVER, WorkFolder};
use ezio_tests::programs;

const MACHINES: usize = 20;
const DISK: u64 = 48 << 20;
/// The pieces of an image of that size, in bytes.
const PIECE: u64 = 32 << 10;
/// What a machine says when it has planned all and nothing is erased yet.
const WAITING: &str = "waiting";

/// An image of which each piece has another hash, and next to no data.
fn capture(work: &Path) -> String {
    let disk = work.join("disk.img");
    let file = File::create(&disk).unwrap();
    file.set_len(DISK).unwrap();
    (1..=DISK / PIECE).for_each(|n| file.write_all_at(&n.to_le_bytes(), (n - 1) * PIECE).unwrap());
    let folder = work.join("room").display().to_string();
    let mut capture = Command::new(programs::find("image-builder").unwrap());
    capture.args(["capture", "--raw"]).arg(&disk).args(["-o", &folder]);
    assert!(capture.status().unwrap().success());
    folder
}

fn serve(room: &Room, work: &Path) -> Process {
    let (folder, conf) = (capture(work), work.join("ezio.conf"));
    let hook = format!("[hooks]\nbefore = [\"echo {WAITING} && exec sleep 600\"]\n");
    fs::write(&conf, format!("image = \"room\"\n{hook}")).unwrap();
    let mut server = room.command(SERVER, programs::find("ezio-pxe").unwrap());
    server.args(["serve", &folder, "--dhcp", "off", "--listen", &room.address(SERVER).to_string()]);
    server.arg("--conf").arg(&conf).arg("--state").arg(work.join("state"));
    Process::start(&mut server).unwrap()
}

/// Starts a machine; it says on `there` when it waits, or how it ended.
fn start(room: &Room, host: usize, disk: &Loop, there: Sender<Result<(), String>>) -> Process {
    let conf = format!("http://{}:{HTTP_PORT}/ezio.conf", room.address(SERVER));
    let mut machine = room.command(host, programs::find("ezio-init").unwrap());
    machine.args(["deploy", "--yes", "--conf", &conf, "--disk", &disk.0]).stderr(Stdio::piped());
    let mut machine = Process::start(&mut machine).unwrap();
    let said = BufReader::new(machine.0.stderr.take().unwrap());
    std::thread::spawn(move || {
        let mut all = String::new();
        for line in said.lines().map_while(Result::ok) {
            if line.ends_with(WAITING) {
                return there.send(Ok(()));
            }
            all += &format!("{line}\n");
        }
        there.send(Err(all))
    });
    machine
}

/// Bytes that leave the server until all of these machines are about to write.
fn sent_to(room: &Room, hosts: std::ops::RangeInclusive<usize>, work: &Path) -> f64 {
    let disks = hosts.clone().map(|host| Loop::blank(&work.join(format!("target-{host}")), DISK).unwrap());
    let disks: Vec<Loop> = disks.collect();
    let before = room.tx_bytes(SERVER).unwrap();
    let (there, ready) = channel();
    let machines: Vec<Process> =
        hosts.zip(&disks).map(|(host, disk)| start(room, host, disk, there.clone())).collect();
    for _ in &machines {
        ready.recv_timeout(Duration::from_secs(60)).unwrap().unwrap_or_else(|said| panic!("{said}"));
    }
    let sent = room.tx_bytes(SERVER).unwrap() - before;
    machines.into_iter().for_each(|mut machine| {
        machine.0.kill().unwrap();
        machine.0.wait().unwrap();
    });
    sent as f64
}

#[test]
fn a_room_s_torrent_goes_out_of_the_server_a_few_times() {
    programs::need_root().unwrap();
    programs::need(&["losetup", "curl"]).unwrap();
    let folder = WorkFolder::create().unwrap();
    let work = folder.path();
    let room = Room::build(Links { members: MACHINES + 1, mbit: Some(50.0), ..Links::default() }).unwrap();
    let _server = serve(&room, work);
    let torrent = work.join("torrent");
    let url = format!("http://{}:{HTTP_PORT}/images/room/disk.torrent", room.address(SERVER));
    let fetch =
        ["--silent", "--fail", "--retry", "30", "--retry-connrefused", "--retry-delay", "1", &url, "-H"];
    let mut curl = room.command(1, "curl");
    curl.args(fetch).args(["Accept-Encoding: zstd", "-o"]).arg(&torrent);
    assert!(curl.status().unwrap().success());
    let copy = fs::metadata(&torrent).unwrap().len() as f64;
    assert!(copy > 30_000.0, "{copy}");

    // One machine alone gets the server's copy, as ever; the rest is what each machine costs beside.
    let alone = sent_to(&room, 1..=1, work);
    assert!(alone > copy, "{alone} bytes were sent, and the torrent has {copy}");
    let sent = sent_to(&room, 2..=MACHINES + 1, work);
    let copies = (sent - MACHINES as f64 * (alone - copy)) / copy;
    eprintln!("{MACHINES} machines: {copies:.1} copies of {copy} bytes; each {:.0} beside", alone - copy);
    assert!(copies < 8.0, "the server sent {copies:.1} copies of the torrent to {MACHINES} machines");
}
