//! Captures whole disks with file systems of all kinds, puts them together again from the run files,
//! and lets the file systems' own tools judge.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
/// What the target's disk holds before: unused blocks must not matter.
const OLD: u8 = 0x5a;

fn ready() -> PathBuf {
    programs::need_root().unwrap();
    programs::need(&[
        "partclone.ext4",
        "sfdisk",
        "losetup",
        "mkfs.ext4",
        "mkfs.xfs",
        "mkfs.btrfs",
        "mkfs.vfat",
        "mkntfs",
        "mcopy",
        "mkswap",
        "ntfscat",
        "ntfsfix",
        "xfs_logprint",
        "xfs_repair",
        "btrfs",
        "fsck.fat",
    ])
    .unwrap();
    programs::find("image-builder").unwrap()
}

/// Runs a shell script with `$1`… set; it must succeed. Gives what it printed.
fn sh(script: &str, args: &[&Path]) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn capture(source: &Path, target: &Path, more: &[&str]) -> Output {
    Command::new(programs::find("image-builder").unwrap())
        .args(["capture", "--no-progress"])
        .arg(source)
        .arg("-o")
        .arg(target)
        .args(more)
        .output()
        .unwrap()
}

fn captured(source: &Path, target: &Path, more: &[&str]) {
    let output = capture(source, target, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verified =
        Command::new(programs::find("image-builder").unwrap()).arg("verify").arg(target).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

fn refused(source: &Path, target: &Path, more: &[&str]) -> String {
    let output = capture(source, target, more);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!target.exists());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sparse(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// A folder for one test, with a tree of files to put on file systems.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        mounts::keep_private().unwrap();
        let bench = Self { folder: tempfile::Builder::new().prefix("ezio-capture-").tempdir().unwrap() };
        let tree = bench.path("tree");
        fs::create_dir_all(tree.join("etc/deep")).unwrap();
        for (i, size) in [0usize, 1, 4095, 4096, 70_000, 3_000_000].into_iter().enumerate() {
            let content: Vec<u8> = (0..size).map(|n| (n * (i + 3) / 7) as u8).collect();
            fs::write(tree.join(format!("etc/file{i}")), &content).unwrap();
            fs::write(tree.join(format!("etc/deep/copy{i}")), &content).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bytes of `partition` at `offset` of a disk image.
    fn put(&self, disk: &Path, offset: u64, partition: &Path) {
        sh(
            "dd if=$1 of=$2 bs=1M seek=$(($3)) oflag=seek_bytes conv=notrunc,sparse status=none",
            &[partition, disk, Path::new(&offset.to_string())],
        );
    }

    /// Puts a partition together from its run files, on what another system left there.
    fn reassembled(&self, image: &Path, name: &str, size: u64) -> PathBuf {
        let target = self.path(&format!("{name}.new"));
        let file = File::create(&target).unwrap();
        let old = vec![OLD; MIB as usize];
        (0..size.div_ceil(MIB)).for_each(|i| file.write_all_at(&old, i * MIB).unwrap());
        file.set_len(size).unwrap();
        for run in fs::read_dir(image.join(name)).unwrap() {
            let run = run.unwrap();
            let offset = u64::from_str_radix(run.file_name().to_str().unwrap(), 16).unwrap();
            file.write_all_at(&fs::read(run.path()).unwrap(), offset).unwrap();
        }
        target
    }

    /// Compares the files of a file system that the kernel can mount with the tree.
    fn same_files(&self, partition: &Path) {
        sh(
            "mkdir -p $3; mount -o ro,loop $1 $3; trap 'umount $3' EXIT
             diff <(cd $2; find . -type f -exec sha256sum {} + | sort) \
                  <(cd $3; find . -name lost+found -prune -o -type f -exec sha256sum {} + | sort)",
            &[partition, &self.path("tree"), &self.path("mount")],
        );
    }

    fn ext4(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        sparse(&path, size);
        sh("mkfs.ext4 -q -L root -d $2 $1", &[&path, &self.path("tree")]);
        path
    }

    /// Loop devices over files of this test.
    fn loop_devices(&self) -> String {
        let all = sh("losetup --list --noheadings --output NAME,BACK-FILE", &[]);
        all.lines().filter(|line| line.contains(self.folder.path().to_str().unwrap())).collect()
    }

    /// Nothing that a capture makes is there.
    fn assert_clean(&self) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("image"), "{name} was left behind");
        }
        assert_eq!(self.loop_devices(), "");
    }
}

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
    sh("mkfs.vfat -n ESP $1 >/dev/null; mcopy -s -i $1 $2/etc ::", &[&esp, &tree]);
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
    assert!(!image.join("hidden.bin").exists());

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
    sh("btrfs check -q $1", &[&btrfs_new]);
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
    let hidden = fs::read(image.join("hidden.bin")).unwrap();
    assert_eq!(hidden.len(), 30_208, "whole sectors, without the zeros behind");
    assert!(hidden[..30_000] == core);
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
    assert_eq!(kinds, [("sda1", "blocks"), ("sda2", "empty"), ("sda5", "blocks"), ("sda6", "swap")]);
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
    sh("test -e $2 || addpart $1 1 2048 131072", &[Path::new(&device), &node]);
    captured(&node, &bench.path("image2"), &[]);
    assert!(bench.path("image2").join(format!("{name}p1.torrent")).is_file());
    captured(&node, &bench.path("image3"), &["--name", "sda3"]);
    assert!(bench.path("image3/sda3.torrent").is_file());
    captured(&node, &bench.path("image4"), &["--raw", "--name", "sda4"]);
    assert!(fs::read(bench.path("image4/sda4")).unwrap() == fs::read(&part).unwrap());
    sh("delpart $1 1", &[Path::new(&device)]);
    drop(cleanup);
    assert_eq!(bench.loop_devices(), "");
}

