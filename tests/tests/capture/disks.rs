//! Whole disks and devices come back as they were.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::*;

#[test]
fn a_gpt_disk_with_all_kinds_of_file_systems_comes_back() {
    ready();
    let bench = Bench::new();
    let tree = bench.path("tree");
    let disk = bench.path("disk.img");
    sparse(&disk, 800 * MIB);
    sh(
        "sfdisk -q $1 <<'END'
label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
size=40M, type=U, name=\"EFI system\"
size=64M, type=L, name=root, attrs=\"LegacyBIOSBootable\"
size=310M, type=L
size=16M, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
size=128M, type=L
size=64M, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
size=32M, type=S
END",
        &[&disk],
    );
    let offsets = [1u64, 2, 42, 106, 416, 432, 560, 624].map(|mib| mib * MIB);
    let boot = bench.path("p1");
    sh("head -c 1M /dev/urandom > $1", &[&boot]);
    let esp = bench.path("p2");
    sparse(&esp, 40 * MIB);
    sh(
        "mkfs.vfat -n ESP $1 >/dev/null; mcopy -s -i $1 $2/etc ::
         mmd -i $1 ::EFI ::EFI/debian; mcopy -i $1 $2/etc/file5 ::EFI/debian/shimaa64.efi",
        &[&esp, &tree],
    );
    let root = bench.ext4("p3", 64 * MIB);
    let xfs = bench.path("p4");
    sparse(&xfs, 310 * MIB);
    sh(
        "mkfs.xfs -q -L data $1; mkdir -p $3; mount -o loop $1 $3; cp -r $2/. $3; umount $3",
        &[&xfs, &tree, &bench.path("mount")],
    );
    let btrfs = bench.path("p6");
    sparse(&btrfs, 128 * MIB);
    sh("mkfs.btrfs -q --rootdir $2 $1", &[&btrfs, &tree]);
    let ntfs = bench.path("p7");
    sparse(&ntfs, 64 * MIB);
    sh("mkntfs -q -F -Q -L Windows $1 2>/dev/null; ntfscp -q $1 $2/etc/file5 file5", &[&ntfs, &tree]);
    let swap = bench.path("p8");
    sparse(&swap, 32 * MIB);
    sh("mkswap -q -L swap1 -U 0c5c1f0e-6f0f-4c52-9a30-111111111111 $1", &[&swap]);
    let parts = [&boot, &esp, &root, &xfs, &btrfs, &ntfs, &swap];
    for (offset, part) in [0, 1, 2, 3, 5, 6, 7].map(|i| offsets[i]).into_iter().zip(parts) {
        bench.put(&disk, offset, part);
    }
    File::options().write(true).open(&disk).unwrap().write_all_at(&[0xeb; 440], 0).unwrap();

    let image = bench.path("image");
    captured(&disk, &image, &[]);
    sh("cd $1; sha256sum --quiet --strict -c SHA256SUMS", &[&image]);
    assert_eq!(bench.loop_devices(), "");

    // sfdisk takes our dump, and makes the same table of it.
    let restored = bench.path("restored.img");
    sparse(&restored, 800 * MIB);
    sh(
        "sfdisk -q $2 < $3/layout.sfdisk
         diff <(sfdisk -d $1 | sed s,$1,/dev/sda,) <(sfdisk -d $2 | sed s,$2,/dev/sda,)",
        &[&disk, &restored, &image],
    );
    assert_eq!(fs::read(image.join("boot-code.bin")).unwrap(), [0xeb; 440]);
    // What its loaders say counts more than that there is boot code, too.
    assert!(fs::read_to_string(image.join("manifest.toml")).unwrap().contains("\narch = \"arm64\"\n"));
    assert!(!image.join("unpartitioned.torrent").exists(), "there is nothing between the partitions");

    // Each file system is whole, over what was there before.
    assert!(fs::read(image.join("sda1")).unwrap() == fs::read(&boot).unwrap());
    let esp_new = bench.reassembled(&image, "sda2", 40 * MIB);
    sh(
        "fsck.fat -n $1 >/dev/null; mcopy -s -i $1 ::etc $3; diff -r $2/etc $3/etc",
        &[&esp_new, &tree, bench.folder.path()],
    );
    let root_new = bench.reassembled(&image, "sda3", 64 * MIB);
    sh("e2fsck -fn $1", &[&root_new]);
    bench.same_files(&root_new);
    let xfs_new = bench.reassembled(&image, "sda4", 310 * MIB);
    sh("xfs_repair -n $1", &[&xfs_new]);
    bench.same_files(&xfs_new);
    let btrfs_new = bench.reassembled(&image, "sda6", 128 * MIB);
    sh("btrfs check $1 2>&1", &[&btrfs_new]);
    bench.same_files(&btrfs_new);
    let ntfs_new = bench.reassembled(&image, "sda7", 64 * MIB);
    sh(
        "ntfsfix -n $1; ntfsinfo -m $1 | grep Windows >/dev/null; ntfscat $1 file5 | cmp - $2/etc/file5",
        &[&ntfs_new, &tree],
    );
    // Windows and ntfsfix look for a copy of the boot sector in the last one.
    sh("cmp <(tail -c 512 $1) <(head -c 512 $1)", &[&ntfs_new]);

    let manifest: toml::Value =
        toml::from_str(&fs::read_to_string(image.join("manifest.toml")).unwrap()).unwrap();
    let part = |i: usize| manifest["partition"].get(i).unwrap();
    assert_eq!(part(7)["content"]["kind"].as_str(), Some("swap"));
    assert_eq!(part(7)["uuid"].as_str(), Some("0c5c1f0e-6f0f-4c52-9a30-111111111111"));
    assert_eq!(part(7)["label"].as_str(), Some("swap1"));
    assert_eq!(part(4)["content"]["kind"].as_str(), Some("empty"));
    assert_eq!(part(0)["content"]["kind"].as_str(), Some("raw"));
    let used = part(2)["content"]["used"].as_integer().unwrap() as u64;
    assert!(used < 40 * MIB, "{used} bytes of a file system with 7 MB of files");
}

