//! A system whose root is a logical volume gets a name and ids of its own. Judges: LVM's tools, blkid, each file system's check,
//! the kernel, and the files.

use std::fs;
use std::path::Path;

use ezio_tests::loop_deploy::{deploy, has_sys_resource, output};
use ezio_tests::loop_device::Loop;

use crate::bench::*;

const OLD_ID: &str = "0123456789abcdef0123456789abcdef";

/// Puts a system onto the root of a golden disk, which names root and swap by their ids.
fn install(bench: &Bench, golden: &Path) {
    let root = bench.root(golden);
    let id = blkid(&root.0);
    bench.mounted(&root.0, |mount| {
        for path in ["etc/initramfs-tools/conf.d", "boot/grub"] {
            fs::create_dir_all(mount.join(path)).unwrap();
        }
        let write = |path: &str, text: &str| fs::write(mount.join(path), text).unwrap();
        write("etc/hostname", "golden\n");
        write("etc/machine-id", &format!("{OLD_ID}\n"));
        write("etc/fstab", &format!("UUID={id} / auto defaults 0 1\nUUID={UUID} none swap sw 0 0\n"));
        write("etc/initramfs-tools/conf.d/resume", "RESUME=none\n");
        write("boot/grub/grub.cfg", &format!("linux /k root=UUID={id}\n"));
    });
}

fn blkid(device: &str) -> String {
    output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "UUID", device]).trim().to_owned()
}

/// Deploys such a system to a blank disk with new ids of all that has some, and looks at it from outside.
fn becomes_another(mkfs: &[&str], fsck: &[&str]) {
    let bench = Bench::new();
    let golden = bench.golden(mkfs, &[]);
    install(&bench, &golden);
    let old = blkid(&bench.root(&golden).0);
    let settings =
        "[identity]\nhostname = \"lab-{{counter:2}}\"\nmachine-id = true\nregenerate = [\"fs-uuid\"]\n";
    let server = bench.serve_with(&golden, settings);
    let file = bench.path("target.img");
    let target = Loop::blank(&file, 640 * MIB).unwrap();
    let (good, said) = deploy(&server, &[&target.0]);
    assert!(good && said.contains("vg0/root in /dev/"), "{said}");

    let volume = format!("{}p2", target.0);
    let size: u64 = output("/usr/sbin/blockdev", &["--getsize64", &volume]).trim().parse().unwrap();
    assert_eq!(size, 600 * MIB, "the partition is itself again");
    Bench::lvm(&volume, &["pvck", &volume]);
    Bench::lvm(&volume, &["vgck", "vg0"]);
    drop(target);
    let root = bench.root(&file);
    output(fsck[0], &[&fsck[1..], &[root.0.as_str()]].concat());
    let swap = Loop::new(&file, VOLUME + FIRST + ROOT * EXTENT, SWAP * EXTENT).unwrap();
    let [id, swap] = [&root, &swap].map(|device| blkid(&device.0));
    assert!(id.len() == 36 && id != old && swap.len() == 36 && swap != UUID, "{id} {swap}");
    bench.mounted(&root.0, |mount| {
        let read = |path: &str| fs::read_to_string(mount.join(path)).unwrap();
        assert_eq!(read("etc/hostname"), "lab-01\n");
        assert_ne!(read("etc/machine-id"), format!("{OLD_ID}\n"));
        assert_eq!(
            read("etc/fstab"),
            format!("UUID={id} / auto defaults 0 1\nUUID={swap} none swap sw 0 0\n")
        );
        assert_eq!(read("boot/grub/grub.cfg"), format!("linux /k root=UUID={id}\n"));
        assert!(fs::read(mount.join("noise")).unwrap() == fs::read(bench.path("noise")).unwrap());
    });
    output(fsck[0], &[&fsck[1..], &[root.0.as_str()]].concat());
}

#[test]
fn a_system_with_ext4_on_a_logical_volume_becomes_another() {
    let mkfs = ["/usr/sbin/mkfs.ext4", "-q", "-O", "metadata_csum,metadata_csum_seed"];
    becomes_another(&mkfs, &["/usr/sbin/e2fsck", "-f", "-n"]);
}

