//! LVM goes to a larger disk: the physical volume fills it, and a logical volume with its file system; swap behind that moves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ezio_tests::loop_deploy::{deploy, output, partition, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
const TABLE: &str = "label: gpt\nstart=1MiB, size=16MiB, type=U\nsize=600MiB, type=V\n";
/// Where the physical volume begins on the disk, and its first extent in it. An extent has 4 MiB.
const VOLUME: u64 = 17 * MIB;
const FIRST: u64 = MIB;
const EXTENT: u64 = 4 * MIB;
/// Extents of the logical volumes, which lie one after the other.
const ROOT: u64 = 100;
const SWAP: u64 = 16;
const UUID: &str = "0c5c1f0e-6f0f-4c52-9a30-111111111111";

/// A folder, and LVM without device-mapper.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        let needed =
            ["sfdisk", "pvcreate", "pvck", "vgck", "mkfs.xfs", "mkfs.btrfs", "partclone.ext4", "partx"];
        programs::need(&needed).unwrap();
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command of LVM that sees nothing but this device; gives what it prints.
    fn lvm(device: &str, command: &[&str]) -> String {
        let config = format!(
            "global/activation=0 devices/use_devicesfile=0 devices/filter=[\"a|^{device}$|\",\"r|.*|\"]"
        );
        let out = Command::new(command[0])
            .args(["--quiet", "--driverloaded", "n", "--config", &config])
            .args(&command[1..])
            .env("LVM_SUPPRESS_FD_WARNINGS", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{command:?}: {said}");
        // Nothing is to be said but that device-mapper is left alone.
        let complaint =
            said.lines().find(|line| !line.contains("Activation disabled") && !line.contains("not zeroed"));
        assert!(command[0] != "pvck" && command[0] != "vgck" || complaint.is_none(), "{command:?}: {said}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// A disk with LVM: a root file system made by `mkfs` with a file of noise, then swap and what `more` makes.
    fn golden(&self, mkfs: &[&str], more: &[&[&str]]) -> PathBuf {
        let disk = self.path("golden.img");
        fs::File::create(&disk).unwrap().set_len(640 * MIB).unwrap();
        partition(text(&disk), TABLE, &self.path("table"));
        let volume = Loop::new(&disk, VOLUME, 600 * MIB).unwrap();
        let create = ["lvcreate", "-an", "-Zn", "-Wn", "vg0", "-l"];
        let extents = [ROOT.to_string(), SWAP.to_string()];
        Self::lvm(&volume.0, &["pvcreate", &volume.0]);
        Self::lvm(&volume.0, &["vgcreate", "vg0", &volume.0]);
        Self::lvm(&volume.0, &[&create[..], &[&extents[0], "-n", "root"]].concat());
        Self::lvm(&volume.0, &[&create[..], &[&extents[1], "-n", "swap"]].concat());
        more.iter().for_each(|command| drop(Self::lvm(&volume.0, command)));
        let root = Loop::new(&disk, VOLUME + FIRST, ROOT * EXTENT).unwrap();
        output(mkfs[0], &[&mkfs[1..], &[root.0.as_str()]].concat());
        let noise: Vec<u8> =
            (0..5 * MIB).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        fs::write(self.path("noise"), &noise).unwrap();
        self.mounted(&root.0, |mount| fs::write(mount.join("noise"), &noise).unwrap());
        let swap = Loop::new(&disk, VOLUME + FIRST + ROOT * EXTENT, SWAP * EXTENT).unwrap();
        output("/usr/sbin/mkswap", &["--label", "SWAP", "--uuid", UUID, &swap.0]);
        disk
    }

    fn mounted(&self, device: &str, work: impl FnOnce(&Path)) {
        let mount = self.path("mount");
        fs::create_dir_all(&mount).unwrap();
        output("/usr/bin/mount", &[device, text(&mount)]);
        work(&mount);
        output("/usr/bin/umount", &[text(&mount)]);
    }

    /// Serves an image of that disk.
    fn serve(&self, golden: &Path, grow: &str) -> Server {
        let (image, conf) = (self.path("golden"), self.path("ezio.conf"));
        let builder = programs::find("image-builder").unwrap();
        let capture = ["capture", "--force", "--no-progress", text(golden), "-o", text(&image)];
        output(text(&builder), &capture);
        let shown = output(text(&builder), &["show", text(&image)]);
        assert!(shown.lines().any(|line| line.contains("  root") && line.contains("400.0 MiB")), "{shown}");
        fs::write(&conf, format!("image = \"golden\"\ngrow = \"{grow}\"\n")).unwrap();
        Server::start(&image, &["--conf", text(&conf)]).unwrap()
    }
}

/// A number that LVM prints.
fn number(device: &str, command: &[&str]) -> u64 {
    Bench::lvm(device, command).trim().parse().unwrap()
}

fn fills_a_larger_disk(mkfs: &[&str], fsck: &[&str]) {
    let bench = Bench::new();
    let golden = bench.golden(mkfs, &[]);
    let server = bench.serve(&golden, "last/root");
    let before = Loop::new(&golden, VOLUME, 600 * MIB).unwrap();
    let ids = ["lvs", "--noheadings", "-o", "vg_uuid,lv_name,lv_uuid"];
    let names = Bench::lvm(&before.0, &ids);
    let sequence = number(&before.0, &["vgs", "--noheadings", "-o", "vg_seqno"]);
    drop(before);
    let target = Loop::blank(&bench.path("target.img"), 2048 * MIB).unwrap();
    let (good, said) = deploy(&server, &[&target.0]);
    assert!(good && said.contains("the swap vg0/swap moves"), "{said}");

    let volume = format!("{}p2", target.0);
    let size: u64 = output("/usr/sbin/blockdev", &["--getsize64", &volume]).trim().parse().unwrap();
    assert!(size > (2048 - 20) * MIB, "the partition is itself again, and long: {size}");
    Bench::lvm(&volume, &["pvck", &volume]);
    Bench::lvm(&volume, &["vgck", "vg0"]);
    assert_eq!(Bench::lvm(&volume, &ids), names);
    let pv =
        |field: &str| number(&volume, &["pvs", "--noheadings", "--units", "b", "--nosuffix", "-o", field]);
    assert_eq!((pv("dev_size"), pv("pv_pe_count"), pv("pv_free")), (size, (size - FIRST) / EXTENT, 0));
    assert_eq!(number(&volume, &["vgs", "--noheadings", "-o", "vg_seqno"]), sequence + 1);
    // As pvresize would leave it: it finds nothing to change.
    let resized = Bench::lvm(&volume, &["pvresize", "--test", &volume]);
    assert!(resized.contains("1 physical volume(s) resized") || resized.contains("resized"), "{resized}");
    let dump = bench.path("dump");
    Bench::lvm(&volume, &["vgcfgbackup", "-f", text(&dump), "vg0"]);
    Bench::lvm(&volume, &["vgcfgrestore", "--test", "-f", text(&dump), "vg0"]);

    let root = pv("pv_pe_count") - SWAP;
    let file = bench.path("target.img");
    let device = Loop::new(&file, VOLUME + FIRST, root * EXTENT).unwrap();
    output(fsck[0], &[&fsck[1..], &[device.0.as_str()]].concat());
    bench.mounted(&device.0, |mount| {
        assert!(fs::read(mount.join("noise")).unwrap() == fs::read(bench.path("noise")).unwrap());
        let said = output("/usr/bin/df", &["--output=size", "--block-size=1", text(mount)]);
        let size: u64 = said.lines().last().unwrap().trim().parse().unwrap();
        assert!(size > root * EXTENT - 80 * MIB, "{size}");
    });
    let swap = Loop::new(&file, VOLUME + FIRST + root * EXTENT, SWAP * EXTENT).unwrap();
    let said =
        output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "LABEL", "-s", "UUID", "-s", "TYPE", &swap.0]);
    assert_eq!(said, format!("SWAP\n{UUID}\nswap\n"));
}

