//! What must not be captured as it is, and what can only be copied whole.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::bench::*;

#[test]
fn what_is_mounted_or_was_not_unmounted_is_refused() {
    ready();
    let bench = Bench::new();
    let mount = bench.path("mount");
    let image = bench.path("image");
    for (name, make) in
        [("ext4", "mkfs.ext4 -q $1"), ("xfs", "mkfs.xfs -q $1"), ("btrfs", "mkfs.btrfs -q $1")]
    {
        let part = bench.path(name);
        let copy = bench.path(&format!("{name}.copy"));
        sparse(&part, 310 * MIB);
        sh(make, &[&part]);
        let device = PathBuf::from(
            sh(
                "mkdir -p $2; mount -o loop $1 $2; cp -r $3/. $2; sync -f $2; echo more > $2/more; sync $2/more
                 cp --sparse=always $1 $4; findmnt -no SOURCE $2",
                &[&part, &mount, &bench.path("tree"), &copy],
            )
            .trim(),
        );
        let mounted_file = capture(&part, &image, &[]);
        let mounted_device = capture(&device, &image, &[]);
        sh("umount $1", &[&mount]);
        let said = String::from_utf8_lossy(&mounted_file.stderr).into_owned();
        assert!(said.contains("is mounted through /dev/loop"), "{name}: {said}");
        let said = String::from_utf8_lossy(&mounted_device.stderr).into_owned();
        assert!(said.contains(&format!("mounted at {}", mount.display())), "{name}: {said}");
        // What a crash would have left.
        let said = refused(&copy, &image, &[]);
        assert!(said.contains("was not cleanly unmounted"), "{name}: {said}");
        bench.assert_clean();
        // Cleanly unmounted it is taken; the other one only when forced.
        captured(&part, &image, &[]);
        captured(&copy, &image, &["--force"]);
        fs::remove_dir_all(&image).unwrap();
        fs::remove_file(part).unwrap();
        fs::remove_file(copy).unwrap();
    }
}

#[test]
fn windows_that_sleeps_and_dirty_volumes_are_refused() {
    ready();
    let bench = Bench::new();
    let image = bench.path("image");
    let ntfs = bench.path("ntfs");
    sparse(&ntfs, 64 * MIB);
    sh(
        "mkntfs -q -F -Q $1 2>/dev/null; cp $1 $1.dirty; printf hibr > $1.h; ntfscp -q $1 $1.h hiberfil.sys",
        &[&ntfs],
    );
    let said = refused(&ntfs, &image, &[]);
    assert!(said.contains("hibernated Windows"), "{said}");

    // Bit 0 of the volume's flags, in the MFT's fourth record and in its mirror.
    let dirty = bench.path("ntfs.dirty");
    captured(&dirty, &image, &[]);
    fs::remove_dir_all(&image).unwrap();
    let bytes = fs::read(&dirty).unwrap();
    let cluster = u64::from(u16::from_le_bytes([bytes[11], bytes[12]])) * u64::from(bytes[13]);
    let file = OpenOptions::new().write(true).open(&dirty).unwrap();
    for field in [0x30, 0x38] {
        let record = u64::from_le_bytes(bytes[field..field + 8].try_into().unwrap()) * cluster + 3 * 1024;
        let record = record as usize;
        let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let mut attribute = record + word(record + 20);
        while bytes[attribute] != 0x70 {
            attribute += word(attribute + 4);
        }
        file.write_all_at(&[1], (attribute + word(attribute + 20) + 10) as u64).unwrap();
    }
    let said = refused(&dirty, &image, &[]);
    assert!(said.contains("was not cleanly unmounted") && said.contains("chkdsk"), "{said}");

    for (size, flag) in [(20, 37), (40, 37), (300, 65)] {
        let fat = bench.path("fat");
        sparse(&fat, size * MIB);
        let bits = if size == 300 { "-F32" } else { "-F16" };
        sh("mkfs.vfat $2 $1 >/dev/null", &[&fat, Path::new(bits)]);
        captured(&fat, &image, &[]);
        fs::remove_dir_all(&image).unwrap();
        let file = OpenOptions::new().write(true).open(&fat).unwrap();
        file.write_all_at(&[1], flag).unwrap();
        let said = refused(&fat, &image, &[]);
        assert!(said.contains("was not cleanly unmounted"), "{said}");
    }
    bench.assert_clean();
}