#[test]
fn an_mbr_disk_with_logical_partitions_and_hidden_sectors_comes_back() {
    ready();
    let bench = Bench::new();
    let disk = bench.path("disk.img");
    sparse(&disk, 260 * MIB);
    sh(
        "sfdisk -q $1 <<'END'
label: dos
label-id: 0x1234abcd
1 : start=2048, size=64M, type=83, bootable
2 : size=150M, type=5
5 : size=64M, type=83
6 : size=16M, type=82
END",
        &[&disk],
    );
    let dump = sh("sfdisk -d $1", &[&disk]);
    let start = |number: u32| {
        let line = dump.lines().find(|l| l.contains(&format!("disk.img{number} :"))).unwrap();
        let field = line.split("start=").nth(1).unwrap().split(',').next().unwrap();
        field.trim().parse::<u64>().unwrap() * 512
    };
    let part = bench.ext4("part", 64 * MIB);
    bench.put(&disk, start(1), &part);
    bench.put(&disk, start(5), &part);
    let swap = bench.path("swap");
    sparse(&swap, 16 * MIB);
    sh("mkswap -q $1", &[&swap]);
    bench.put(&disk, start(6), &swap);
    let file = OpenOptions::new().write(true).open(&disk).unwrap();
    file.write_all_at(&[0xfa; 440], 0).unwrap();
    let core: Vec<u8> = (0..30_000u32).map(|n| (n % 251) as u8 + 1).collect();
    file.write_all_at(&core, 512).unwrap();

    let image = bench.path("image");
    captured(&disk, &image, &[]);
    assert_eq!(fs::read(image.join("boot-code.bin")).unwrap(), [0xfa; 440]);
    let gap = bench.reassembled(&image, "unpartitioned", MIB);
    assert!(fs::read(gap).unwrap()[512..30_512] == core);
    assert!(!image.join("hidden.bin").exists());
    let restored = bench.path("restored.img");
    sparse(&restored, 260 * MIB);
    sh(
        "sfdisk -q $2 < $3/layout.sfdisk
         diff <(sfdisk -d $1 | sed s,$1,/dev/sda,) <(sfdisk -d $2 | sed s,$2,/dev/sda,)",
        &[&disk, &restored, &image],
    );
    for name in ["sda1", "sda5"] {
        let new = bench.reassembled(&image, name, 64 * MIB);
        sh("e2fsck -fn $1", &[&new]);
        bench.same_files(&new);
    }
    let manifest = fs::read_to_string(image.join("manifest.toml")).unwrap();
    let manifest: toml::Value = toml::from_str(&manifest).unwrap();
    let kinds: Vec<(&str, &str)> = manifest["partition"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["content"]["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("sda1", "blocks"),
            ("sda2", "empty"),
            ("sda5", "blocks"),
            ("sda6", "swap"),
            ("unpartitioned", "blocks")
        ]
    );
}

