//! Images that the real `ocs-sr` saved of loop devices: imported, served, deployed, and held against what
//! `partclone.restore` makes of the same files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use ezio_tests::clonezilla::Bench;
use ezio_tests::loop_deploy::{deploy, output, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::programs;

const SECTOR: usize = 512;

#[test]
fn a_gpt_disk_is_served_as_clonezilla_saved_it() {
    let bench = Bench::new(
        96,
        "label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
size=20480, type=U, name=\"EFI system\"
size=81920, type=L, name=root, attrs=\"LegacyBIOSBootable\"
size=8192, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
size=16384, type=S",
        "head -c 1M /dev/urandom >${1}p1
mkfs.vfat -F 16 -h 4096 -n ESP ${1}p2 >/dev/null; mmd -i ${1}p2 ::EFI ::EFI/BOOT
head -c 9000 /dev/urandom >loader; for arch in X64 AA64; do mcopy -i ${1}p2 loader ::EFI/BOOT/BOOT$arch.EFI; done
mkdir files; head -c 7M /dev/urandom >files/noise
mkfs.ext4 -q -L root -d files ${1}p3; mkswap -q -L swapped ${1}p5 >/dev/null",
    );
    let disk = bench.name("");
    let image = bench.save("savedisk", &disk, &["-j2", "-z9p", "-i", "3", "-gm"]);
    assert!(image.join(format!("{disk}p3.ext4-ptcl-img.zst.ac")).exists(), "it was split");

    let state = bench.path("state");
    let start = || Server::start(&image, &["--state", state.to_str().unwrap()]).unwrap();
    let server = start();
    let imported = state.join("imported/image");
    let made = || fs::metadata(imported.join("manifest.toml")).unwrap().modified().unwrap();
    let first = made();
    let target = bench.deploy(&server, 128);
    bench.same_table(&target);
    for (partition, start, sectors) in [("p1", 2048, 2048), ("p2", 4096, 20480), ("p3", 24576, 81920)] {
        let length = sectors * SECTOR;
        let restored = bench.restored(&image, partition, "zstd -dc", length);
        assert!(target.bytes(start, length) == restored, "{partition}");
    }
    bench.sh(&format!("sgdisk --verify {0}; e2fsck -fn {0}p3; fsck.fat -n {0}p2", target.device.0));
    let swap = |disk: &str| bench.sh(&format!("blkid -p -o value -s UUID -s LABEL {disk}p5"));
    assert_eq!(swap(&target.device.0), swap(&bench.disk.0));
    let manifest = fs::read_to_string(imported.join("manifest.toml")).unwrap();
    assert!(!manifest.contains("\narch = "), "it has loaders of both: {manifest}");

    let restored = bench.exported_to_clonezilla(&imported, 96);
    bench.same_table(&restored);
    for (start, sectors) in [(2048, 2048), (4096, 20480)] {
        let length = sectors * SECTOR;
        assert!(restored.bytes(start, length) == target.bytes(start, length), "from sector {start} on");
    }
    // Clonezilla mounts this one afterwards, to adapt a system that it would find there.
    bench.sh(&format!(
        "sgdisk --verify {0}; e2fsck -fn {0}p3; debugfs -R 'dump /noise copy' {0}p3 2>&1; cmp copy files/noise",
        restored.device.0
    ));
    assert_eq!(swap(&restored.device.0), swap(&bench.disk.0));

    // It is imported once; and anew when it has changed.
    drop(server);
    drop(start());
    assert_eq!(made(), first);
    fs::write(image.join("Info-saved-by-cmd.txt"), "again").unwrap();
    drop(start());
    assert_ne!(made(), first);

    damaged_images_are_refused(&bench, &image);
}

/// What is missing, cut short or changed is told by its file, and nothing is left.
fn damaged_images_are_refused(bench: &Bench, image: &Path) {
    let root = |volume: &str| image.join(format!("{}.ext4-ptcl-img.zst.{volume}", bench.name("p3")));
    let refused = |words: &str| {
        let (good, said) = bench.import(image, &bench.path("refused"), &["--no-progress"]);
        assert!(!good && said.contains(words), "{words}: {said}");
        assert!(!bench.sh("ls").contains("refused"), "nothing is left");
    };
    let with = |path: &Path, change: &dyn Fn(), words: &str| {
        fs::copy(path, bench.path("kept")).unwrap();
        change();
        refused(words);
        fs::rename(bench.path("kept"), path).unwrap();
    };
    let damage = |path: &Path| {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 100_000).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 100_000).unwrap();
    };
    let (first, second, last) = (root("aa"), root("ab"), root("ac"));
    with(&second, &|| fs::remove_file(&second).unwrap(), "zst.ac a file is missing");
    with(&second, &|| damage(&second), ".zst.ab");
    with(&first, &|| fs::remove_file(&first).unwrap(), "files before it are not");
    // Without its sum the compression and partclone still tell.
    fs::rename(image.join("MD5SUMS"), bench.path("sums")).unwrap();
    with(&second, &|| damage(&second), ".zst.a");
    with(&last, &|| fs::remove_file(&last).unwrap(), ".zst.ab, before byte 3000000");
    with(
        &last,
        &|| File::options().write(true).open(&last).unwrap().set_len(1000).unwrap(),
        ".zst.ac, before byte 1000",
    );
    fs::rename(bench.path("sums"), image.join("MD5SUMS")).unwrap();
    let table = image.join(format!("{}-pt.sf", bench.name("")));
    with(&table, &|| fs::write(&table, "label: gpt\n").unwrap(), "its sum is not the one in MD5SUMS");
}

