//! Other people's BitTorrent programs: they download from us, we download from them, over their
//! trackers and ours. Everything on loopback, as a plain user.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ezio_image::metainfo::Metainfo;
use ezio_tests::loopback::{Process, Server, free_port, run};
use ezio_tests::programs;

const SIZE: u64 = (5 << 20) + 12_345;

/// A raw image of random bytes, captured: `DIR/disk` is the data, `DIR/disk.torrent` its torrent.
struct Image {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        fs::File::open("/dev/urandom").unwrap().take(SIZE).read_to_end(&mut bytes).unwrap();
        let source = folder.path().join("source.img");
        fs::write(&source, &bytes).unwrap();
        let mut capture = Command::new(programs::find("image-builder").unwrap());
        run(capture
            .args(["capture", "--no-progress", "--raw"])
            .arg(source)
            .arg("-o")
            .arg(folder.path().join("image")))
        .unwrap();
        Self { folder, bytes }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn torrent(&self) -> PathBuf {
        self.directory().join("disk.torrent")
    }

    /// The torrent as the server gives it, with its tracker inside.
    fn torrent_of(&self, server: &Server) -> PathBuf {
        let path = self.folder.path().join("served.torrent");
        let url = format!("{}images/image/disk.torrent", server.url);
        run(Command::new("curl").args(["--silent", "--fail", "--output"]).arg(&path).arg(url)).unwrap();
        path
    }

    /// The torrent with other trackers.
    fn torrent_with(&self, name: &str, tracker: &str) -> PathBuf {
        let metainfo = Metainfo::parse(&fs::read(self.torrent()).unwrap()).unwrap();
        let path = self.folder.path().join(name);
        fs::write(&path, metainfo.to_torrent(&[tracker.to_owned()])).unwrap();
        path
    }

    fn assert_is(&self, path: &Path) {
        assert!(fs::read(path).unwrap() == self.bytes, "{} differs from the image", path.display());
    }

    /// `ezio-init write` of a torrent into a new file, which must then be the image.
    fn write(&self, torrent: &Path, more: &[&str]) {
        let target = self.folder.path().join("target");
        let mut write = Command::new(programs::find("ezio-init").unwrap());
        write.arg("write").arg(torrent).arg(&target).args(["--listen", "127.0.0.1:0", "--progress", "json"]);
        run(write.args(more).stdout(Stdio::null())).unwrap();
        self.assert_is(&target);
    }
}

/// Waits until somebody listens on this port.
fn listening(port: u16) {
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// aria2c that checks what is in the folder and serves it.
fn aria2_seeder(torrent: &Path, folder: &Path, port: u16) -> Process {
    programs::need(&["aria2c"]).unwrap();
    let mut command = Command::new("aria2c");
    command.args([
        "--no-conf",
        "--quiet",
        "--enable-dht=false",
        "--check-integrity=true",
        "--seed-ratio=0.0",
    ]);
    command.arg(format!("--listen-port={port}")).arg("--dir").arg(folder).arg(torrent);
    let seeder = Process::start(&mut command).unwrap();
    listening(port);
    seeder
}

#[test]
fn aria2_downloads_from_our_seeder_through_our_tracker() {
    programs::need(&["aria2c", "curl"]).unwrap();
    let image = Image::new();
    let server = Server::start(&image.directory(), &[]).unwrap();
    let got = image.folder.path().join("got");
    let mut aria2 = Command::new("aria2c");
    aria2.args(["--no-conf", "--quiet", "--enable-dht=false", "--seed-time=0", "--dir"]).arg(&got);
    run(aria2.arg(image.torrent_of(&server))).unwrap();
    image.assert_is(&got.join("disk"));
}

const LIBTORRENT: &str = r"
import libtorrent, sys, time
session = libtorrent.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False,
                              'enable_upnp': False, 'enable_natpmp': False})
handle = session.add_torrent({'ti': libtorrent.torrent_info(sys.argv[1]), 'save_path': sys.argv[2]})
end = time.time() + 50
while not handle.status().is_seeding:
    if time.time() > end: sys.exit(f'still {handle.status().state} after 50 s')
    session.wait_for_alert(100)
    session.pop_alerts()
