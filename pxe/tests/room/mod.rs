//! A small image, and the program serving it.

mod door;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ezio_contract::Arch;
use ezio_contract::netboot::{self, DESCRIPTION, Description, File, INITRD, KERNEL};
use ezio_image::conf::Bus;
use ezio_image::manifest::{
    Content, DiskInfo, DiskLabel, Manifest, PartitionInfo, Source, SourceKind, Store,
};
use ezio_image::metainfo::{InfoHash, Metainfo};
use ezio_image::set::{DiskSet, SET_FILE, SET_VERSION, SetDisk, sums_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::header::AUTHORIZATION;
use serde_json::Value;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tempfile::TempDir;

use door::Door;

const BOUND: Duration = Duration::from_secs(30);
const PIECE: usize = 64 << 10;

/// A raw image of 300 KiB in a directory of its own.
pub(crate) struct Image {
    pub(crate) folder: TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) info_hash: InfoHash,
}

impl Image {
    pub(crate) fn make(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(name);
        let info_hash = fill(&dir, name);
        Self { folder, dir, info_hash }
    }

    /// A set of such images, of a disk at ATA and one that is NVMe.
    pub(crate) fn set(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(name);
        let disks = [("sda", Bus::Ata), ("nvme0n1", Bus::Nvme)];
        let info_hash = disks.map(|(disk, _)| fill(&dir.join(disk), disk))[0];
        let disks = disks.map(|(name, bus)| SetDisk { name: name.to_owned(), bus: Some(bus) });
        let mut files = disks.iter().map(|disk| sums_of(&disk.name)).collect::<Vec<_>>();
        let (name, builder) = (name.to_owned(), "test".to_owned());
        let list = DiskSet { format: SET_VERSION, name, builder, disks: disks.into() };
        std::fs::write(dir.join(SET_FILE), list.to_toml()).unwrap();
        files.push(SET_FILE.to_owned());
        let sums = files.iter().map(|file| {
            let bytes = std::fs::read(dir.join(file)).unwrap();
            format!("{}  {file}\n", sha256(&bytes))
        });
        std::fs::write(dir.join("SHA256SUMS"), sums.collect::<String>()).unwrap();
        Self { folder, dir, info_hash }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap()
    }

    /// Something that looks like `dist/`.
    pub(crate) fn netboot(arch: Arch) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let kernel = format!("kernel of {arch}");
        let files = [
            (KERNEL, kernel.as_str()),
            (INITRD, "initrd"),
            (netboot::shim(arch), "shim"),
            (netboot::grub(arch), "grub"),
        ]
        .map(|(name, bytes)| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            File { name: name.to_owned(), size: bytes.len() as u64, sha256: sha256(bytes.as_bytes()) }
        });
        let description = Description::new("test", arch, "6.12", Vec::new(), files.to_vec());
        std::fs::write(folder.path().join(DESCRIPTION), description.to_toml()).unwrap();
        folder
    }
}

/// Makes an image directory.
fn fill(dir: &Path, name: &str) -> InfoHash {
    std::fs::create_dir_all(dir).unwrap();
    let data: Vec<u8> = (0..300u32 << 10).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let hashes: Vec<u8> = data.chunks(PIECE).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let metainfo = Metainfo::create("disk", PIECE as u32, data.len() as u64, None, &hashes).unwrap();
    let info_hash = metainfo.info_hash();
    let size = data.len() as u64;
    let manifest = Manifest {
        format: 1,
        name: name.to_owned(),
        created: "2026-01-01T00:00:00Z".into(),
        builder: "test".into(),
        arch: None,
        store: Store::Files,
        source: Source { kind: SourceKind::RawDisk, path: "test machine".into(), model: None, serial: None },
        disk: Some(DiskInfo { size, sector_size: 512, label: DiskLabel::None, minimum_size: size }),
        notes: vec!["disk: is encrypted by LUKS: copied whole".into()],
        partitions: vec![PartitionInfo {
            name: "disk".into(),
            number: 0,
            offset: 0,
            size,
            filesystem: None,
            filesystem_size: None,
            block_size: None,
            uuid: None,
            label: None,
            content: Content::Raw { info_hash: info_hash.as_string() },
            lvm: None,
        }],
    };
    let manifest = toml::to_string(&manifest).unwrap();
    let torrent = metainfo.to_torrent(&[]);
    let sums =
        format!("{}  manifest.toml\n{}  disk.torrent\n", sha256(manifest.as_bytes()), sha256(&torrent));
    for (file, bytes) in [
        ("manifest.toml", manifest.as_bytes()),
        ("disk.torrent", &torrent),
        ("disk", &data),
        ("SHA256SUMS", sums.as_bytes()),
    ] {
        std::fs::write(dir.join(file), bytes).unwrap();
    }
    info_hash
}