#[test]
fn an_mbr_disk_keeps_what_lies_around_its_partitions() {
    let bench = Bench::new(
        96,
        "label: dos
start=2048, size=40960, type=83, bootable
start=43008, size=143360, type=5
start=45056, size=40960, type=7
start=88064, size=40960, type=83
start=131072, size=16384, type=82",
        "head -c 440 /dev/urandom >code; dd if=code of=$1 conv=notrunc status=none
head -c 30000 /dev/urandom | dd of=$1 seek=1 oflag=seek_bytes seek=512 status=none
head -c 400 /dev/urandom | dd of=$1 oflag=seek_bytes seek=$((43008 * 512)) status=none
mkfs.ext4 -q -b 1024 ${1}p1; mkntfs -q -F -Q -p 45056 -H 255 -S 63 ${1}p5 2>/dev/null; mkfs.ext4 -q ${1}p6; mkswap -q ${1}p7 >/dev/null
mkdir files; head -c 3M /dev/urandom >noise; mkfs.ext4 -q -F -d files ${1}p6",
    );
    let disk = bench.name("");
    let image = bench.save("savedisk", &disk, &["-j2", "-z1p", "-i", "2000", "-gs"]);
    // Another disk's name for it: the dump says "sdzp", and the sums no longer fit.
    bench.clonezilla(&["cnvt-ocs-dev", "-b", "-d", "/home/partimag", "image", &disk, "nvme7n1"]);
    let output = bench.path("imported");
    let (good, said) = bench.import(&image, &output, &["--no-progress"]);
    assert!(
        good && said.contains("note: nvme7n1p2: the boot code in its first sector is not kept"),
        "{said}"
    );
    let server = Server::start(&output, &[]).unwrap();
    let target = bench.deploy(&server, 96);
    bench.same_table(&target);
    assert_eq!(target.bytes(0, 440), fs::read(bench.path("code")).unwrap());
    assert_eq!(
        target.bytes(1, 2047 * SECTOR),
        fs::read(image.join("nvme7n1-hidden-data-after-mbr")).unwrap()
    );
    bench.exported_raw(&output, &target);
    bench.sh(&format!(
        "rename() {{ for f in images/image/nvme7n1p*; do mv $f ${{f/nvme7n1p/{disk}p}}; done; }}; rename"
    ));
    for (partition, start) in [("p1", 2048), ("p5", 45056), ("p6", 88064)] {
        let length = 40960 * SECTOR;
        let mut restored = bench.restored(&image, partition, "gzip -dc", length);
        if partition == "p5" {
            // partclone leaves out the copy of its boot sector that NTFS has at its end.
            assert!(restored[length - SECTOR..].iter().all(|byte| *byte == 0));
            restored.copy_within(..SECTOR, length - SECTOR);
        }
        assert!(target.bytes(start, length) == restored, "{partition}");
    }
    let checked = bench
        .sh(&format!("for n in 1 6; do e2fsck -fn {0}p$n; done; ntfsfix -n {0}p5 2>&1", target.device.0));
    assert!(checked.contains("Checking the alternate boot sector... OK"), "{checked}");
}

