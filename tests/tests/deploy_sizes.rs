//! One image for disks of other sizes: a disk of 4 GiB goes to one of 10 GiB, and its file system fills it; one of 10 GiB is
//! made smaller on the server, and goes to one of 4 GiB.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs;
use std::path::{Path, PathBuf};

use ezio_tests::loop_deploy::{deploy, has_sys_resource, output, partition, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SOURCE: u64 = 4 * GIB;
const TARGET: u64 = 10 * GIB;
/// Partitions of the golden disk in MiB: start and length. Swap lies behind what grows.
const ROOT: (u64, u64) = (1, 3500);
const SWAP: (u64, u64) = (3501, 256);

/// A disk of 4 GiB with a root file system made by `mkfs`, with a file of noise on it, and swap.
fn golden_disk(folder: &Path, label: &str, mkfs: &[&str]) -> PathBuf {
    let disk = folder.join("golden.img");
    fs::File::create(&disk).unwrap().set_len(SOURCE).unwrap();
    let table = format!(
        "label: {label}\nstart={}MiB, size={}MiB, type=L\nstart={}MiB, size={}MiB, type=S\n",
        ROOT.0, ROOT.1, SWAP.0, SWAP.1
    );
    partition(text(&disk), &table, &folder.join("table"));
    let root = Loop::new(&disk, ROOT.0 * MIB, ROOT.1 * MIB).unwrap();
    output(mkfs[0], &[&mkfs[1..], &[root.0.as_str()]].concat());
    let noise: Vec<u8> =
        (0..5 * MIB).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    fs::write(folder.join("noise"), &noise).unwrap();
    mounted(folder, &root.0, |mount| fs::write(mount.join("noise"), &noise).unwrap());
    let swap = Loop::new(&disk, SWAP.0 * MIB, SWAP.1 * MIB).unwrap();
    output("/usr/sbin/mkswap", &["--label", "SWAP", &swap.0]);
    disk
}

fn mounted(folder: &Path, device: &str, work: impl FnOnce(&Path)) {
    let mount = folder.join("mount");
    fs::create_dir_all(&mount).unwrap();
    output("/usr/bin/mount", &[device, text(&mount)]);
    work(&mount);
    output("/usr/bin/umount", &[text(&mount)]);
}

fn serve(folder: &Path, golden: &Path, conf: &str) -> Server {
    let image = folder.join("golden");
    output(text(&programs::find("image-builder").unwrap()), &["capture", text(golden), "-o", text(&image)]);
    let file = folder.join("ezio.conf");
    fs::write(&file, conf).unwrap();
    Server::start(&image, &["--conf", text(&file)]).unwrap()
}

/// Bytes of the file system that is mounted there.
fn size_of(mount: &Path) -> u64 {
    let said = output("/usr/bin/df", &["--output=size", "--block-size=1", text(mount)]);
    said.lines().last().unwrap().trim().parse().unwrap()
}

/// A disk of 10 GiB to which a disk of 4 GiB with this root file system was deployed.
struct Grown {
    folder: tempfile::TempDir,
    target: Loop,
    good: bool,
    said: String,
    /// The room as its server tells it.
    fleet: String,
}

fn onto_a_larger_disk(label: &str, mkfs: &[&str]) -> Grown {
    programs::need_root().unwrap();
    mounts::keep_private().unwrap();
    programs::need(&["sfdisk", "sgdisk", "partclone.ext4", "losetup", "partx", "blkid"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let golden = golden_disk(folder.path(), label, mkfs);
    let server = serve(folder.path(), &golden, "image = \"golden\"\ngrow = \"last\"\n");
    let target = Loop::blank(&folder.path().join("target.img"), TARGET).unwrap();

    let (good, said) = deploy(&server, &[&target.0]);
    let pxe = programs::find("ezio-pxe").unwrap();
    let fleet = output(text(&pxe), &["status", "--json", "--state", text(&server.state)]);
    Grown { folder, target, good, said, fleet }
}

/// The table is sound, the file is there, swap was made; gives the size of the file system.
fn assert_whole(grown: &Grown, label: &str, fsck: &[&str]) -> u64 {
    let Grown { folder, target, .. } = grown;
    let verified = output("/usr/sbin/sfdisk", &["--verify", &target.0]);
    assert!(verified.contains("No errors detected"), "{verified}");
    if label == "gpt" {
        output("/usr/sbin/sgdisk", &["--verify", &target.0]);
    }
    let root = format!("{}p1", target.0);
    output(fsck[0], &[&fsck[1..], &[root.as_str()]].concat());
    let mut size = 0;
    mounted(folder.path(), &root, |mount| {
        let noise = fs::read(folder.path().join("noise")).unwrap();
        assert!(fs::read(mount.join("noise")).unwrap() == noise, "a file has changed");
        size = size_of(mount);
        // What room there is can be used.
        fs::write(mount.join("more"), noise).unwrap();
    });
    let swap = output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "LABEL", &format!("{}p2", target.0)]);
    assert_eq!(swap.trim(), "SWAP");
    size
}

fn fills_a_larger_disk(label: &str, mkfs: &[&str], fsck: &[&str]) {
    let grown = onto_a_larger_disk(label, mkfs);
    assert!(grown.good && grown.said.contains("growing the "), "{}", grown.said);
    for line in [" of sda1 has ", "sda2 is made anew at byte"] {
        assert!(grown.fleet.contains(line), "{line} is missing: {}", grown.fleet);
    }
    let size = assert_whole(&grown, label, fsck);
    assert!(size > TARGET - (SWAP.1 + 256) * MIB, "{size}");
}

/// Where the kernel refuses, that is a failure, and the deployed system is whole at its old size.
#[test]
fn ext4_fills_a_larger_disk_or_is_whole_as_it_was() {
    for label in ["gpt", "dos"] {
        let fsck = ["/usr/sbin/e2fsck", "-f", "-n"];
        let grown = onto_a_larger_disk(label, &["/usr/sbin/mkfs.ext4", "-q"]);
        let size = assert_whole(&grown, label, &fsck);
        if has_sys_resource() {
            assert!(grown.good && size > TARGET - (SWAP.1 + 256) * MIB, "{size}: {}", grown.said);
        } else {
            let words = ["the system is deployed and whole", "CAP_SYS_RESOURCE"];
            assert!(!grown.good && words.iter().all(|word| grown.said.contains(word)), "{}", grown.said);
            assert!(size < SOURCE, "{size}");
        }
    }
}

#[test]
fn xfs_fills_a_larger_disk() {
    fills_a_larger_disk("gpt", &["/usr/sbin/mkfs.xfs", "-q"], &["/usr/sbin/xfs_repair", "-n"]);
}

#[test]
fn btrfs_fills_a_larger_disk() {
    fills_a_larger_disk("gpt", &["/usr/sbin/mkfs.btrfs", "-q"], &["/usr/bin/btrfs", "check", "--readonly"]);
}

/// Partitions of a disk as Windows' Setup makes it, in MiB: start, length, type in a GPT.
const WINDOWS: [(u64, u64, &str); 4] = [
    (1, 100, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    (101, 16, "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"),
    (117, 3300, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
    (3417, 600, "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"),
];

/// A system partition with a file, as many bytes as its number says times a million, and a recovery partition behind it.
fn windows_disk(folder: &Path) -> PathBuf {
    let disk = folder.join("windows.img");
    fs::File::create(&disk).unwrap().set_len(SOURCE).unwrap();
    let lines = WINDOWS.map(|(start, size, kind)| format!("start={start}MiB, size={size}MiB, type={kind}\n"));
    partition(text(&disk), &format!("label: gpt\n{}", lines.concat()), &folder.join("table"));
    let part = |index: usize| Loop::new(&disk, WINDOWS[index].0 * MIB, WINDOWS[index].1 * MIB).unwrap();
    output("/usr/sbin/mkfs.vfat", &["-F", "32", &part(0).0]);
    for (index, label) in [(2, "Windows"), (3, "Recovery")] {
        let part = part(index);
        output("/usr/sbin/mkntfs", &["-F", "-Q", "-q", "-L", label, &part.0]);
        let file = folder.join(label);
        fs::write(&file, label.repeat(100_000)).unwrap();
        output("/usr/sbin/ntfscp", &["-q", &part.0, text(&file), "file"]);
    }
    disk
}

/// The four partitions are there, the files too, and Windows' file system is as long as its partition, which has at least
/// so many bytes.
fn assert_windows(target: &str, least: u64) {
    let verified = output("/usr/sbin/sfdisk", &["--verify", target]);
    assert!(verified.contains("No errors detected"), "{verified}");
    output("/usr/sbin/sgdisk", &["--verify", target]);
    for (number, label) in [(3, "Windows"), (4, "Recovery")] {
        let part = format!("{target}p{number}");
        // Windows itself is marked to be checked, as ntfsresize would.
        output("/usr/sbin/ntfsresize", &["--info", "--force", &part]);
        output("/usr/bin/ntfsfix", &["-n", &part]);
        let file = output("/usr/bin/ntfscat", &["-f", &part, "file"]);
        assert!(file == label.repeat(100_000), "the file of {label} has changed");
        assert_eq!(output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "LABEL", &part]).trim(), label);
    }
    let third = format!("{target}p3");
    let bytes: u64 = output("/usr/sbin/blockdev", &["--getsize64", &third]).trim().parse().unwrap();
    assert!(bytes > least, "{bytes}");
    let info = output("/usr/sbin/ntfsresize", &["--info", "--force", &third]);
    let size = info.lines().find_map(|line| line.strip_prefix("Current volume size:")).unwrap();
    let size: u64 = size.trim().split(' ').next().unwrap().parse().unwrap();
    assert!(size + (64 << 10) > bytes, "{info}");
    output("/usr/sbin/fsck.fat", &["-n", &format!("{target}p1")]);
}

#[test]
fn windows_fills_a_larger_and_a_smaller_disk_and_its_recovery_moves() {
    programs::need_root().unwrap();
    mounts::keep_private().unwrap();
    programs::need(&["sfdisk", "sgdisk", "partclone.ext4", "losetup", "partx", "mkntfs", "mkfs.vfat"])
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let golden = windows_disk(folder.path());
    let server = serve(folder.path(), &golden, "image = \"golden\"\ngrow = \"last\"\n");
    let target = Loop::blank(&folder.path().join("target.img"), TARGET).unwrap();
    let (good, said) = deploy(&server, &[&target.0]);
    assert!(good && said.contains("reagentc"), "{said}");
    assert_windows(&target.0, TARGET - 800 * MIB);
    drop(server);

    let small = folder.path().join("small/golden");
    fs::create_dir(folder.path().join("small")).unwrap();
    let builder = programs::find("image-builder").unwrap();
    let image = folder.path().join("golden");
    output(
        text(&builder),
        &["shrink", text(&image), "-o", text(&small), "--partition", "sda3", "--to", "1GiB"],
    );
    let server = Server::start(&small, &["--conf", text(&folder.path().join("ezio.conf"))]).unwrap();
    let target = Loop::blank(&folder.path().join("small.img"), 2 * GIB).unwrap();
    let (good, said) = deploy(&server, &[&target.0]);
    assert!(good, "{said}");
    assert_windows(&target.0, 2 * GIB - 800 * MIB);
}

#[test]
fn what_cannot_be_smaller_is_refused_with_a_word() {
    programs::need(&["mkfs.xfs", "partclone.ext4"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, image) = (folder.path().join("part.img"), folder.path().join("xfs"));
    fs::File::create(&file).unwrap().set_len(400 * MIB).unwrap();
    output("/usr/sbin/mkfs.xfs", &["-q", text(&file)]);
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["capture", text(&file), "-o", text(&image), "--name", "root"]);
    for (more, word) in [
        (&["--partition", "root"][..], "XFS, which cannot be made smaller"),
        (&[], "no partition of the image root (root) can be made smaller"),
        (&["--partition", "sda7"], "no partition \"sda7\": it has root"),
    ] {
        let out = folder.path().join("out");
        let refused = run(text(&builder), &[&["shrink", text(&image), "-o", text(&out)], more].concat());
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && errors.contains(word), "{errors}");
        assert!(!out.exists());
    }
}