/// What the server says of itself in its folder of state.
fn local(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(state.join("local.json")).unwrap()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The running program.
pub(crate) struct Server {
    child: Child,
    log: Receiver<String>,
    /// What it printed at start.
    pub(crate) printed: String,
    /// `http://ADDRESS:PORT` for machines.
    pub(crate) base: String,
    /// The same for people, through a [`Door`] where they are served by TLS.
    pub(crate) people: String,
    /// Where they are served.
    pub(crate) page: String,
    _door: Option<Door>,
    state: PathBuf,
    _folder: TempDir,
}

fn program(image: &Image, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ezio-pxe"));
    command.arg("serve").arg(&image.dir).args(["--dhcp", "off"]);
    if !args.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1"]);
    }
    if !args.contains(&"--http-port") {
        command.args(["--http-port", "0"]);
    }
    if !args.iter().any(|arg| ["--https-port", "--no-tls"].contains(arg)) {
        command.args(["--https-port", "0"]);
    }
    command.args(["--peer-port", "0"]).args(args).stdin(Stdio::null());
    command.env("RUST_LOG", "info").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    /// Without `--state` among the arguments it gets a folder that goes with it.
    pub(crate) fn start(image: &Image, args: &[&str]) -> Self {
        let given = args.iter().position(|arg| *arg == "--state").map(|at| PathBuf::from(args[at + 1]));
        let folder = tempfile::tempdir().unwrap();
        let mut command = program(image, args);
        if given.is_none() {
            command.arg("--state").arg(folder.path());
        }
        let state = given.unwrap_or_else(|| folder.path().to_owned());
        let mut child = command.spawn().unwrap();
        let (send, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut printed = String::new();
        let mut base = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            printed.push_str(&line);
            printed.push('\n');
            if let Some(url) = line.trim_start().strip_prefix("http ") {
                base = Some(url.trim().trim_end_matches('/').to_owned());
            }
            if line.starts_with("dashboard ") {
                break;
            }
        }
        let Some(base) = base else {
            let _ = child.kill();
            panic!("it did not start: {printed}{}", log.try_iter().collect::<Vec<_>>().join("\n"));
        };
        let page = local(&state)["url"].as_str().unwrap().to_owned();
        let door = page.strip_prefix("https://").map(|to| Door::open(to.parse().unwrap(), &state));
        let people = door.as_ref().map_or_else(|| page.clone(), |door| door.url.clone());
        Self { child, log, printed, base, people, page, _door: door, state, _folder: folder }
    }

    /// A client that shows a token; none: that of commands on the server.
    pub(crate) fn client(&self, token: Option<&str>) -> reqwest::Client {
        let token =
            token.map_or_else(|| local(&self.state)["token"].as_str().unwrap().to_owned(), str::to_owned);
        let bearer = [(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())];
        reqwest::Client::builder().default_headers(bearer.into_iter().collect()).build().unwrap()
    }

    /// Starts it, and gives what it says when it cannot.
    pub(crate) fn fails(image: &Image, args: &[&str]) -> String {
        let output = program(image, args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    /// The address that it printed for `what`.
    pub(crate) fn find<T: std::str::FromStr>(&self, what: &str) -> T {
        let line = self.printed.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/');
        address.parse().unwrap_or_else(|_| panic!("{address}"))
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let program = env!("CARGO_BIN_EXE_ezio-pxe");
        Command::new(program).args(args).arg("--state").arg(&self.state).output().unwrap()
    }

    /// A command that is told this on its standard input.
    pub(crate) fn told(&self, args: &[&str], input: &str) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ezio-pxe"));
        command.args(args).arg("--state").arg(&self.state).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn command_error(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Numbers of its threads.
    pub(crate) fn threads(&self) -> Vec<i32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub(crate) fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Waits for a line of its log; gives all lines up to it that nobody has read.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let until = Instant::now() + BOUND;
        let mut read = String::new();
        loop {
            let line = self.log.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("the log never said {text:?}"));
            read += &format!("{line}\n");
            if line.contains(text) {
                return read;
            }
        }
    }

    /// Ends it by SIGTERM, and expects that its log says this before its end.
    pub(crate) fn stop_saying(self, text: &str) {
        self.signal(Signal::SIGTERM);
        self.wait_for_log(text);
        self.stop();
    }

    /// Ends it by SIGTERM and expects a good end.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + BOUND;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not stop");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