#[test]
fn what_cannot_be_checked_is_refused() {
    ready();
    let bench = Bench::new();
    let (image, part) = (bench.path("image"), bench.path("part"));
    for (program, package, make) in [
        ("xfs_logprint", "xfsprogs", "mkfs.xfs -q -f $1"),
        ("ntfscat", "ntfs-3g", "mkntfs -q -F -Q $1 2>/dev/null"),
    ] {
        sparse(&part, 310 * MIB);
        sh(make, &[&part]);
        // For this test alone the program is not there.
        sh("mount --bind /dev/null $(command -v $1)", &[Path::new(program)]);
        let said = refused(&part, &image, &[]);
        assert!(said.contains(&format!("without {program}: apt-get install {package}")), "{said}");
        captured(&part, &image, &["--force"]);
        fs::remove_dir_all(&image).unwrap();
    }
}

#[test]
fn an_unknown_partition_is_copied_whole_and_a_broken_table_is_refused() {
    ready();
    let bench = Bench::new();
    let disk = bench.path("disk.img");
    sparse(&disk, 16 * MIB);
    sh("printf 'label: gpt\nsize=4M\n' | sfdisk -q $1", &[&disk]);
    let file = OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(&[7; 100], MIB + 5000).unwrap();
    let image = bench.path("image");
    captured(&disk, &image, &[]);
    let data = fs::read(image.join("sda1")).unwrap();
    assert_eq!(data.len() as u64, 4 * MIB);
    assert_eq!(data[5000..5100], [7; 100]);
    fs::remove_dir_all(&image).unwrap();

    // Only the protective MBR is left of the GPT: nothing may be guessed.
    file.write_all_at(&[0; 512], 512).unwrap();
    file.write_all_at(&[0; 512], 16 * MIB - 512).unwrap();
    refused(&disk, &image, &[]);
    captured(&disk, &image, &["--raw"]);
    assert!(fs::read(image.join("disk")).unwrap() == fs::read(&disk).unwrap());
}

/// What libblkid takes for a container of LUKS and of BitLocker, and a physical volume.
const CONTAINERS: [(&str, &str, &str); 3] = [
    ("crypto_LUKS", r"printf 'LUKS\xba\xbe\0\1' | dd of=$1 conv=notrunc status=none", "encrypted by LUKS"),
    (
        "BitLocker",
        r"printf '\xeb\x58\x90-FVE-FS-' | dd of=$1 conv=notrunc status=none
          printf '\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01\0\0\1' |
              dd of=$1 bs=1 seek=160 conv=notrunc status=none
          printf -- '-FVE-FS-\x40\0\2' | dd of=$1 bs=1 seek=65536 conv=notrunc status=none",
        "encrypted by BitLocker",
    ),
    (
        "LVM2_member",
        "device=$(losetup -f --show $1); trap 'losetup -d $device' EXIT; pvcreate -q -ff -y $device >/dev/null",
        "physical volume of LVM",
    ),
];

#[test]
fn what_nobody_can_look_into_is_copied_whole_and_said() {
    ready();
    let bench = Bench::new();
    for (kind, make, words) in CONTAINERS {
        let (part, image) = (bench.path(kind), bench.path(&format!("{kind}.image")));
        sparse(&part, 16 * MIB);
        sh(make, &[&part]);
        assert_eq!(sh("blkid -p -o value -s TYPE $1", &[&part]).trim(), kind);
        captured(&part, &image, &[]);
        let shown = sh("$1 show $2", &[&ezio_tests::programs::find("image-builder").unwrap(), &image]);
        assert!(shown.contains(words) && shown.contains("copied whole"), "{kind}: {shown}");
        assert!(fs::read(image.join(kind)).unwrap() == fs::read(&part).unwrap(), "{kind}");
    }
}

#[test]
fn volumes_that_windows_spreads_over_disks_are_refused() {
    ready();
    let bench = Bench::new();
    let disk = bench.path("disk.img");
    for (label, kind, words) in [
        ("dos", "42", "dynamic disk"),
        ("gpt", "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3", "dynamic disk"),
        ("gpt", "AF9B60A0-1431-4F62-BC68-3311714A69AD", "dynamic disk"),
        ("gpt", "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D", "Storage Spaces"),
    ] {
        sparse(&disk, 16 * MIB);
        let script = format!(r"printf 'label: {label}\nstart=2048, size=8192, type={kind}\n' | sfdisk -q $1");
        sh(&script, &[&disk]);
        let said = refused(&disk, &bench.path("image"), &[]);
        assert!(said.contains(words) && said.contains("--raw copies it whole"), "{kind}: {said}");
    }
    captured(&disk, &bench.path("image"), &["--raw"]);
}
