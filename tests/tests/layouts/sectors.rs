//! Disks with sectors of 512 and of 4096 bytes, one from the other. Judges: sfdisk, sgdisk, blkid, each file system's own
//! check, the kernel, and the files.

use std::path::{Path, PathBuf};

use ezio_tests::loop_device::Loop;
use ezio_tests::programs;

use crate::bench::{Bench, MIB, sh, text};

/// A disk with a GPT, made on sectors of 512 bytes, with file systems that both kinds of disks can hold.
fn gpt_disk(bench: &Bench) -> PathBuf {
    let (disk, noise) = (bench.sparse("source.img", 600 * MIB), bench.path("noise"));
    let device = Loop::with_sectors(&disk, 512).unwrap();
    sh(
        "head -c 3000000 /dev/urandom > $2
         printf 'label: gpt\nsize=40M, type=uefi\nsize=64M, name=root\nsize=320M\nsize=120M\nsize=8M, type=swap\n' |
             sfdisk -q --no-reread --no-tell-kernel $1; partx --add $1
         mkfs.vfat -F 16 -S 4096 -s 1 ${1}p1 >/dev/null; mcopy -i ${1}p1 $2 ::NOISE
         mkfs.ext4 -q -b 4096 ${1}p2; mkfs.xfs -q -s size=4096 ${1}p3; mkfs.btrfs -q ${1}p4; mkswap -q ${1}p5
         for number in 2 3 4; do mount ${1}p$number $3; cp $2 $3; umount $3; done",
        &[&device.0, text(&noise), mount_point(bench)],
    );
    disk
}

fn mount_point(bench: &Bench) -> &'static str {
    let path = bench.path("mnt");
    std::fs::create_dir_all(&path).unwrap();
    Box::leak(path.to_str().unwrap().to_owned().into_boxed_str())
}