#[test]
#[ignore = "soak: minutes of ocs-sr"]
fn two_disks_that_were_saved_at_once_become_one_image() {
    let bench = Bench::new(
        48,
        "label: gpt\nsize=40960, type=L, name=root",
        "mkdir files; head -c 3M /dev/urandom >files/noise; mkfs.ext4 -q -d files ${1}p1",
    );
    let second = Loop::blank(&bench.path("second.img"), 64 << 20).unwrap();
    bench.sh(&format!(
        "printf 'label: dos\\nstart=2048, size=114688, type=83\\n' | sfdisk -q --no-reread {0}; partx --add {0}
         mkfs.ext4 -q -d files {0}p1",
        second.0
    ));
    let disks = [bench.disk.0.as_str(), second.0.as_str()];
    let names = disks.map(|disk| disk.trim_start_matches("/dev/"));
    let both = names.join(" ");
    let image = bench.save("savedisk", &both, &["-j2", "-z9p", "-gs"]);
    assert_eq!(fs::read_to_string(image.join("disk")).unwrap().trim(), both);

    let server = Server::start(&image, &["--state", bench.path("state").to_str().unwrap()]).unwrap();
    // The first one's image fits both, the second one's just the first.
    let targets = [("large", 96), ("small", 56)]
        .map(|(name, size)| Loop::blank(&bench.path(name), size << 20).unwrap());
    let (good, said) = deploy(&server, &[&targets[0].0, &targets[1].0]);
    assert!(good, "{said}");
    let same = |source: &str, target: &str| {
        let dump = |disk: &str| format!("sfdisk -d {disk} | sed 's,{disk}p\\?,,; /^last-lba/d; /^device/d'");
        bench.sh(&format!(
            "diff <({}) <({}); e2fsck -fn {target}p1
             debugfs -R 'dump /noise copy' {target}p1 2>&1; cmp copy files/noise",
            dump(source),
            dump(target)
        ));
    };
    same(disks[0], &targets[1].0);
    same(disks[1], &targets[0].0);

    // And back: Clonezilla restores both at once, where they came from.
    let (imported, exported) = (bench.path("imported"), bench.path("images/exported"));
    let (good, said) = bench.import(&image, &imported, &["--no-progress"]);
    assert!(good && imported.join(names[1]).join("manifest.toml").exists(), "{said}");
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["verify", "--no-progress", text(&imported)]);
    let export = ["export", "--no-progress", text(&imported), "--clonezilla", text(&exported)];
    output(text(&builder), &export);
    let kept = disks.map(|disk| bench.sh(&format!("sfdisk -d {disk}")));
    bench.sh(&format!(
        "for disk in {} {}; do partx --delete $disk; head -c 2M /dev/zero >$disk; done",
        disks[0], disks[1]
    ));
    let fixed = ["ocs-sr", "-batch", "-nogui", "-j2", "-scr", "-p", "true", "restoredisk", "exported"];
    bench.clonezilla(&[&fixed[..], &names].concat());
    assert_eq!(disks.map(|disk| bench.sh(&format!("sfdisk -d {disk}"))), kept);
    same(disks[0], disks[0]);
    same(disks[1], disks[1]);
}
