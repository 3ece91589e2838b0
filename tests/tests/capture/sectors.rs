//! Sectors of 512 and of 4096 bytes: which of them an image file has, its table tells.

use std::path::{Path, PathBuf};

use crate::bench::*;

/// A disk with an MBR, made by sfdisk for sectors of this length, and an ext4 at 1 MiB.
fn disk(bench: &Bench, name: &str, sector: u32) -> PathBuf {
    let disk = bench.path(name);
    sparse(&disk, 256 * MIB);
    sh(
        "device=$(losetup --find --show --sector-size $2 $1); trap 'losetup -d $device' EXIT
         printf 'label: dos\nstart=1MiB, size=64MiB, type=83\nsize=100MiB, type=5\nsize=32MiB, type=83\n' |
             sfdisk -q --no-reread --no-tell-kernel $device",
        &[&disk, Path::new(&sector.to_string())],
    );
    let root = bench.ext4("root", 64 * MIB);
    bench.put(&disk, MIB, &root);
    disk
}

#[test]
fn an_mbr_tells_the_length_of_sectors() {
    ready();
    let bench = Bench::new();
    for sector in [512, 4096] {
        let image = bench.path(&format!("image{sector}"));
        captured(&disk(&bench, "disk.img", sector), &image, &[]);
        let manifest = std::fs::read_to_string(image.join("manifest.toml")).unwrap();
        assert!(manifest.contains(&format!("\nsector_size = {sector}\n")), "{manifest}");
        let place = format!("number = 1\noffset = {MIB}\nsize = {}\n", 64 * MIB);
        assert!(manifest.contains(&place), "{manifest}");
        bench.same_files(&bench.reassembled(&image, "sda1", 64 * MIB));
    }

    // A file system where either reading has a partition.
    let (both, small) = (bench.path("both.img"), bench.path("small"));
    sparse(&both, 256 * MIB);
    sparse(&small, 4 * MIB);
    sh(
        "printf 'label: dos\\nstart=1MiB, size=16MiB, type=83\\n' | sfdisk -q $1; mkfs.ext4 -q $2",
        &[&both, &small],
    );
    for offset in [MIB, 8 * MIB] {
        bench.put(&both, offset, &small);
    }
    let said = refused(&both, &bench.path("image"), &[]);
    assert!(said.contains("with sectors of 512 and of 4096 bytes: say which by --sector-size"), "{said}");
    captured(&both, &bench.path("image"), &["--sector-size", "512"]);
}
