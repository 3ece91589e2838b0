//! LVM goes to a larger disk: the physical volume fills it, and a logical volume with its file system; swap behind that moves.

use std::fs;

use ezio_tests::loop_deploy::{deploy, output, text};
use ezio_tests::loop_device::Loop;

use crate::bench::*;

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
