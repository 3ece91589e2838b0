//! Which blocks are in use: partclone's word is held against the file system's own, and what it cannot map is copied whole.

use std::fs;
use std::path::Path;

use crate::bench::*;

/// What `image-builder show` says of an image.
fn shown(image: &Path) -> String {
    let program = ezio_tests::programs::find("image-builder").unwrap();
    sh("$1 show $2", &[&program, image])
}

/// 40 files of odd sizes go onto a FAT, and come back.
#[test]
fn files_on_fat12_come_back() {
    ready();
    for mib in [4, 8, 64] {
        let bench = Bench::new();
        let part = bench.path("part");
        sparse(&part, mib * MIB);
        sh(
            "mkfs.vfat -F 12 $1 >/dev/null; mkdir $2
             for i in $(seq 40); do head -c $((i * 1013 + i * i)) /dev/urandom >$2/file$i; done
             mcopy -i $1 $2/* ::; mdel -i $1 ::file3 ::file17 ::file30; mcopy -i $1 $2/file40 ::last",
            &[&part, &bench.path("files")],
        );
        let image = bench.path("image");
        captured(&part, &image, &["--name", "part"]);
        assert!(
            shown(&image).contains("note: part: partclone's map of FAT12 is wrong: copied whole"),
            "{mib}"
        );
        sh("cmp $1 $2", &[&part, &image.join("part")]);
    }
}

/// One partition that partclone cannot map does not keep the others from being captured by their used blocks.
#[test]
fn only_the_partition_that_cannot_be_mapped_is_copied_whole() {
    ready();
    for (make, size, why) in [
        ("mkfs.ext4 -q -O bigalloc $1", 32, "bigalloc"),
        ("mkfs.minix -3 $1 >/dev/null", 8, "minix"),
        ("mkfs.minix -2 $1 >/dev/null", 8, "nothing tells how much of minix is in use"),
        ("mkfs.f2fs -q $1 >/dev/null", 60, "F2FS of less than 100 MiB"),
        ("mkfs.xfs -q -l logdev=$2,size=64m $1 >/dev/null", 310, "its log lies on another device"),
    ] {
        let bench = Bench::new();
        let (odd, log, disk) = (bench.path("odd"), bench.path("log"), bench.path("disk.img"));
        sparse(&odd, size * MIB);
        sparse(&log, 64 * MIB);
        sh(make, &[&odd, &log]);
        let good = bench.ext4("good", 16 * MIB);
        sparse(&disk, (size + 18) * MIB);
        sh(
            "printf 'label: gpt\nsize=%sM\nsize=16M\n' $2 | sfdisk -q $1",
            &[&disk, Path::new(&size.to_string())],
        );
        bench.put(&disk, MIB, &odd);
        bench.put(&disk, (size + 1) * MIB, &good);
        let image = bench.path("image");
        captured(&disk, &image, &[]);
        let said = shown(&image);
        assert!(
            said.lines().any(|line| line.starts_with("note: sda1: ") && line.contains(why)),
            "{make}: {said}"
        );
        sh("cmp $1 $2", &[&odd, &image.join("sda1")]);
        let back = bench.reassembled(&image, "sda2", 16 * MIB);
        sh("e2fsck -fn $1", &[&back]);
        bench.same_files(&back);
    }
}

/// btrfs keeps its metadata twice on one device.
#[test]
fn both_copies_of_btrfs_metadata_are_there() {
    ready();
    let bench = Bench::new();
    let part = bench.path("part");
    let size = 300 * MIB;
    sparse(&part, size);
    sh("mkfs.btrfs -q -m dup -d single --rootdir $2 $1", &[&part, &bench.path("tree")]);
    let image = bench.path("image");
    captured(&part, &image, &["--name", "part"]);
    let back = bench.reassembled(&image, "part", size);
    // Damage to the first copy of all metadata can be mended from the second one only if that came back too.
    sh(
        "mkdir $2; mount -o loop $1 $2; trap 'umount $2' EXIT
         btrfs scrub start -B $2 >$3 2>&1 || { cat $3; exit 1; }
         grep -q 'no errors found' $3 || { cat $3; exit 1; }",
        &[&back, &bench.path("mount"), &bench.path("scrubbed")],
    );
    bench.same_files(&back);
}

/// A copy that ended too early is found before anything is done, and also when only that is asked.
#[test]
fn an_image_file_that_is_cut_short_is_refused_at_once() {
    ready();
    let bench = Bench::new();
    let (disk, part) = (bench.path("disk.img"), bench.ext4("part", 30 * MIB));
    for label in ["gpt", "dos"] {
        sparse(&disk, 34 * MIB);
        sh("printf 'label: %s\nsize=30M\n' $2 | sfdisk -q $1", &[&disk, Path::new(label)]);
        bench.put(&disk, MIB, &part);
        sh("truncate -s 20M $1", &[&disk]);
        for more in [&["--dry-run"][..], &[]] {
            let said = refused(&disk, &bench.path("image"), more);
            assert!(said.contains("is cut short: it has 20971520 bytes"), "{label} {more:?}: {said}");
        }
        fs::remove_file(&disk).unwrap();
    }
    sh("truncate -s 20M $1", &[&part]);
    for more in [&["--dry-run"][..], &[]] {
        let said = refused(&part, &bench.path("image"), more);
        assert!(said.contains("has 31457280 bytes, 10485760 more than lie there"), "{more:?}: {said}");
    }
}
