//! Other people's BitTorrent programs: they download from us, we download from them, over their
//! trackers and ours. On loopback, but for Transmission's download: it dials no peer there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod librqbit;
mod partclone;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ezio_image::metainfo::Metainfo;
use ezio_tests::loopback::{Process, Server, free_port, run};
use ezio_tests::netns::{Links, Room, SERVER};
use ezio_tests::programs;

const SIZE: u64 = (5 << 20) + 12_345;
/// What one program may take: Transmission half a minute, on a computer that does other things too.
const LIMIT: Duration = Duration::from_secs(180);
/// What libtorrent's script and `ezio-init` say when all is there and verified.
const COMPLETE: &str = "\"complete\"";

/// A raw image of random bytes, captured: `DIR/disk.torrent` is its torrent.
struct Image {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Image {
    /// Whose data others can seed: `DIR/disk`.
    fn in_files() -> Self {
        Self::new("files")
    }

    /// Whose data we alone can read.
    fn packed() -> Self {
        Self::new("zstd")
    }

    fn new(store: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        fs::File::open("/dev/urandom").unwrap().take(SIZE).read_to_end(&mut bytes).unwrap();
        // Something that can be compressed, too, and across the border of two frames.
        bytes[300_000..2_000_000].fill(0);
        bytes[2_000_000..3_000_000].fill(7);
        let source = folder.path().join("source.img");
        fs::write(&source, &bytes).unwrap();
        let mut capture = Command::new(programs::find("image-builder").unwrap());
        run(capture
            .args(["capture", "--no-progress", "--raw", "--store", store])
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
        run(write(torrent, &target).args(more).stdout(Stdio::null())).unwrap();
        self.assert_is(&target);
    }
}

/// `ezio-init write` on loopback.
fn write(torrent: &Path, target: &Path) -> Command {
    let mut write = Command::new(programs::find("ezio-init").unwrap());
    write.arg("write").arg(torrent).arg(target).args(["--listen", "127.0.0.1:0", "--progress", "json"]);
    write
}

/// Waits until a program says `word` on its piped standard output.
fn said(process: &mut Process, separator: u8, word: &'static str) {
    said_on(process.0.stdout.take().unwrap(), separator, word);
}

/// Waits until a program says `word`; what it says afterwards is read and forgotten.
fn said_on(output: impl Read + Send + 'static, separator: u8, word: &'static str) {
    let output = BufReader::new(output).split(separator).map_while(Result::ok);
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for piece in output.filter(|piece| String::from_utf8_lossy(piece).contains(word)) {
            // It may be said again.
            let _ = sender.send(piece);
        }
    });
    heard.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("it has not come to say {word}"));
}

/// Waits until somebody listens on this port.
fn listening(port: u16) {
    let end = Instant::now() + LIMIT;
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
    let image = Image::packed();
    let server = Server::start(&image.directory(), &[]).unwrap();
    let got = image.folder.path().join("got");
    let mut aria2 = Command::new("aria2c");
    aria2.args(["--no-conf", "--quiet", "--enable-dht=false", "--seed-time=0", "--dir"]).arg(&got);
    run(aria2.arg(image.torrent_of(&server))).unwrap();
    image.assert_is(&got.join("disk"));
}

/// libtorrent, that takes a torrent into a folder; what it prints can be read.
fn libtorrent(torrent: &Path, folder: &Path, more: &[&str]) -> Process {
    programs::need_python("libtorrent", "python3-libtorrent").unwrap();
    let mut command = Command::new(programs::PYTHON);
    command.arg(programs::own_file("scripts/libtorrent_peer.py")).arg(torrent).arg(folder).args(more);
    Process::start(command.stdout(Stdio::piped())).unwrap()
}

/// Lets libtorrent download the image, by what the torrent says alone.
fn libtorrent_downloads(image: &Image, torrent: &Path) {
    let got = image.folder.path().join("got");
    let mut peer = libtorrent(torrent, &got, &["--listen", "127.0.0.1:0", "--end"]);
    said(&mut peer, b'\n', COMPLETE);
    assert!(peer.wait(LIMIT).unwrap().success());
    image.assert_is(&got.join("disk"));
}

/// libtorrent that checks what is in the folder and serves it.
fn libtorrent_seeder(torrent: &Path, folder: &Path, port: u16) -> Process {
    let mut seeder = libtorrent(torrent, folder, &["--listen", &format!("127.0.0.1:{port}")]);
    said(&mut seeder, b'\n', COMPLETE);
    seeder
}

#[test]
fn libtorrent_downloads_from_our_seeder_through_our_tracker() {
    programs::need(&["curl"]).unwrap();
    let image = Image::packed();
    let server = Server::start(&image.directory(), &[]).unwrap();
    libtorrent_downloads(&image, &image.torrent_of(&server));
}

/// Packs go to ours, and blocks to others, of the same pieces at the same time.
#[test]
fn ours_and_libtorrent_share_a_room() {
    programs::need(&["curl"]).unwrap();
    let image = Image::packed();
    let server = Server::start(&image.directory(), &[]).unwrap();
    let torrent = image.torrent_of(&server);
    std::thread::scope(|scope| {
        scope.spawn(|| libtorrent_downloads(&image, &torrent));
        scope.spawn(|| image.write(&torrent, &[]));
    });
}

/// Transmission, by a command that runs it, with `folder` for its downloads. Back when it has all of the torrent.
fn transmission(mut command: Command, image: &Image, torrent: &Path, folder: &Path) -> Process {
    // It would try uTP and encryption first, which we do not speak, for longer than a test should take.
    let conf = image.folder.path().join("conf");
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("settings.json"), "{\"utp-enabled\": false}").unwrap();
    command.args(["--encryption-tolerated", "--no-portmap", "--config-dir"]).arg(conf);
    command.arg("--download-dir").arg(folder).arg(torrent);
    let mut peer = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::null())).unwrap();
    // It listens before it has looked at the data, and tells nobody afterwards.
    said(&mut peer, b'\r', "Seeding");
    peer
}

