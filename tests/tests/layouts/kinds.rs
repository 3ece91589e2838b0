//! Layouts that people have, from disk to disk: each file system is checked by its own program, and each file compared.

use ezio_tests::loop_device::Loop;
use ezio_tests::programs;

use crate::bench::{Bench, MIB, sh, text};

#[test]
fn a_debian_on_an_mbr_with_logical_partitions_arrives() {
    let bench = Bench::new();
    let (disk, noise, mount) =
        (bench.sparse("source.img", 200 * MIB), bench.path("noise"), bench.path("mnt"));
    std::fs::create_dir(&mount).unwrap();
    let arguments = |device: &Loop| [device.0.clone(), text(&noise).to_owned(), text(&mount).to_owned()];
    let run = |script: &str, device: &Loop| {
        let arguments = arguments(device);
        sh(script, &arguments.each_ref().map(String::as_str))
    };
    {
        let source = Loop::with_sectors(&disk, 512).unwrap();
        // The installer leaves one sector between the extended partition's record and what lies in it.
        run(
            "head -c 3000000 /dev/urandom > $2
             printf 'label: dos\n1: start=2048, size=129024, type=83, bootable\n2: start=133118, size=155650, type=5
                 5: start=133120, size=16384, type=82\n6: start=151552, size=131072, type=83\n' |
                 sfdisk -q --no-reread --no-tell-kernel $1
             partx --add $1; head -c 440 /dev/urandom | dd of=$1 conv=notrunc status=none; mkswap -q -L SWAP ${1}p5
             for number in 1 6; do
                 mkfs.ext4 -q ${1}p$number; mount ${1}p$number $3; cp $2 $3; umount $3
             done",
            &source,
        );
    }
    let (image, _) = bench.capture(&disk, "image");
    let target = Loop::blank(&bench.path("target.img"), 300 * MIB).unwrap();
    bench.deploy(&image, &target.0, "");
    run(
        "sfdisk --verify -q $1
         for number in 1 6; do
             e2fsck -fn ${1}p$number; mount -o ro ${1}p$number $3; cmp $2 $3/noise; umount $3
         done",
        &target,
    );
    let seen = "blkid -p -o value -s TYPE -s LABEL -s UUID ${1}p5; head -c 440 $1 | sha256sum; sfdisk -d $1 | sed 's/.* : //; /^device/d'";
    let source = Loop::with_sectors(&disk, 512).unwrap();
    sh("partx --add $1", &[&source.0]);
    assert_eq!(run(seen, &target), run(seen, &source));
}

#[test]
fn every_fat_arrives_with_its_files() {
    programs::need(&["mkfs.vfat", "mkfs.exfat", "fsck.fat", "fsck.exfat", "mcopy"]).unwrap();
    let bench = Bench::new();
    let (disk, noise) = (bench.sparse("source.img", 96 * MIB), bench.path("noise"));
    {
        let source = Loop::with_sectors(&disk, 512).unwrap();
        sh(
            "head -c 1000000 /dev/urandom > $2
             printf 'label: gpt\nsize=4M\nsize=16M\nsize=40M\nsize=16M\n' | sfdisk -q --no-reread --no-tell-kernel $1
             partx --add $1; mkfs.exfat -L root ${1}p4 >/dev/null
             for bits in 12 16 32; do
                 part=${1}p$((bits == 12 ? 1 : bits == 16 ? 2 : 3))
                 mkfs.vfat -F $bits $part >/dev/null; for copy in 1 2 3; do mcopy -i $part $2 ::NOISE$copy; done
                 mdel -i $part ::NOISE2
             done",
            &[&source.0, text(&noise)],
        );
    }
    let (image, _) = bench.capture(&disk, "image");
    let target = Loop::blank(&bench.path("target.img"), 128 * MIB).unwrap();
    bench.deploy(&image, &target.0, "");
    sh(
        "sgdisk -v $1 | grep 'No problems found'; fsck.exfat -n ${1}p4; [ $(blkid -p -o value -s LABEL ${1}p4) = root ]
         for number in 1 2 3; do
             fsck.fat -n ${1}p$number
             for copy in 1 3; do mcopy -i ${1}p$number ::NOISE$copy - | cmp - $2; done
         done",
        &[&target.0, text(&noise)],
    );
}
