//! A raw image of a partition, or one of an image directory, onto one chosen partition of a disk: its neighbours and the
//! partition table are afterwards what they were before.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ezio_tests::loop_deploy::{output, partition, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const MIB: u64 = 1 << 20;
/// The partition that is written, in MiB: start and length. The same in both tables.
const TARGET: (u64, u64) = (10, 400);
const DISK: u64 = 424;
const GPT: &str = "label: gpt\n1 : start=1MiB, size=8MiB, type=L\n2 : start=10MiB, size=400MiB, type=L, name=goes\n\
                   3 : start=411MiB, size=8MiB, type=S\n";
/// There it is the first logical one.
const MBR: &str = "label: dos\n1 : start=1MiB, size=7MiB, type=83\n2 : start=9MiB, size=412MiB, type=5\n\
                   5 : start=10MiB, size=400MiB, type=af\n6 : start=411MiB, size=8MiB, type=82\n";

fn noise(length: u64, seed: u64) -> Vec<u8> {
    (seed..seed + length).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
}

/// All of a disk but the partition that is written.
fn beside(disk: &Path) -> Vec<u8> {
    let disk = fs::File::open(disk).unwrap();
    let (end, length) = ((TARGET.0 + TARGET.1) * MIB, (DISK - TARGET.0 - TARGET.1) * MIB);
    let mut bytes = vec![0; (TARGET.0 * MIB + length) as usize];
    let (head, tail) = bytes.split_at_mut((TARGET.0 * MIB) as usize);
    disk.read_exact_at(head, 0).unwrap();
    disk.read_exact_at(tail, end).unwrap();
    bytes
}

/// The first MiB of the partition that is written.
fn head(disk: &Path) -> Vec<u8> {
    let mut bytes = vec![0; MIB as usize];
    fs::File::open(disk).unwrap().read_exact_at(&mut bytes, TARGET.0 * MIB).unwrap();
    bytes
}

/// A disk with noise on the neighbours; what is on it, and the node of the partition that is written.
struct Disk {
    device: Loop,
    file: PathBuf,
    before: Vec<u8>,
    node: String,
}

impl Disk {
    fn new(folder: &Path, table: &str) -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        programs::need(&["sfdisk", "sgdisk", "losetup", "partx", "blkid"]).unwrap();
        let file = folder.join("disk.img");
        let device = Loop::blank(&file, DISK * MIB).unwrap();
        let number = if table.contains("gpt") { 2 } else { 5 };
        partition(&device.0, table, &folder.join("table"));
        // The extended partition takes no room of its own: the kernel is not told of it.
        for known in [1, number, number + 1] {
            output("/usr/bin/partx", &["--add", "--nr", &known.to_string(), &device.0]);
        }
        let node = format!("{}p{number}", device.0);
        for neighbour in [1, number + 1] {
            fs::write(format!("{}p{neighbour}", device.0), noise(4 * MIB, neighbour)).unwrap();
        }
        output("/usr/bin/sync", &[]);
        let before = beside(&file);
        Self { device, file, before, node }
    }

    /// Everything but the partition is what it was, table and kernel say of it what they said.
    fn assert_untouched(&self) {
        output("/usr/bin/sync", &[]);
        assert!(beside(&self.file) == self.before, "a neighbour or the table is not what it was");
        assert_eq!(self.length(), TARGET.1 * MIB);
        let verified = output("/usr/sbin/sfdisk", &["--verify", &self.device.0]);
        assert!(verified.contains("No errors detected"), "{verified}");
    }

    /// Nothing at all was written.
    fn assert_not_written(&self) {
        self.assert_untouched();
        assert!(head(&self.file).iter().all(|byte| *byte == 0));
    }

    /// Bytes of the partition, as the kernel knows it.
    fn length(&self) -> u64 {
        output("/usr/sbin/blockdev", &["--getsize64", &self.node]).trim().parse().unwrap()
    }
}

fn write(arguments: &[&str]) -> Command {
    let mut command = Command::new(programs::find("ezio-init").unwrap());
    command.args(["write", "--yes"]).args(arguments).args(["--progress", "plain"]).stdin(Stdio::null());
    command
}

/// The image of a disk of 400 MiB with two partitions, "one" and "two".
fn golden(folder: &Path) -> PathBuf {
    let (golden, image) = (folder.join("golden.img"), folder.join("golden"));
    fs::File::create(&golden).unwrap().set_len(400 * MIB).unwrap();
    let table = "label: gpt\nstart=1MiB, size=100MiB, type=L\nsize=290MiB, type=L\n";
    partition(text(&golden), table, &folder.join("golden.table"));
    for (start, size, label) in [(1, 100, "one"), (101, 290, "two")] {
        let part = Loop::new(&golden, start * MIB, size * MIB).unwrap();
        output("/usr/sbin/mkfs.ext4", &["-q", "-L", label, &part.0]);
    }
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["capture", text(&golden), "-o", text(&image), "--no-progress"]);
    image
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_file_system_in_a_file_fills_its_partition() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), GPT);
    let source = folder.path().join("root.dd");
    fs::File::create(&source).unwrap().set_len(320 * MIB).unwrap();
    output("/usr/sbin/mkfs.xfs", &["-q", text(&source)]);

    let dry = write(&[text(&source), &disk.node, "--exact", "--dry-run"]).output().unwrap();
    assert!(dry.status.success() && said(&dry).contains("335544320 bytes"), "{}", said(&dry));
    disk.assert_not_written();

    let done = write(&[text(&source), &disk.node, "--exact"]).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    disk.assert_untouched();
    output("/usr/sbin/sgdisk", &["--verify", &disk.device.0]);
    output("/usr/sbin/xfs_repair", &["-n", &disk.node]);
    let mount = folder.path().join("mount");
    fs::create_dir(&mount).unwrap();
    output("/usr/bin/mount", &[&disk.node, text(&mount)]);
    let size = output("/usr/bin/df", &["--output=size", "--block-size=1M", text(&mount)]);
    output("/usr/bin/umount", &[text(&mount)]);
    let size: u64 = size.lines().last().unwrap().trim().parse().unwrap();
    assert!(size > 320, "{size}");
}

