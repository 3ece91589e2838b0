//! LVM on a disk with sectors of 4096 bytes. Judges: LVM's tools, each file system's check, the kernel, and the files.

use std::fs;
use std::path::PathBuf;

use ezio_tests::loop_deploy::{deploy, output};
use ezio_tests::loop_device::Loop;

use crate::bench::*;

/// One whose EFI system partition is for such sectors too.
fn with_esp(bench: &Bench, mkfs: &[&str]) -> PathBuf {
    let golden = bench.golden(mkfs, &[]);
    let esp = Loop::new(&golden, MIB, VOLUME - MIB).unwrap();
    output("/usr/sbin/mkfs.vfat", &["-F", "12", "-S", "4096", "-s", "4", &esp.0]);
    golden
}

#[test]
fn lvm_goes_to_sectors_of_4096_bytes_if_all_on_it_can() {
    let bench = Bench::new();
    let file = bench.path("target.img");
    fs::File::create(&file).unwrap().set_len(640 * MIB).unwrap();
    let target = Loop::with_sectors(&file, 4096).unwrap();
    let golden = with_esp(&bench, &["/usr/sbin/mkfs.xfs", "-q", "-s", "size=512"]);
    let (good, said) = deploy(&bench.serve_with(&golden, ""), &[&target.0]);
    assert!(
        !good && said.contains("vg0/root on ") && said.contains("works in blocks of 512 bytes"),
        "{said}"
    );
    assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0), "it was touched");

    fs::remove_dir_all(bench.path("golden")).unwrap();
    let golden = with_esp(&bench, &["/usr/sbin/mkfs.ext4", "-q", "-b", "4096"]);
    let (good, said) = deploy(&bench.serve_with(&golden, ""), &[&target.0]);
    assert!(good, "{said}");
    let volume = format!("{}p2", target.0);
    assert_eq!(output("/usr/sbin/blockdev", &["--getss", &volume]), "4096\n");
    Bench::lvm(&volume, &["pvck", &volume]);
    Bench::lvm(&volume, &["vgck", "vg0"]);
    // LVM goes on from there.
    Bench::lvm(&volume, &["vgchange", "--addtag", "deployed", "vg0"]);
    Bench::lvm(&volume, &["pvck", &volume]);
    let root = bench.root(&file);
    output("/usr/sbin/e2fsck", &["-f", "-n", &root.0]);
    bench.mounted(&root.0, |mount| {
        assert!(fs::read(mount.join("noise")).unwrap() == fs::read(bench.path("noise")).unwrap());
    });
}
