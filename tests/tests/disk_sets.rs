//! Several disks of one machine in one image: captured, served, deployed to the disks of another, and refused where it is
//! not clear which goes where.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ezio_tests::loop_deploy::{deploy, output, partition, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;

/// A folder with two disks that are files, and the image of both.
struct Bench {
    folder: tempfile::TempDir,
    builder: PathBuf,
}

impl Bench {
    /// The second disk needs 120 MiB, and the first one 60.
    fn new() -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        programs::need(&["sfdisk", "sgdisk", "partclone.ext4", "mkfs.ext4", "losetup", "partx"]).unwrap();
        let bench =
            Self { folder: tempfile::tempdir().unwrap(), builder: programs::find("image-builder").unwrap() };
        bench.disk("system", 64, "label: gpt\nsize=8MiB, type=S\nsize=48MiB, type=L, name=root\n", 9);
        bench.disk("data", 128, "label: dos\nstart=1MiB, size=118MiB, type=83\n", 1);
        output(
            bench.builder(),
            &["capture", &bench.file("system"), &bench.file("data"), "-o", &bench.file("lab")],
        );
        bench
    }

    /// A disk of so many MiB, with an ext4 from some MiB on, in which a file is called after it.
    fn disk(&self, name: &str, size: u64, table: &str, root: u64) {
        let disk = self.path(name);
        fs::File::create(&disk).unwrap().set_len(size * MIB).unwrap();
        partition(text(&disk), table, &self.path("table"));
        let files = self.path(&format!("files-{name}"));
        fs::create_dir(&files).unwrap();
        let noise =
            (0..5 * MIB + size).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15 + size) >> 40) as u8);
        fs::write(files.join(name), noise.collect::<Vec<u8>>()).unwrap();
        let length = if root == 1 { 118 } else { 48 };
        let device = Loop::new(&disk, root * MIB, length * MIB).unwrap();
        output("/usr/sbin/mkfs.ext4", &["-q", "-d", text(&files), &device.0]);
        if root > 1 {
            output("/usr/sbin/mkswap", &[&Loop::new(&disk, MIB, 8 * MIB).unwrap().0]);
        }
    }

    fn builder(&self) -> &str {
        text(&self.builder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        text(&self.path(name)).to_owned()
    }

    fn blank(&self, name: &str, size: u64) -> Loop {
        Loop::blank(&self.path(name), size * MIB).unwrap()
    }

    /// What a command says that is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = run(self.builder(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The disk holds what that file does: table, file system and files.
    fn arrived(&self, disk: &Loop, from: &str, root: u32) {
        let table = |disk: &str| {
            let dump = output("/usr/sbin/sfdisk", &["--dump", disk]);
            let lines =
                dump.lines().filter(|line| !line.starts_with("device:") && !line.starts_with("last-lba:"));
            lines
                .map(|line| line.split_once(" : ").map_or(line, |(_, entry)| entry).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(table(&disk.0), table(&self.file(from)));
        output("/usr/sbin/sfdisk", &["--verify", &disk.0]);
        let root = format!("{}p{root}", disk.0);
        output("/usr/sbin/e2fsck", &["-f", "-n", &root]);
        let copy = self.path("copy");
        output("/usr/sbin/debugfs", &["-R", &format!("dump /{from} {}", copy.display()), &root]);
        assert!(
            fs::read(&copy).unwrap() == fs::read(self.path(&format!("files-{from}")).join(from)).unwrap()
        );
    }
}

/// What is on a disk, as one would see that it was written to.
fn first_mib(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()[..MIB as usize].to_vec()
}

#[test]
fn two_disks_become_one_image_and_arrive_on_those_that_they_fit() {
    let bench = Bench::new();
    let (lab, builder) = (bench.file("lab"), bench.builder());
    output("/bin/sh", &["-c", "cd $0 && sha256sum --quiet -c SHA256SUMS", &lab]);
    let verified = output(builder, &["verify", "--no-progress", &lab]);
    assert!(verified.contains("lab/sda: whole") && verified.contains("lab: whole, 2 disks"), "{verified}");
    let shown = output(builder, &["show", &lab]);
    assert!(shown.contains("a set of 2 disks") && shown.contains("sdb: lab/sdb, captured"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&output(builder, &["show", "--json", &lab])).unwrap();
    assert_eq!(json["disk"][1]["manifest"]["partition"][0]["name"], "sdb1");

    let server = Server::start(Path::new(&lab), &[]).unwrap();
    // The other way round than the disks were captured.
    let disks = [bench.blank("large", 140), bench.blank("small", 80)];
    let conf = format!("{}ezio.conf", server.url);
    let init = programs::find("ezio-init").unwrap();
    let plan = ["plan", "--conf", &conf, "--disk", &disks[0].0, "--disk", &disks[1].0];
    let planned = output(text(&init), &plan);
    let (to_small, to_large) =
        (planned.find("image lab/sda to a disk"), planned.find("image lab/sdb to a disk"));
    assert!(to_small.is_some() && to_large.is_some(), "{planned}");
    assert!(planned.starts_with(&format!("{} 80.0 MiB:", disks[1].0)), "{planned}");

    let (good, said) = deploy(&server, &[&disks[0].0, &disks[1].0]);
    assert!(good, "{said}");
    bench.arrived(&disks[1], "system", 2);
    bench.arrived(&disks[0], "data", 1);
    let pxe = programs::find("ezio-pxe").unwrap();
    let status = output(text(&pxe), &["status", "--json", "--state", text(&server.state)]);
    assert!(status.contains("lab/sda, lab/sdb"), "{status}");

    // One of them alone, by its name.
    let conf = bench.path("one.conf");
    fs::write(&conf, "image = \"lab/sdb\"\n").unwrap();
    let server = Server::start(Path::new(&lab), &["--conf", text(&conf)]).unwrap();
    let only = bench.blank("only", 140);
    let (good, said) = deploy(&server, &[&only.0]);
    assert!(good, "{said}");
    bench.arrived(&only, "data", 1);
}

#[test]
fn what_is_not_clear_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let lab = bench.path("lab");
    let disks = ["a", "b", "c"].map(|name| bench.blank(name, 140));
    let [a, b, c] = disks.each_ref().map(|disk| disk.0.as_str());
    let server = Server::start(&lab, &[]).unwrap();
    let refused = |server: &Server, disks: &[&str], words: &[&str]| {
        let (good, said) = deploy(server, disks);
        assert!(!good && words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        assert!(
            ["a", "b", "c"].iter().all(|name| first_mib(&bench.path(name)).iter().all(|byte| *byte == 0))
        );
    };
    let twins =
        ["decides which disk gets which", "lab/sda needs", "fits lab/sda or lab/sdb", "[[disk]]", a, b];
    refused(&server, &[a, b], &twins);
    refused(&server, &[a], &["1 disks fit, and this image has 2"]);
    refused(&server, &[a, b, c], &["3 disks fit, and this image has 2"]);

    let conf = bench.path("disks.conf");
    let with = |text: &str| {
        fs::write(&conf, text).unwrap();
        Server::start(&lab, &["--conf", conf.to_str().unwrap()]).unwrap()
    };
    let one = "takes one image: name one of lab/sda, lab/sdb";
    refused(&with("image = \"lab\"\n[disk]\nall = true\n"), &[a, b], &["all = true", one]);
    refused(
        &with(&format!("[[disk]]\nimage = \"lab\"\npath = \"{a}\"\n[[disk]]\nimage = \"lab/sdb\"\n")),
        &[a, b],
        &[one],
    );
    let init = programs::find("ezio-init").unwrap();
    let written = run(text(&init), &["write", "--yes", text(&lab), a]);
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(!written.status.success() && said.contains("name one of lab/sda, lab/sdb"), "{said}");

    // By rules it is clear.
    let server = with(&format!(
        "[[disk]]\nimage = \"lab/sda\"\npath = \"{b}\"\n[[disk]]\nimage = \"lab/sdb\"\npath = \"{a}\"\n"
    ));
    let (good, said) = deploy(&server, &[a, b]);
    assert!(good, "{said}");
    bench.arrived(&disks[1], "system", 2);
    bench.arrived(&disks[0], "data", 1);
}

#[test]
fn a_set_that_is_not_whole_is_refused_and_one_image_is_named() {
    let bench = Bench::new();
    let (lab, out) = (bench.file("lab"), bench.file("out"));
    for arguments in [
        &["shrink", &lab, "-o", &out][..],
        &["export", &lab, "--raw", &out],
        &["export", &lab, "--torrent-files", &out],
    ] {
        let said = bench.refused(arguments);
        assert!(said.contains("takes one image: name one of") && said.contains("lab/sda"), "{said}");
        assert!(!bench.path("out").exists());
    }
    output(bench.builder(), &["export", "--no-progress", &bench.file("lab/sdb"), "--raw", &out]);

    let said =
        bench.refused(&["capture", &bench.file("system"), &bench.file("system"), "-o", &bench.file("new")]);
    assert!(said.contains("is named twice"), "{said}");
    assert!(!bench.path("new").exists());

    let serve = || {
        let mut serve = Command::new(programs::find("ezio-pxe").unwrap());
        let serve = serve.args(["serve", &lab, "--dhcp", "off", "--http-port", "0", "--peer-port", "0"]);
        let output = serve.args(["--listen", "127.0.0.1"]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let damaged = |file: &str, change: &dyn Fn(&Path), words: &str| {
        let path = bench.path("lab").join(file);
        let kept = fs::read(&path).unwrap();
        change(&path);
        let refused = bench.refused(&["verify", "--no-progress", &lab]);
        let said = serve();
        assert!(refused.contains(words) && said.contains(words), "{words}: {refused}{said}");
        fs::write(&path, kept).unwrap();
    };
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    damaged(
        "set.toml",
        &|path| fs::write(path, "format = 1\n").unwrap(),
        "set.toml: its 11 bytes have another SHA-256",
    );
    damaged("set.toml", &gone, "manifest.toml");
    damaged("SHA256SUMS", &gone, "SHA256SUMS");
    damaged("sdb/SHA256SUMS", &gone, "sdb/SHA256SUMS: is missing");
    damaged(
        "sdb/SHA256SUMS",
        &|path| fs::write(path, "").unwrap(),
        "sdb/SHA256SUMS: its 0 bytes have another SHA-256",
    );
    damaged("sda/layout.sfdisk", &|path| fs::write(path, "label: gpt\n").unwrap(), "layout.sfdisk");
    output(bench.builder(), &["verify", "--no-progress", &lab]);
}
