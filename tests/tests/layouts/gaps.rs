//! What lies outside all partitions: kept, or said.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ezio_tests::loop_device::Loop;

use crate::bench::{Bench, MIB, sh, text};

/// Bytes that are not zero, and differ from place to place.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 + 1).collect()
}

fn put(disk: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(disk).unwrap().write_all_at(bytes, at).unwrap();
}

/// Are these stretches the same on both disks?
fn assert_same(one: &Path, other: &str, stretches: &[(u64, u64)]) {
    for (at, length) in stretches {
        sh("cmp -i $3 -n $4 $1 $2", &[text(one), other, &at.to_string(), &length.to_string()]);
    }
}

/// A target of another size, with something else on it.
fn target(bench: &Bench) -> Loop {
    let target = Loop::blank(&bench.path("target.img"), 300 * MIB).unwrap();
    sh("head -c 300M /dev/zero | tr '\\0' '\\245' > $1", &[&target.0]);
    target
}

#[test]
fn boot_code_everywhere_on_an_mbr_disk_arrives() {
    let bench = Bench::new();
    // 64 MiB before the first partition, as some boards have it.
    let disk = bench.sparse("disk.img", 200 * MIB);
    sh(
        "sfdisk -q $1 <<'END'
label: dos
label-id: 0x1234abcd
start=64M, size=8M, type=83, bootable
start=80M, size=100M, type=f
start=81M, size=20M, type=83
start=110M, size=20M, type=82
END",
        &[text(&disk)],
    );
    put(&disk, 0, &[0xfa; 440]);
    put(&disk, 512, &noise(50_000));
    put(&disk, 63 * MIB, &noise(4096));
    // A boot loader of the extended partition, and something between the logical ones.
    put(&disk, 80 * MIB, &noise(446));
    put(&disk, 105 * MIB, &noise(100));
    put(&disk, 190 * MIB, &noise(70_000));
    let table = |disk: &str| sh("sfdisk -d $1 | sed 's|.* : ||' | grep -v ^device", &[disk]);
    let (image, said) = bench.capture(&disk, "image");
    assert!(
        said.contains("behind the last partition, from byte 199229440, lie 72.0 KiB of data: not kept"),
        "{said}"
    );
    let kept = sh("du -sb --apparent-size $1/unpartitioned.zst | cut -f1; ls $1", &[text(&image)]);
    let (size, files) = kept.split_once('\n').unwrap();
    assert!(size.parse::<u64>().unwrap() < 70_000 && !files.contains("hidden.bin"), "{kept}");

    let target = target(&bench);
    let said = bench.deploy(&image, &target.0, "");
    assert!(said.contains("unpartitioned: ") && said.contains("behind the last partition"), "{said}");
    // Farther inside a gap, what is zero on the source is not written.
    let gaps = [(0, 4 * MIB), (63 * MIB, 4096), (80 * MIB, MIB), (105 * MIB, 4096)];
    assert_same(&disk, &target.0, &gaps);
    sh("sfdisk --verify -q $1", &[&target.0]);
    assert_eq!(table(&target.0), table(text(&disk)));
    let said = bench.exported_to_clonezilla(&image);
    let lost = format!("(100 bytes from byte {} on) is not exported", 105 * MIB);
    assert!(said.contains(&lost), "{said}");
}

#[test]
fn a_hybrid_mbr_and_code_between_the_partitions_of_a_gpt_arrive() {
    let bench = Bench::new();
    let disk = bench.sparse("disk.img", 200 * MIB);
    sh(
        "printf 'label: gpt\nstart=4M, size=8M\nstart=20M, size=100M\n' | sfdisk -q $1; sgdisk -h 1:2 $1 >/dev/null",
        &[text(&disk)],
    );
    put(&disk, 0, &[0xfa; 440]);
    put(&disk, 34 * 512, &noise(200_000));
    put(&disk, 15 * MIB, &noise(5000));
    let (image, _) = bench.capture(&disk, "image");
    let target = target(&bench);
    bench.deploy(&image, &target.0, "");
    // All of sector 0; behind the header, whose backup lies elsewhere on this disk.
    assert_same(&disk, &target.0, &[(0, 512), (1024, 4 * MIB - 1024), (15 * MIB, 5000)]);
    let said = sh("sgdisk -v $1; sfdisk --verify -q $1", &[&target.0]);
    assert!(said.contains("No problems found"), "{said}");
    let said = bench.exported_to_clonezilla(&image);
    assert!(said.contains("(205000 bytes from byte 17408 on) is not exported"), "{said}");
}
