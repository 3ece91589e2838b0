//! Every kind of image that the real `ocs-sr` saves, imported: what comes out is what `partclone.restore` makes of the same
//! files. A few run with all tests, the rest with the long ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs;

use ezio_tests::clonezilla::Bench;
use ezio_tests::programs;

const SECTOR: usize = 512;

/// Option of `ocs-sr`, what its files end in, and what undoes it. (`-z8p`, `lz4mt`, is no program of Debian's.)
const COMPRESSIONS: [(&str, &str, &str); 14] = [
    ("-z0", "uncomp", "cat"),
    ("-z1", "gz", "gzip -dc"),
    ("-z1p", "gz", "gzip -dc"),
    ("-z2", "bz2", "bzip2 -dc"),
    ("-z2p", "bz2", "bzip2 -dc"),
    ("-z3", "lzo", "lzop -dc"),
    ("-z4", "lzma", "lzma -dc"),
    ("-z5", "xz", "xz -dc"),
    ("-z5p", "xz", "xz -dc"),
    ("-z6", "lzip", "lzip -dc"),
    ("-z6p", "lzip", "lzip -dc"),
    ("-z8", "lz4", "lz4 -dc"),
    ("-z9", "zst", "zstd -dc"),
    ("-z9p", "zst", "zstd -dc"),
];

/// A disk with an ext4 and a FAT.
fn small() -> Bench {
    programs::need(&["lbzip2", "lrzip", "lz4", "lzip", "lzma", "plzip", "zstd"]).unwrap();
    Bench::new(
        48,
        "label: gpt\nstart=2048, size=40960, type=L\nstart=43008, size=40960, type=U",
        "mkdir files; head -c 5M /dev/urandom >files/noise; seq 500000 >files/text
mkfs.ext4 -q -d files ${1}p1; mkfs.vfat -F 16 ${1}p2 >/dev/null; mcopy -i ${1}p2 files/text ::",
    )
}

/// The ext4 of it, saved alone and imported.
fn saved_alone(bench: &Bench, (option, suffix, undo): (&str, &str, &str)) {
    let image = bench.save("saveparts", &bench.name("p1"), &["-j2", option, "-i", "2"]);
    let first = image.join(format!("{}.ext4-ptcl-img.{suffix}.aa", bench.name("p1")));
    assert!(first.exists(), "{option}: {}", bench.sh("ls images/image"));
    let raw = imported(bench, option);
    assert!(raw == bench.restored(&image, "p1", undo, 40960 * SECTOR), "{option}");
}

/// What is in `images/image`, as a raw file that an export makes of the import.
fn imported(bench: &Bench, what: &str) -> Vec<u8> {
    let (image, output) = (bench.path("images/image"), bench.path("imported"));
    let (good, said) = bench.import(&image, &output, &["--no-progress"]);
    assert!(good, "{what}: {said}");
    let builder = programs::find("image-builder").unwrap();
    bench.sh(&format!("{} export imported --raw raw.img --no-progress", builder.display()));
    let raw = fs::read(bench.path("raw.img")).unwrap();
    bench.sh("rm -r imported raw.img");
    raw
}

#[test]
fn a_partition_saved_alone_under_lzip_is_imported() {
    saved_alone(&small(), ("-z6p", "lzip", "lzip -dc"));
}

#[test]
#[ignore = "takes minutes: make soak"]
fn every_compression_is_imported_or_refused_with_a_word() {
    let bench = small();
    for compression in COMPRESSIONS {
        saved_alone(&bench, compression);
        bench.sh("rm -r images/image");
    }
    let image = bench.save("saveparts", &bench.name("p1"), &["-j2", "-z7", "-i", "2000"]);
    let (good, said) = bench.import(&image, &bench.path("imported"), &["--no-progress"]);
    assert!(!good && said.contains("lrzip cannot be read as a stream"), "{said}");
}

#[test]
#[ignore = "takes minutes: make soak"]
fn every_file_system_is_imported() {
    /// Name, sectors, and how it is made of `$1`; `files` is there.
    const KINDS: [(&str, u64, &str); 8] = [
        ("ext4", 32768, "mkfs.ext4 -q -d files $1"),
        ("xfs", 630_784, "mkfs.xfs -q $1"),
        ("btrfs", 262_144, "mkfs.btrfs -q --rootdir files $1"),
        ("ntfs", 65536, "mkntfs -q -F -Q $1 2>/dev/null; ntfscp -q $1 files/noise noise"),
        ("vfat", 131_072, "mkfs.vfat -F 32 $1 >/dev/null; mcopy -i $1 files/noise ::"),
        ("vfat", 32768, "mkfs.vfat -F 16 $1 >/dev/null; mcopy -i $1 files/noise ::"),
        ("exfat", 65536, "mkfs.exfat $1 >/dev/null"),
        ("f2fs", 262_144, "mkfs.f2fs -q $1 >/dev/null"),
    ];
    let (mut table, mut fill, mut start) = ("label: gpt\n".to_owned(), String::new(), 2048);
    let mut parts = Vec::new();
    for (number, (kind, sectors, make)) in (1..).zip(KINDS) {
        table += &format!("start={start}, size={sectors}, type=L\n");
        fill += &format!("; {}", make.replace("$1", &format!("${{1}}p{number}")));
        parts.push((format!("p{number}"), kind, start as usize * SECTOR, sectors as usize * SECTOR));
        start += sectors;
    }
    let fill = format!("mkdir files; head -c 5M /dev/urandom >files/noise{fill}");
    let bench = Bench::new(start / 2048 + 2, &table, &fill);
    let image = bench.save("savedisk", &bench.name(""), &["-j2", "-z9p", "-i", "3"]);
    let raw = imported(&bench, "all");
    for (partition, kind, at, length) in parts {
        let mut restored = bench.restored(&image, &partition, "zstd -dc", length);
        if kind == "ntfs" {
            restored.copy_within(..SECTOR, length - SECTOR);
        }
        let name = bench.name(&partition);
        assert!(image.join(format!("{name}.{kind}-ptcl-img.zst.aa")).exists(), "{kind}");
        assert!(raw[at..at + length] == restored, "{kind}");
    }
}