session.pause()
";

#[test]
fn libtorrent_downloads_from_our_seeder_through_our_tracker() {
    programs::need(&["curl"]).unwrap();
    programs::need_python("libtorrent", "python3-libtorrent").unwrap();
    let image = Image::new();
    let server = Server::start(&image.directory(), &[]).unwrap();
    let got = image.folder.path().join("got");
    fs::create_dir(&got).unwrap();
    run(Command::new(programs::PYTHON).args(["-c", LIBTORRENT]).arg(image.torrent_of(&server)).arg(&got))
        .unwrap();
    image.assert_is(&got.join("disk"));
}

#[test]
fn transmission_seeds_our_torrent_to_us() {
    programs::need(&["transmission-cli"]).unwrap();
    let image = Image::new();
    let port = free_port().unwrap();
    let mut command = Command::new("transmission-cli");
    command.arg("--config-dir").arg(image.folder.path().join("conf")).args(["--port", &port.to_string()]);
    command.args(["--no-portmap", "--verify", "--download-dir"]).arg(image.directory()).arg(image.torrent());
    let mut seeder = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
    // It listens before it has looked at the data, and tells nobody afterwards.
    let status = BufReader::new(seeder.0.stdout.take().unwrap()).split(b'\r').map_while(Result::ok);
    let mut status = status.map(|line| String::from_utf8_lossy(&line).into_owned());
    assert!(status.any(|line| line.contains("Seeding")), "transmission has not come to seeding");
    let _reader = std::thread::spawn(move || status.count());
    image.write(&image.torrent(), &["--peer", &format!("127.0.0.1:{port}")]);
}

#[test]
fn aria2_seeds_our_torrent_to_us() {
    let image = Image::new();
    let port = free_port().unwrap();
    let _seeder = aria2_seeder(&image.torrent(), &image.directory(), port);
    image.write(&image.torrent(), &["--peer", &format!("127.0.0.1:{port}")]);
}

#[test]
fn a_torrent_made_by_transmission_is_written() {
    programs::need(&["transmission-create"]).unwrap();
    let image = Image::new();
    let torrent = image.folder.path().join("theirs.torrent");
    let mut create = Command::new("transmission-create");
    create.arg("--outfile").arg(&torrent).arg(image.directory().join("disk"));
    run(create.stdout(Stdio::null())).unwrap();
    let port = free_port().unwrap();
    let _seeder = aria2_seeder(&torrent, &image.directory(), port);
    image.write(&torrent, &["--peer", &format!("127.0.0.1:{port}")]);
}

/// Both ends know each other from opentracker alone.
#[test]
fn opentracker_brings_us_together_over_http_and_udp() {
    programs::need(&["opentracker"]).unwrap();
    for scheme in ["http", "udp"] {
        let image = Image::new();
        let tracker_port = free_port().unwrap().to_string();
        let hash = Metainfo::parse(&fs::read(image.torrent()).unwrap()).unwrap().info_hash().as_string();
        // Started as root it makes this its root directory and becomes "nobody": the list is found by a relative
        // path either way.
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("allowed"), format!("{hash}\n")).unwrap();
        let mut opentracker = Command::new("opentracker");
        opentracker.args([
            "-i",
            "127.0.0.1",
            "-p",
            &tracker_port,
            "-P",
            &tracker_port,
            "-w",
            "allowed",
            "-d",
        ]);
        opentracker.arg(folder.path()).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let _tracker = Process::start(&mut opentracker).unwrap();
        listening(tracker_port.parse().unwrap());
        let announce = |scheme: &str| format!("{scheme}://127.0.0.1:{tracker_port}/announce");
        // aria2 speaks to trackers over UDP only together with its DHT.
        let theirs = image.torrent_with("theirs.torrent", &announce("http"));
        let _seeder = aria2_seeder(&theirs, &image.directory(), free_port().unwrap());
        image.write(&image.torrent_with("ours.torrent", &announce(scheme)), &[]);
    }
}