/// Where the partitions lie, in bytes, by sfdisk and by the kernel; not an extended one.
fn places(device: &str) -> String {
    let by_sfdisk = sh(
        "sfdisk -J $1 | jq -r '.partitiontable | .sectorsize as $bytes
             | .partitions[] | select(.type != \"5\") | \"\\(.start * $bytes) \\(.size * $bytes)\"'",
        &[device],
    );
    let by_kernel = sh(
        "lsblk -bnro PATH,START,SIZE,TYPE $1 | awk '$4 == \"part\" && $3 > 4096 { print $2 * 512, $3 }'",
        &[device],
    );
    assert_eq!(by_kernel, by_sfdisk);
    by_sfdisk
}

/// All of a disk is well, and the files are those of the source.
fn is_whole(bench: &Bench, device: &str, sector_size: u32) {
    let noise = bench.path("noise");
    let said = sh("blockdev --getss $1; sfdisk --verify -q $1 2>&1; sgdisk -v $1", &[device]);
    assert!(said.starts_with(&format!("{sector_size}\n")), "{said}");
    assert!(said.contains("No problems found"), "{said}");
    sh(
        "fsck.fat -n ${1}p1; e2fsck -fn ${1}p2; xfs_repair -n ${1}p3; btrfs check --readonly ${1}p4
         mcopy -i ${1}p1 ::NOISE - | cmp - $2
         for number in 2 3 4; do mount -o ro ${1}p$number $3; cmp $2 $3/noise; umount $3; done",
        &[device, text(&noise), mount_point(bench)],
    );
}

fn ids(device: &str) -> String {
    let tags = "-s TYPE -s UUID -s PART_ENTRY_UUID -s PART_ENTRY_NAME -s PART_ENTRY_TYPE -s PART_ENTRY_FLAGS";
    sh(&format!("for number in 1 2 3 4 5; do blkid -p -o value {tags} ${{1}}p$number; done"), &[device])
}

#[test]
fn a_gpt_disk_goes_to_sectors_of_4096_bytes_and_back() {
    programs::need(&["mkfs.xfs", "mkfs.vfat", "mcopy", "jq", "btrfs", "fsck.fat"]).unwrap();
    let bench = Bench::new();
    let source = gpt_disk(&bench);
    let (image, _) = bench.capture(&source, "image");
    let large = Loop::with_sectors(&bench.sparse("large.img", 640 * MIB), 4096).unwrap();
    bench.deploy(&image, &large.0, "");
    is_whole(&bench, &large.0, 4096);
    let source = Loop::with_sectors(&source, 512).unwrap();
    sh("partx --add $1", &[&source.0]);
    assert_eq!((places(&large.0), ids(&large.0)), (places(&source.0), ids(&source.0)));

    let (back, _) = bench.capture(Path::new(&large.0), "back");
    let small = Loop::with_sectors(&bench.sparse("small.img", 700 * MIB), 512).unwrap();
    bench.deploy(&back, &small.0, "");
    is_whole(&bench, &small.0, 512);
    assert_eq!((places(&small.0), ids(&small.0)), (places(&source.0), ids(&source.0)));
}

#[test]
fn an_mbr_disk_with_logical_partitions_goes_to_sectors_of_4096_bytes() {
    programs::need(&["jq"]).unwrap();
    let bench = Bench::new();
    let (disk, noise) = (bench.sparse("source.img", 200 * MIB), bench.path("noise"));
    {
        let device = Loop::with_sectors(&disk, 512).unwrap();
        // As Debian's installer places the extended partition: one sector between its record and what lies in it.
        sh(
            "head -c 3000000 /dev/urandom > $2
             printf 'label: dos\n1: start=2048, size=129024, type=83, bootable\n2: start=133118, size=155650, type=5
                 5: start=133120, size=16384, type=82\n6: start=151552, size=131072, type=83\n' |
                 sfdisk -q --no-reread --no-tell-kernel $1; partx --add $1
             head -c 440 /dev/urandom | dd of=$1 conv=notrunc status=none
             mkswap -q ${1}p5; for number in 1 6; do
                 mkfs.ext4 -q -b 4096 ${1}p$number; mount ${1}p$number $3; cp $2 $3; umount $3
             done",
            &[&device.0, text(&noise), mount_point(&bench)],
        );
    }
    let (image, _) = bench.capture(&disk, "image");
    let target = Loop::with_sectors(&bench.sparse("target.img", 200 * MIB), 4096).unwrap();
    bench.deploy(&image, &target.0, "");
    let said = sh("blockdev --getss $1; sfdisk --verify -q $1 2>&1; sfdisk -d $1", &[&target.0]);
    assert!(
        said.starts_with("4096\n")
            && said.contains("start=         256, size=       16128, type=83, bootable"),
        "{said}"
    );
    sh(
        "for number in 1 6; do
             e2fsck -fn ${1}p$number; mount -o ro ${1}p$number $3; cmp $2 $3/noise; umount $3
         done
         [ $(blkid -p -o value -s TYPE ${1}p5) = swap ]",
        &[&target.0, text(&noise), mount_point(&bench)],
    );
    let source = Loop::with_sectors(&disk, 512).unwrap();
    sh("partx --add $1", &[&source.0]);
    assert_eq!(places(&target.0), places(&source.0));
}

#[test]
fn what_the_kernel_would_not_mount_is_refused() {
    programs::need(&["mkfs.xfs"]).unwrap();
    let bench = Bench::new();
    let mut refused = 0;
    for (name, size, make) in [
        ("ext1", 16, "mkfs.ext4 -q -b 1024 $1"),
        ("ext4", 16, "mkfs.ext4 -q -b 4096 $1"),
        ("xfs512", 310, "mkfs.xfs -q -s size=512 $1"),
        ("xfs4096", 310, "mkfs.xfs -q -s size=4096 $1"),
        ("btrfs", 120, "mkfs.btrfs -q $1"),
    ] {
        let file = bench.sparse(name, size * MIB);
        sh(make, &[text(&file)]);
        let (image, _) = bench.capture(&file, &format!("{name}.image"));
        let device = Loop::with_sectors(&file, 4096).unwrap();
        let mounts = sh(
            "mount -o ro $1 $2 2>/dev/null && umount $2 && echo yes || echo no",
            &[&device.0, mount_point(&bench)],
        );
        let init = programs::find("ezio-init").unwrap();
        let said = sh(
            "$1 write $2 $3 --dry-run 2>&1 && echo taken || echo refused",
            &[text(&init), text(&image), &device.0],
        );
        let taken = if mounts == "yes\n" { "taken\n" } else { "refused\n" };
        assert!(said.ends_with(taken), "{name}: {mounts}{said}");
        if taken == "refused\n" {
            assert!(said.contains("bytes, and the disk reads and writes 4096 at least"), "{said}");
            refused += 1;
        }
    }
    assert_eq!(refused, 2);
}

#[test]
fn a_disk_with_other_sectors_is_left_alone_when_it_cannot_hold_the_image() {
    let bench = Bench::new();
    let source = bench.sparse("source.img", 64 * MIB);
    sh("printf 'label: gpt\nsize=40M, type=uefi\n' | sfdisk -q $1", &[text(&source)]);
    let part = Loop::new(&source, MIB, 40 * MIB).unwrap();
    sh("mkfs.vfat -F 16 $1 >/dev/null", &[&part.0]);
    let (image, _) = bench.capture(&source, "image");
    let file = bench.path("target.img");
    std::fs::write(&file, vec![0xaa; 64 << 20]).unwrap();
    let target = Loop::with_sectors(&file, 4096).unwrap();
    let (done, said) = bench.try_deploy(&image, &target.0, "");
    assert!(!done, "{said}");
    let words = "image cannot go onto a disk with sectors of 4096 bytes: sda1 (vfat) works in blocks of 512 bytes, and the disk \
                 reads and writes 4096 at least";
    assert!(said.contains(words), "{said}");
    assert!(std::fs::read(&file).unwrap().iter().all(|byte| *byte == 0xaa));
}