/// Debian has no program that makes HFS+: a header by TN1150, and noise.
#[test]
fn an_image_of_hfs_plus_goes_onto_a_logical_partition() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), MBR);
    let source = folder.path().join("mac.cdr");
    let mut volume = noise(9 * MIB + 512, 7);
    volume[1024..1536].fill(0);
    volume[1024..1028].copy_from_slice(b"H+\0\x04");
    volume[1028..1032].copy_from_slice(&0x100u32.to_be_bytes());
    fs::write(&source, &volume).unwrap();
    let done = write(&[text(&source), &disk.node, "--exact"]).output().unwrap();
    assert!(done.status.success() && said(&done).contains("keeps its length"), "{}", said(&done));
    disk.assert_untouched();
    let mut written = vec![0; volume.len()];
    fs::File::open(&disk.node).unwrap().read_exact_at(&mut written, 0).unwrap();
    assert!(written == volume, "another image than that");
}

#[test]
fn a_partition_of_an_image_directory_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), GPT);
    let image = golden(folder.path());

    let unclear = write(&[text(&image), &disk.node]).output().unwrap();
    assert!(unclear.status.code() == Some(1) && said(&unclear).contains("sda1, sda2"), "{}", said(&unclear));
    disk.assert_not_written();
    let done = write(&[text(&image), &disk.node, "--partition", "sda2"]).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    disk.assert_untouched();
    output("/usr/sbin/e2fsck", &["-f", "-n", &disk.node]);
    let label = output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "LABEL", &disk.node]);
    assert_eq!(label.trim(), "two");
}

#[test]
fn a_partition_is_what_it_was_when_the_writing_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), GPT);
    let source = folder.path().join("image.dd");
    fs::write(&source, noise(16 * MIB, 3)).unwrap();
    let mut process = write(&[text(&source), &disk.node, "--exact", "--limit-down", "1MiB"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while disk.length() != 16 * MIB {
        assert!(
            Instant::now() < end && process.try_wait().unwrap().is_none(),
            "it is never as long as the image"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(128 + 15));
    disk.assert_untouched();
}

#[test]
fn what_is_no_partition_or_too_small_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), GPT);
    let source = folder.path().join("image.dd");
    fs::File::create(&source).unwrap().set_len(401 * MIB).unwrap();
    for (target, word) in
        [(&disk.node, "too small by 1048576 bytes"), (&disk.device.0, "no partition of a disk")]
    {
        let refused = write(&[text(&source), target, "--exact"]).output().unwrap();
        assert!(refused.status.code() == Some(1) && said(&refused).contains(word), "{}", said(&refused));
    }
    disk.assert_not_written();
}

#[test]
fn nothing_is_erased_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), GPT);
    let source = folder.path().join("image.dd");
    fs::write(&source, noise(MIB, 3)).unwrap();
    let init = programs::find("ezio-init").unwrap();
    // It is asked about last, when all is known that is to be known.
    let server = Server::start(&golden(folder.path()), &[]).unwrap();
    let conf = format!("{}ezio.conf", server.url);
    for arguments in [
        &["write", text(&source), &disk.node, "--exact"][..],
        &["deploy", "--conf", &conf, "--disk", &disk.device.0],
    ] {
        let refused = Command::new(&init).args(arguments).stdin(Stdio::null()).output().unwrap();
        let words = said(&refused);
        assert!(refused.status.code() == Some(1) && words.contains("--yes says that it may be"), "{words}");
        disk.assert_not_written();
    }
}

#[test]
fn at_a_terminal_it_asks_first() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), GPT);
    let source = folder.path().join("image.dd");
    fs::write(&source, noise(MIB, 3)).unwrap();
    let init = programs::find("ezio-init").unwrap();
    let line = format!("{} write {} {} --progress plain", text(&init), text(&source), disk.node);
    let answered = |answer: &str| {
        let (input, keys) = (folder.path().join("keys"), format!("{answer}\n"));
        fs::write(&input, keys).unwrap();
        // It gives the program a terminal of its own.
        let mut script = Command::new("/usr/bin/script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        script.stdin(fs::File::open(&input).unwrap()).output().unwrap()
    };
    let refused = answered("y");
    let words = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        refused.status.code() == Some(1)
            && words.contains("is lost")
            && words.contains("nothing was written"),
        "{words}"
    );
    disk.assert_not_written();
    let done = answered("yes");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    output("/usr/bin/sync", &[]);
    assert!(head(&disk.file) == noise(MIB, 3));
}
