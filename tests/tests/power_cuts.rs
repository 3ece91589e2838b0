//! The power fails at a random moment of a deployment, and the machine is switched on again: its disk is in the end what
//! it would be without, and before that nothing on it passes for whole.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ezio_tests::dice::{self, Dice};
use ezio_tests::loop_deploy::{deploy, output, partition, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
const DISK: u64 = 48 * MIB;
/// What a power cut loses: blocks of so many bytes, in no order.
const BLOCK: u64 = 4096;
/// Nobody is served afterwards, so that the end of a deployment does not depend on others.
const CONF: &str = "image = \"golden\"\nseed = \"none\"\n[identity]\nmachine-id = false\nssh-host-keys = false\nrandom-seed = false\n";

struct Room {
    _folder: tempfile::TempDir,
    image: PathBuf,
    server: Server,
    /// What was on the disk before anything.
    old: Vec<u8>,
    /// What is on it after a deployment that nothing interrupts.
    new: Vec<u8>,
    /// How long that takes.
    time: Duration,
    disk: PathBuf,
    device: Loop,
}

/// A disk with an ext4 of noise and swap.
fn golden(folder: &Path) -> PathBuf {
    let disk = folder.join("golden.img");
    File::create(&disk).unwrap().set_len(44 * MIB).unwrap();
    let table = "label: gpt\nstart=1MiB, size=32MiB, type=L\nsize=4MiB, type=S\n";
    partition(text(&disk), table, &folder.join("table"));
    let files = folder.join("files");
    fs::create_dir(&files).unwrap();
    let mut noise = vec![0; (16 * MIB) as usize];
    Dice(1).fill(&mut noise);
    fs::write(files.join("noise"), noise).unwrap();
    let root = Loop::new(&disk, MIB, 32 * MIB).unwrap();
    output("/usr/sbin/mkfs.ext4", &["-q", "-d", text(&files), &root.0]);
    let swap = Loop::new(&disk, 33 * MIB, 4 * MIB).unwrap();
    output("/usr/sbin/mkswap", &[&swap.0]);
    disk
}

impl Room {
    fn new(dice: &mut Dice) -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        programs::need(&["sfdisk", "partclone.ext4", "mkfs.ext4", "losetup", "partx"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (golden, image) = (golden(folder.path()), folder.path().join("golden"));
        let builder = programs::find("image-builder").unwrap();
        output(text(&builder), &["capture", text(&golden), "-o", text(&image), "--no-progress"]);
        let conf = folder.path().join("ezio.conf");
        fs::write(&conf, CONF).unwrap();
        let server = Server::start(&image, &["--conf", text(&conf)]).unwrap();
        let mut old = vec![0; DISK as usize];
        dice.fill(&mut old);
        let disk = folder.path().join("disk.img");
        fs::write(&disk, &old).unwrap();
        let device = Loop::new(&disk, 0, DISK).unwrap();
        let began = Instant::now();
        let (good, said) = deploy(&server, &[&device.0]);
        assert!(good, "{said}");
        let time = began.elapsed();
        let room = Self { _folder: folder, image, server, old, new: Vec::new(), time, disk, device };
        Self { new: room.on_disk(), ..room }
    }

    fn on_disk(&self) -> Vec<u8> {
        File::open(&self.device.0).unwrap().sync_all().unwrap();
        fs::read(&self.disk).unwrap()
    }

    fn start(&self) -> Child {
        Command::new(programs::find("ezio-init").unwrap())
            .args([
                "deploy",
                "--yes",
                "--conf",
                &format!("{}ezio.conf", self.server.url),
                "--disk",
                &self.device.0,
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn write(&self, bytes: &[u8]) {
        let device = File::options().write(true).open(&self.device.0).unwrap();
        device.write_all_at(bytes, 0).unwrap();
        device.sync_all().unwrap();
    }

    /// Cuts a deployment at a random moment, once or more often in a row.
    fn cut(&self, dice: &mut Dice) {
        for _ in 0..=dice.below(3) {
            let mut machine = self.start();
            // Beyond its end as well: a cut after all is done must change nothing.
            std::thread::sleep(self.time.mul_f64(dice.below(1100) as f64 / 1000.0));
            machine.kill().unwrap();
            machine.wait().unwrap();
            // Once there is a table, all else has reached the medium.
            if !self.is_whole() {
                self.lose(dice);
            }
        }
    }

    /// Is there a table? It comes last: what has one has to be whole.
    fn is_whole(&self) -> bool {
        let has_table = self.on_disk()[510..512] == [0x55, 0xaa];
        if has_table {
            let init = programs::find("ezio-init").unwrap();
            let proof =
                run(text(&init), &["prove", text(&self.image), &self.device.0, "--progress", "plain"]);
            assert!(proof.status.success(), "{}", String::from_utf8_lossy(&proof.stderr));
        }
        has_table
    }

    /// Some of what was written last has not reached the medium: it is what it was before.
    fn lose(&self, dice: &mut Dice) {
        let device = File::options().write(true).open(&self.device.0).unwrap();
        for _ in 0..dice.below(40) {
            let at = dice.below(DISK / BLOCK) * BLOCK;
            device.write_all_at(&self.old[at as usize..][..BLOCK as usize], at).unwrap();
        }
        device.sync_all().unwrap();
    }
}

/// So many machines, one after the other, each on the old disk.
fn cut(machines: u64) {
    let mut dice = Dice::thrown();
    let room = Room::new(&mut dice);
    for machine in 0..machines {
        room.write(&room.old);
        room.cut(&mut dice);
        let (good, said) = deploy(&room.server, &[&room.device.0]);
        assert!(good, "machine {machine}: {said}");
        let disk = room.on_disk();
        let different =
            disk.chunks(BLOCK as usize).zip(room.new.chunks(BLOCK as usize)).position(|(a, b)| a != b);
        assert_eq!(
            different, None,
            "machine {machine}: this block of the disk is not what it is without a cut"
        );
    }
}

#[test]
fn a_machine_whose_power_fails_gets_the_same_disk() {
    cut(3);
}

#[test]
#[ignore = "soak: some seconds each"]
fn a_hundred_machines_whose_power_fails_get_the_same_disk() {
    cut(dice::cases(100));
}