/// Made smaller on the server, it goes to a disk of 4 GiB; without that the machine says what helps.
fn fits_a_smaller_disk(mkfs: &[&str], fsck: &[&str], more: &[&str]) {
    programs::need_root().unwrap();
    mounts::keep_private().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let golden = folder.path().join("large.img");
    fs::File::create(&golden).unwrap().set_len(TARGET).unwrap();
    let table = "label: gpt\nstart=1MiB, size=9500MiB, type=L\nsize=256MiB, type=S\n";
    partition(text(&golden), table, &folder.path().join("table"));
    let root = Loop::new(&golden, MIB, 9500 * MIB).unwrap();
    output(mkfs[0], &[&mkfs[1..], &[root.0.as_str()]].concat());
    let noise: Vec<u8> =
        (0..5 * MIB).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    let file = folder.path().join("noise");
    fs::write(&file, &noise).unwrap();
    match mkfs[0].ends_with("mkntfs") {
        true => drop(output("/usr/sbin/ntfscp", &["-q", &root.0, text(&file), "noise"])),
        false => mounted(folder.path(), &root.0, |mount| fs::write(mount.join("noise"), &noise).unwrap()),
    }
    let swap = Loop::new(&golden, 9501 * MIB, 256 * MIB).unwrap();
    output("/usr/sbin/mkswap", &["--label", "SWAP", &swap.0]);
    drop((root, swap));
    let conf = "image = \"golden\"\ngrow = \"sda1\"\n";
    let large = serve(folder.path(), &golden, conf);
    let device = Loop::blank(&folder.path().join("target.img"), SOURCE).unwrap();
    let (good, said) = deploy(&large, &[&device.0]);
    assert!(!good && said.contains("too small by") && said.contains("image-builder shrink"), "{said}");
    drop(large);

    let builder = programs::find("image-builder").unwrap();
    let (image, small) = (folder.path().join("golden"), folder.path().join("small/golden"));
    fs::create_dir(folder.path().join("small")).unwrap();
    output(text(&builder), &[&["shrink", text(&image), "-o", text(&small), "--no-progress"], more].concat());
    output(text(&builder), &["verify", text(&small)]);
    let left: Vec<_> = fs::read_dir(folder.path().join("small")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    let server = Server::start(&small, &["--conf", text(&folder.path().join("ezio.conf"))]).unwrap();
    let (good, said) = deploy(&server, &[&device.0]);
    let refused = !has_sys_resource() && mkfs[0].ends_with("ext4");
    assert!(good || (refused && said.contains("CAP_SYS_RESOURCE")), "{said}");
    let verified = output("/usr/sbin/sfdisk", &["--verify", &device.0]);
    assert!(verified.contains("No errors detected"), "{verified}");
    let root = format!("{}p1", device.0);
    output(fsck[0], &[&fsck[1..], &[root.as_str()]].concat());
    match mkfs[0].ends_with("mkntfs") {
        true => {
            let read = std::process::Command::new("ntfscat").args(["-f", &root, "noise"]).output().unwrap();
            assert!(read.stdout == noise, "a file has changed");
        }
        false => mounted(folder.path(), &root, |mount| {
            assert!(fs::read(mount.join("noise")).unwrap() == noise, "a file has changed");
            assert!(refused || size_of(mount) > SOURCE - 512 * MIB, "{}", size_of(mount));
        }),
    }
    let swap = output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "LABEL", &format!("{}p2", device.0)]);
    assert_eq!(swap.trim(), "SWAP");
}

#[test]
fn a_smaller_ext4_fits_a_smaller_disk() {
    fits_a_smaller_disk(&["/usr/sbin/mkfs.ext4", "-q"], &["/usr/sbin/e2fsck", "-f", "-n"], &["--minimum"]);
}

#[test]
fn a_smaller_btrfs_fits_a_smaller_disk() {
    let check = ["/usr/bin/btrfs", "check", "--readonly"];
    fits_a_smaller_disk(&["/usr/sbin/mkfs.btrfs", "-q"], &check, &["--to", "3GiB"]);
}

#[test]
fn a_smaller_ntfs_fits_a_smaller_disk() {
    let check = ["/usr/sbin/ntfsresize", "--info", "--force"];
    fits_a_smaller_disk(&["/usr/sbin/mkntfs", "-F", "-Q", "-q"], &check, &["--partition", "sda1"]);
}