#[test]
fn block_devices_are_captured_and_named_as_they_are() {
    ready();
    let bench = Bench::new();
    let part = bench.ext4("part", 64 * MIB);
    let disk = bench.path("disk.img");
    sparse(&disk, 80 * MIB);
    sh("printf 'label: gpt\nsize=64M\n' | sfdisk -q $1", &[&disk]);
    bench.put(&disk, MIB, &part);
    let device = sh("losetup --find --show $1", &[&disk]).trim().to_owned();
    let cleanup = LoopDevice(device.clone());
    let name = device.trim_start_matches("/dev/").to_owned();

    captured(Path::new(&device), &bench.path("image"), &[]);
    let new = bench.reassembled(&bench.path("image"), &format!("{name}p1"), 64 * MIB);
    sh("e2fsck -fn $1", &[&new]);
    bench.same_files(&new);

    // The partition alone, as the kernel's own device (this adds what a kernel without parser lacks).
    let node = PathBuf::from(format!("{device}p1"));
    sh("test -e $2 || partx --add --nr 1 $1", &[Path::new(&device), &node]);
    captured(&node, &bench.path("image2"), &[]);
    assert!(bench.path("image2").join(format!("{name}p1.torrent")).is_file());
    captured(&node, &bench.path("image3"), &["--name", "sda3"]);
    assert!(bench.path("image3/sda3.torrent").is_file());
    captured(&node, &bench.path("image4"), &["--raw", "--name", "sda4"]);
    assert!(fs::read(bench.path("image4/sda4")).unwrap() == fs::read(&part).unwrap());
    sh("partx --delete --nr 1 $1", &[Path::new(&device)]);
    drop(cleanup);
    assert_eq!(bench.loop_devices(), "");
}

struct LoopDevice(String);

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

/// Puts the entries of a GPT's backup a MiB before its header, and says so there (UEFI specification, 5.3.2).
const MOVE_BACKUP: &str = r#"
import binascii, struct, sys
disk = open(sys.argv[1], "r+b")
last = disk.seek(0, 2) // 512 - 1
disk.seek(last * 512)
header = bytearray(disk.read(512))
before, after = struct.unpack("<Q", header[72:80])[0], last - 2048
disk.seek(before * 512)
entries = disk.read(128 * 128)
disk.seek(before * 512)
disk.write(bytes(len(entries)))
disk.seek(after * 512)
disk.write(entries)
header[72:80] = struct.pack("<Q", after)
header[16:20] = bytes(4)
header[16:20] = struct.pack("<I", binascii.crc32(bytes(header[:92])))
disk.seek(last * 512)
disk.write(header)
"#;

#[test]
fn the_backup_of_a_gpt_is_no_data_wherever_its_entries_lie() {
    ready();
    let bench = Bench::new();
    let (disk, script) = (bench.path("disk.img"), bench.path("move.py"));
    sparse(&disk, 64 * MIB);
    fs::write(&script, MOVE_BACKUP).unwrap();
    sh("printf 'label: gpt\nsize=40M\n' | sfdisk -q $1; /usr/bin/python3 $2 $1", &[&disk, &script]);
    sh("sgdisk --verify $1 | grep 'No problems found'; sfdisk --verify $1", &[&disk]);
    let output = capture(&disk, &bench.path("image"), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("behind the last partition"), "{said}");

    File::options().write(true).open(&disk).unwrap().write_all_at(&[7], 50 * MIB).unwrap();
    let output = capture(&disk, &bench.path("again"), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("behind the last partition, from byte 52428800, lie 4.0 KiB"), "{said}");
}
