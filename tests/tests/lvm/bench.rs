//! A disk with LVM, and LVM's own tools, without device-mapper.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ezio_tests::loop_deploy::{output, partition, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const TABLE: &str = "label: gpt\nstart=1MiB, size=16MiB, type=U\nsize=600MiB, type=V\n";
/// Where the physical volume begins on the disk, and its first extent in it. An extent has 4 MiB.
pub(crate) const VOLUME: u64 = 17 * MIB;
pub(crate) const FIRST: u64 = MIB;
pub(crate) const EXTENT: u64 = 4 * MIB;
/// Extents of the logical volumes, which lie one after the other.
pub(crate) const ROOT: u64 = 100;
pub(crate) const SWAP: u64 = 16;
pub(crate) const UUID: &str = "0c5c1f0e-6f0f-4c52-9a30-111111111111";

/// A folder, and LVM without device-mapper.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        let needed =
            ["sfdisk", "pvcreate", "pvck", "vgck", "mkfs.xfs", "mkfs.btrfs", "partclone.ext4", "partx"];
        programs::need(&needed).unwrap();
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command of LVM that sees nothing but this device; gives what it prints.
    pub(crate) fn lvm(device: &str, command: &[&str]) -> String {
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
    pub(crate) fn golden(&self, mkfs: &[&str], more: &[&[&str]]) -> PathBuf {
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
        let root = self.root(&disk);
        output(mkfs[0], &[&mkfs[1..], &[root.0.as_str()]].concat());
        let noise: Vec<u8> =
            (0..5 * MIB).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        fs::write(self.path("noise"), &noise).unwrap();
        self.mounted(&root.0, |mount| fs::write(mount.join("noise"), &noise).unwrap());
        let swap = Loop::new(&disk, VOLUME + FIRST + ROOT * EXTENT, SWAP * EXTENT).unwrap();
        output("/usr/sbin/mkswap", &["--label", "SWAP", "--uuid", UUID, &swap.0]);
        disk
    }

    /// The root file system of such a disk, as a device of its own.
    pub(crate) fn root(&self, disk: &Path) -> Loop {
        Loop::new(disk, VOLUME + FIRST, ROOT * EXTENT).unwrap()
    }

    pub(crate) fn mounted(&self, device: &str, work: impl FnOnce(&Path)) {
        let mount = self.path("mount");
        fs::create_dir_all(&mount).unwrap();
        output("/usr/bin/mount", &[device, text(&mount)]);
        work(&mount);
        output("/usr/bin/umount", &[text(&mount)]);
    }

    /// Serves an image of that disk, to be grown so.
    pub(crate) fn serve(&self, golden: &Path, grow: &str) -> Server {
        self.serve_with(golden, &format!("grow = \"{grow}\"\n"))
    }

    /// Serves an image of that disk with these settings.
    pub(crate) fn serve_with(&self, golden: &Path, settings: &str) -> Server {
        let (image, conf) = (self.path("golden"), self.path("ezio.conf"));
        let builder = programs::find("image-builder").unwrap();
        let capture = ["capture", "--force", "--no-progress", text(golden), "-o", text(&image)];
        output(text(&builder), &capture);
        let shown = output(text(&builder), &["show", text(&image)]);
        assert!(shown.lines().any(|line| line.contains("  root") && line.contains("MiB")), "{shown}");
        fs::write(&conf, format!("image = \"golden\"\n{settings}")).unwrap();
        Server::start(&image, &["--conf", text(&conf)]).unwrap()
    }
}

/// A number that LVM prints.
pub(crate) fn number(device: &str, command: &[&str]) -> u64 {
    Bench::lvm(device, command).trim().parse().unwrap()
}