#[test]
fn xfs_on_a_logical_volume_fills_a_larger_disk() {
    fills_a_larger_disk(&["/usr/sbin/mkfs.xfs", "-q"], &["/usr/sbin/xfs_repair", "-n"]);
}

#[test]
fn btrfs_on_a_logical_volume_fills_a_larger_disk() {
    fills_a_larger_disk(&["/usr/sbin/mkfs.btrfs", "-q"], &["/usr/bin/btrfs", "check", "--readonly"]);
}

#[test]
fn what_cannot_grow_is_refused_before_anything_is_erased() {
    let bench = Bench::new();
    let golden = bench.golden(
        &["/usr/sbin/mkfs.xfs", "-q"],
        &[&["lvcreate", "-an", "-Zn", "-Wn", "vg0", "-l", "4", "-n", "home"]],
    );
    let target = Loop::blank(&bench.path("target.img"), 2048 * MIB).unwrap();
    let was = fs::read(bench.path("target.img")).unwrap();
    let mut server = None;
    for (grow, word) in [
        ("sda2/root", "vg0/home lies behind vg0/root, and only swap is moved"),
        ("sda2/swap", "vg0/home lies behind vg0/swap"),
        ("last/var", "no volume \"var\": it has home, root, swap"),
        ("sda1/root", "no LVM on sda1"),
        ("last/home", "vg0/home: what is on it is not known"),
    ] {
        drop(server.take());
        if bench.path("golden").exists() {
            fs::remove_dir_all(bench.path("golden")).unwrap();
        }
        let (good, said) = deploy(server.insert(bench.serve(&golden, grow)), &[&target.0]);
        assert!(!good && said.contains(word), "{grow}: {said}");
    }
    assert!(fs::read(bench.path("target.img")).unwrap() == was, "the target was touched");

    // The physical volume alone: what is new is free.
    drop(server.take());
    fs::remove_dir_all(bench.path("golden")).unwrap();
    let (good, said) = deploy(server.insert(bench.serve(&golden, "sda2")), &[&target.0]);
    assert!(good, "{said}");
    let volume = format!("{}p2", target.0);
    Bench::lvm(&volume, &["pvck", &volume]);
    let free = number(&volume, &["pvs", "--noheadings", "--units", "m", "--nosuffix", "-o", "pv_pe_count"]);
    assert!(free > 490, "{free}");
}