#[test]
fn a_system_with_xfs_on_a_logical_volume_becomes_another() {
    becomes_another(&["/usr/sbin/mkfs.xfs", "-q"], &["/usr/sbin/xfs_repair", "-n"]);
}

#[test]
fn a_system_with_btrfs_on_a_logical_volume_becomes_another() {
    becomes_another(&["/usr/sbin/mkfs.btrfs", "-q"], &["/usr/bin/btrfs", "check", "--readonly"]);
}

/// One that goes to a larger disk gets its name first. Where the kernel does not make ext4 longer, that is a failure, and the
/// system is whole, on a longer logical volume.
#[test]
fn a_system_with_ext4_on_a_logical_volume_becomes_another_and_fills_a_larger_disk() {
    let bench = Bench::new();
    let golden = bench.golden(&["/usr/sbin/mkfs.ext4", "-q"], &[]);
    install(&bench, &golden);
    let settings = "grow = \"last/root\"\n[identity]\nhostname = \"lab-{{counter:2}}\"\n";
    let server = bench.serve_with(&golden, settings);
    let file = bench.path("target.img");
    let target = Loop::blank(&file, 1024 * MIB).unwrap();
    let (good, said) = deploy(&server, &[&target.0]);
    assert!(said.contains("host name lab-01"), "{said}");
    assert_eq!(good, has_sys_resource(), "{said}");
    assert!(good || said.contains("CAP_SYS_RESOURCE"), "{said}");
    let volume = format!("{}p2", target.0);
    Bench::lvm(&volume, &["vgck", "vg0"]);
    let length = ["lvs", "--noheadings", "--units", "b", "--nosuffix", "-o", "lv_size", "vg0/root"];
    let length = number(&volume, &length);
    assert!(length > 900 * MIB, "{length}");
    drop(target);
    let root = Loop::new(&file, VOLUME + FIRST, length).unwrap();
    output("/usr/sbin/e2fsck", &["-f", "-n", &root.0]);
    bench.mounted(&root.0, |mount| {
        assert_eq!(fs::read_to_string(mount.join("etc/hostname")).unwrap(), "lab-01\n");
        assert!(fs::read(mount.join("noise")).unwrap() == fs::read(bench.path("noise")).unwrap());
        let said = output("/usr/bin/df", &["--output=size", "--block-size=1", mount.to_str().unwrap()]);
        let size: u64 = said.lines().last().unwrap().trim().parse().unwrap();
        assert_eq!(size > ROOT * EXTENT, good, "{size}");
    });
}

/// Its root has an extent behind the swap. Nobody asked for an identity: that is a note; somebody did: a failure, and it is
/// heard before anything is erased where the image has no other place for a system.
#[test]
fn a_root_in_two_pieces_is_left_as_it_is() {
    let bench = Bench::new();
    let golden = bench.golden(&["/usr/sbin/mkfs.ext4", "-q"], &[&["lvextend", "-l", "+1", "vg0/root"]]);
    let target = Loop::blank(&bench.path("target.img"), 640 * MIB).unwrap();
    let server = bench.serve_with(&golden, "[identity]\nhostname = \"lab-{{counter:2}}\"\n");
    let (good, said) = deploy(&server, &[&target.0]);
    let words = "only logical volumes that are linear and in one piece are reached";
    assert!(!good && said.contains("vg0/root") && said.contains(words), "{said}");
    assert!(fs::read(bench.path("target.img")).unwrap().iter().all(|byte| *byte == 0), "it was touched");
    drop(server);
    fs::remove_dir_all(bench.path("golden")).unwrap();
    let (good, said) = deploy(&bench.serve_with(&golden, ""), &[&target.0]);
    assert!(good && said.contains("vg0/root") && said.contains(words), "{said}");
    let volume = format!("{}p2", target.0);
    Bench::lvm(&volume, &["pvck", &volume]);
}
