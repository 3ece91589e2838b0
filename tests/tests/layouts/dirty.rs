//! Targets that held something else: what is left of that must not be seen.

use crate::bench::{Bench, MIB, sh, text, window};
use crate::signatures::plant;
use ezio_tests::loop_device::Loop;

/// Name, and MiB where it begins and ends.
type Part = (&'static str, u64, u64);

/// What wipefs and blkid find on a disk and on each of its partitions.
fn seen(device: &str, parts: &[Part]) -> Vec<String> {
    let look = |device: &str| {
        sh(
            "wipefs --no-act --noheadings --output TYPE,UUID,LABEL $1; blkid --probe $1 | cut -d: -f2- || test $? = 2",
            &[device],
        )
    };
    let mut seen = vec![look(device)];
    for (name, start, end) in parts {
        let part = window(device, start * MIB, (end - start) * MIB);
        // Where the partition lies is the loop device's own matter.
        seen.push(format!("{name}:\n{}", look(&part.0)));
    }
    seen
}

/// From a disk with these partitions, made by a script, to one that is full of old signatures.
fn arrives_clean(make: &str, parts: &[Part]) {
    let bench = Bench::new();
    let source = bench.sparse("source.img", 500 * MIB);
    let source_device = Loop::new(&source, 0, 500 * MIB).unwrap();
    sh(make, &[&source_device.0]);
    for (number, (kind, start, end)) in parts.iter().enumerate() {
        let part = window(&source_device.0, start * MIB, (end - start) * MIB);
        let make = match *kind {
            "swap" => "mkswap -q $1",
            "raw" => "head -c 8192 /dev/urandom > $1",
            "empty" => "true",
            "vfat" => "mkfs.vfat $1 >/dev/null",
            _ => "mkfs.$2 -q $1",
        };
        sh(make, &[&part.0, kind, &number.to_string()]);
    }
    let (image, _) = bench.capture(&source, "image");

    let target = Loop::blank(&bench.path("target.img"), 600 * MIB).unwrap();
    plant(&bench, &target.0, 0, 600 * MIB);
    for (_, start, end) in parts {
        plant(&bench, &target.0, start * MIB, (end - start) * MIB);
    }
    bench.deploy(&image, &target.0, "");
    sh("sfdisk --verify -q $1", &[&target.0]);
    assert_eq!(seen(&target.0, parts), seen(text(&source), parts));
}

#[test]
fn old_signatures_are_gone_from_a_gpt_disk() {
    arrives_clean(
        "sfdisk -q --no-reread $1 <<'END'
label: gpt
size=8M, type=21686148-6449-6E6F-744E-656564454649
size=64M, type=U
size=16M, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
size=128M, type=L
size=24M, type=S
start=260M, type=L
END
sgdisk -v $1",
        &[
            ("raw", 1, 9),
            ("vfat", 9, 73),
            ("empty", 73, 89),
            ("ext4", 89, 217),
            ("swap", 217, 241),
            ("btrfs", 260, 499),
        ],
    );
}

#[test]
fn old_signatures_are_gone_from_an_mbr_disk() {
    // The last partition reaches to the end of the disk.
    arrives_clean(
        "sfdisk -q --no-reread $1 <<'END'
label: dos
start=1M, size=96M, type=83
start=100M, size=400M, type=5
start=101M, size=128M, type=83
start=240M, size=260M, type=83
END",
        &[("ext4", 1, 97), ("ext4", 101, 229), ("ext4", 240, 500)],
    );
}