struct LoopDevice(String);

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

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

/// Waits until `there` holds; the test fails when it does not within a minute.
fn wait_for(what: &str, child: &mut Child, there: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before {what}");
        assert!(Instant::now() < end, "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn begins_with(folder: &Path, prefix: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|e| e.unwrap().file_name().to_str().unwrap().starts_with(prefix))
}

#[test]
fn stopping_leaves_nothing() {
    let program = ready();
    let bench = Bench::new();
    // Reading this takes minutes, and writing it no room.
    let huge = bench.path("huge");
    sparse(&huge, 1 << 40);
    for (signal, code) in [("INT", 130), ("TERM", 130)] {
        let mut child = Command::new(&program)
            .args(["capture", "--raw"])
            .arg(&huge)
            .arg("-o")
            .arg(bench.path("image"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("partial image", &mut child, || begins_with(bench.folder.path(), "image.partial-"));
        assert!(!bench.path("image").exists());
        sh("kill -s $1 $2", &[Path::new(signal), Path::new(&child.id().to_string())]);
        let begin = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains("stopped by a signal"));
        bench.assert_clean();
    }
}

#[test]
fn a_full_disk_is_told_with_what_where_and_how_far() {
    ready();
    let bench = Bench::new();
    let small = bench.path("small");
    fs::create_dir(&small).unwrap();
    sh("mount -t tmpfs -o size=8M tmpfs $1", &[&small]);
    let _unmount = Mount(small.clone());
    let part = bench.ext4("part", 64 * MIB);
    let said = refused(&part, &small.join("image"), &[]);
    assert!(said.contains("no room for the image in") && said.contains("are free"), "{said}");

    // How much a sparse copy takes is not known before.
    let noise = bench.path("noise");
    sh("head -c 20M /dev/urandom > $1", &[&noise]);
    let said = refused(&noise, &small.join("image"), &["--raw"]);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("of 20.0 MiB") && said.contains("/disk at byte"), "{said}");
    assert_eq!(fs::read_dir(&small).unwrap().count(), 0);
}

struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