#[test]
fn transmission_seeds_our_torrent_to_us() {
    programs::need(&["transmission-cli"]).unwrap();
    let image = Image::in_files();
    let port = free_port().unwrap();
    let mut command = Command::new("transmission-cli");
    command.args(["--verify", "--port", &port.to_string()]);
    let _seeder = transmission(command, &image, &image.torrent(), &image.directory());
    image.write(&image.torrent(), &["--peer", &format!("127.0.0.1:{port}")]);
}

#[test]
fn transmission_downloads_from_our_seeder_through_our_tracker() {
    programs::need(&["transmission-cli"]).unwrap();
    let image = Image::packed();
    let room = Room::build(Links { members: 1, ..Links::default() }).unwrap();
    let serve = room.command(SERVER, programs::find("ezio-pxe").unwrap());
    let server = Server::start_at(room.address(SERVER).into(), serve, &image.directory(), &[]).unwrap();
    let torrent = image.torrent_with("served.torrent", &format!("{}announce", server.url));
    let got = image.folder.path().join("got");
    let _peer = transmission(room.command(1, "transmission-cli"), &image, &torrent, &got);
    image.assert_is(&got.join("disk"));
}

#[test]
fn aria2_seeds_our_torrent_to_us() {
    let image = Image::in_files();
    let port = free_port().unwrap();
    let _seeder = aria2_seeder(&image.torrent(), &image.directory(), port);
    image.write(&image.torrent(), &["--peer", &format!("127.0.0.1:{port}")]);
}

#[test]
fn libtorrent_seeds_our_torrent_to_us() {
    let image = Image::in_files();
    let port = free_port().unwrap();
    let _seeder = libtorrent_seeder(&image.torrent(), &image.directory(), port);
    image.write(&image.torrent(), &["--peer", &format!("127.0.0.1:{port}")]);
}

/// A torrent of the image that Transmission makes: it is not private.
fn made_by_transmission(image: &Image) -> PathBuf {
    programs::need(&["transmission-create"]).unwrap();
    let torrent = image.folder.path().join("theirs.torrent");
    let mut create = Command::new("transmission-create");
    create.arg("--outfile").arg(&torrent).arg(image.directory().join("disk"));
    run(create.stdout(Stdio::null())).unwrap();
    torrent
}

#[test]
fn a_torrent_made_by_transmission_is_written() {
    let image = Image::in_files();
    let torrent = made_by_transmission(&image);
    let port = free_port().unwrap();
    let _seeder = aria2_seeder(&torrent, &image.directory(), port);
    image.write(&torrent, &["--peer", &format!("127.0.0.1:{port}")]);
}

/// libtorrent gives no metadata of private torrents.
#[test]
fn a_magnet_link_that_names_a_peer_and_no_tracker_is_enough() {
    let image = Image::in_files();
    let torrent = made_by_transmission(&image);
    let port = free_port().unwrap();
    let _seeder = libtorrent_seeder(&torrent, &image.directory(), port);
    let hash = Metainfo::parse(&fs::read(torrent).unwrap()).unwrap().info_hash().as_string();
    image.write(Path::new(&format!("magnet:?xt=urn:btih:{hash}&x.pe=127.0.0.1:{port}")), &[]);
}

/// opentracker, that serves one torrent alone.
struct Opentracker {
    _process: Process,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Opentracker {
    fn start(torrent: &Path) -> Self {
        programs::need(&["opentracker"]).unwrap();
        let port = free_port().unwrap();
        let hash = Metainfo::parse(&fs::read(torrent).unwrap()).unwrap().info_hash().as_string();
        // Started as root it makes this its root directory and becomes "nobody": the list is found by a relative
        // path either way.
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("allowed"), format!("{hash}\n")).unwrap();
        let mut command = Command::new("opentracker");
        let both = port.to_string();
        command.args(["-i", "127.0.0.1", "-p", &both, "-P", &both, "-w", "allowed", "-d"]).arg(folder.path());
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start(&mut command).unwrap();
        listening(port);
        Self { _process: process, _folder: folder, port }
    }

    fn announce(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/announce", self.port)
    }
}

#[test]
fn opentracker_leads_us_to_a_seeder_over_http_and_udp() {
    for scheme in ["http", "udp"] {
        let image = Image::in_files();
        let tracker = Opentracker::start(&image.torrent());
        // aria2 speaks to trackers over UDP only together with its DHT.
        let theirs = image.torrent_with("theirs.torrent", &tracker.announce("http"));
        let _seeder = aria2_seeder(&theirs, &image.directory(), free_port().unwrap());
        image.write(&image.torrent_with("ours.torrent", &tracker.announce(scheme)), &[]);
    }
}

#[test]
fn opentracker_leads_others_to_us_over_http_and_udp() {
    for scheme in ["http", "udp"] {
        let image = Image::in_files();
        let tracker = Opentracker::start(&image.torrent());
        let torrent = image.torrent_with("tracked.torrent", &tracker.announce(scheme));
        // This one announces itself to nobody.
        let port = free_port().unwrap();
        let source = aria2_seeder(&image.torrent(), &image.directory(), port);
        let target = image.folder.path().join("seeded");
        let mut ours = write(&torrent, &target);
        ours.args(["--seed", "forever", "--peer", &format!("127.0.0.1:{port}")]).stdout(Stdio::piped());
        let mut ours = Process::start(&mut ours).unwrap();
        said(&mut ours, b'\n', COMPLETE);
        drop(source);
        libtorrent_downloads(&image, &torrent);
    }
}
