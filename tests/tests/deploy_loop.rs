//! The whole way without a virtual machine: a disk is captured, served by `ezio-pxe` on loopback, and
//! deployed by `ezio-init deploy` to a loop device; then looked at with the tools of others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs;
use std::path::{Path, PathBuf};

use ezio_tests::loop_deploy::{deploy, output, partition, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
/// Start and length of the root partition on the golden disk, in sectors.
const ROOT: (u64, u64) = (6144, 81920);
const SWAP_SECTORS: u64 = 20480;

/// A disk image file with a GPT: ext4 with files, and swap.
fn golden_disk(folder: &Path) -> PathBuf {
    let disk = folder.join("golden.img");
    fs::File::create(&disk).unwrap().set_len(64 * MIB).unwrap();
    let table = format!(
        "label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649\n\
         start={}, size={}, type=L, name=root\nsize={SWAP_SECTORS}, type=S\n",
        ROOT.0, ROOT.1
    );
    partition(text(&disk), &table, &folder.join("table"));
    let files = folder.join("files");
    fs::create_dir_all(files.join("etc")).unwrap();
    fs::write(files.join("etc/hostname"), "golden\n").unwrap();
    let noise: Vec<u8> =
        (0..5 * MIB).map(|i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    fs::write(files.join("noise"), noise).unwrap();
    let root = Loop::new(&disk, ROOT.0 * 512, ROOT.1 * 512).unwrap();
    output("/usr/sbin/mkfs.ext4", &["-q", "-L", "root", "-d", text(&files), &root.0]);
    let swap = Loop::new(&disk, (ROOT.0 + ROOT.1) * 512, SWAP_SECTORS * 512).unwrap();
    output("/usr/sbin/mkswap", &["--label", "SWAP", &swap.0]);
    disk
}

fn fleet(server: &Server) -> String {
    let status = programs::find("ezio-pxe").unwrap();
    output(text(&status), &["status", "--json", "--state", text(&server.state)])
}

fn prepare(folder: &Path, conf: &str) -> (PathBuf, PathBuf, Server) {
    programs::need_root().unwrap();
    mounts::keep_private().unwrap();
    programs::need(&["sfdisk", "sgdisk", "partclone.ext4", "mkfs.ext4", "losetup", "partx", "blkid"])
        .unwrap();
    let golden = golden_disk(folder);
    let image = folder.join("golden");
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["capture", text(&golden), "-o", text(&image)]);
    let conf_file = folder.join("ezio.conf");
    fs::write(&conf_file, conf).unwrap();
    let server = Server::start(&image, &["--conf", text(&conf_file)]).unwrap();
    (golden, image, server)
}

/// The dump of a table without what names the device.
fn table(disk: &str) -> String {
    let dump = output("/usr/sbin/sfdisk", &["--dump", disk]);
    let lines = dump.lines().filter(|line| !line.starts_with("device:") && !line.starts_with("last-lba:"));
    lines.map(|line| line.split_once(" : ").map_or(line, |(_, entry)| entry)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_captured_disk_arrives_whole_on_another() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let hooks = format!(
        "[hooks]\nbefore = [\"test -b $EZIO_DISKS\"]\nafter = [\"echo $EZIO_IMAGE > {}\"]\n",
        mark.display()
    );
    let (golden, _image, server) = prepare(folder.path(), &format!("image = \"golden\"\n{hooks}"));
    let target = folder.path().join("target.img");
    let device = Loop::blank(&target, 80 * MIB).unwrap();

    let (good, said) = deploy(&server, &[&device.0]);
    assert!(good, "{said}");
    for step in ["ezio: disk: clearing", "ezio: verified", "ezio: deployed", "ezio: done: the server knows"] {
        assert!(said.contains(step), "{step} is missing:\n{said}");
    }
    assert_eq!(fs::read_to_string(&mark).unwrap(), "golden\n", "the hook after");
    assert!(fleet(&server).contains("\"done\""), "{}", fleet(&server));

    assert_eq!(table(&device.0), table(text(&golden)));
    output("/usr/sbin/sgdisk", &["--verify", &device.0]);
    output("/usr/sbin/sfdisk", &["--verify", &device.0]);
    for number in 1..=3 {
        assert!(Path::new(&format!("{}p{number}", device.0)).exists(), "the kernel knows partition {number}");
    }
    let root = format!("{}p2", device.0);
    assert_golden_root(folder.path(), &root);
    let swap_id = |disk: &Path| {
        let offset = ((ROOT.0 + ROOT.1) * 512).to_string();
        output(
            "/usr/sbin/blkid",
            &["-p", "-o", "value", "-s", "UUID", "-s", "LABEL", "-O", &offset, text(disk)],
        )
    };
    assert_eq!(swap_id(&target), swap_id(&golden));
}

/// The files of the golden root are on this partition, and its file system is sound.
fn assert_golden_root(folder: &Path, partition: &str) {
    output("/usr/sbin/e2fsck", &["-f", "-n", partition]);
    for (inside, outside) in [("/etc/hostname", "etc/hostname"), ("/noise", "noise")] {
        let copy = folder.join("copy");
        output("/usr/sbin/debugfs", &["-R", &format!("dump {inside} {}", copy.display()), partition]);
        assert!(
            fs::read(&copy).unwrap() == fs::read(folder.join("files").join(outside)).unwrap(),
            "{inside} differs"
        );
    }
}

#[test]
fn one_image_goes_onto_several_disks() {
    let folder = tempfile::tempdir().unwrap();
    let (golden, _image, server) = prepare(folder.path(), "image = \"golden\"\n[disk]\nall = true\n");
    let devices =
        ["one.img", "two.img"].map(|name| Loop::blank(&folder.path().join(name), 80 * MIB).unwrap());

    let (good, said) = deploy(&server, &[&devices[0].0, &devices[1].0]);
    assert!(good, "{said}");
    for device in &devices {
        assert_eq!(table(&device.0), table(text(&golden)));
        assert_golden_root(folder.path(), &format!("{}p2", device.0));
    }
}

/// One by its rule, and one onto what is left, whatever the order in which the disks are named.
#[test]
fn two_images_go_onto_two_disks() {
    let folder = tempfile::tempdir().unwrap();
    let (golden, image, _server) = prepare(folder.path(), "image = \"golden\"\n");
    let (noise, data, conf) = ("noise.img", "data", "disks.conf");
    let [noise, data, conf] = [noise, data, conf].map(|name| folder.path().join(name));
    fs::copy(folder.path().join("files/noise"), &noise).unwrap();
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["capture", "--raw", text(&noise), "-o", text(&data)]);
    fs::write(&conf, "[[disk]]\nimage = \"golden\"\nmin-size = \"60MiB\"\n[[disk]]\nimage = \"data\"\n")
        .unwrap();
    let server = Server::start(&image, &[text(&data), "--conf", text(&conf)]).unwrap();
    let small = folder.path().join("small.img");
    let (first, second) = (
        Loop::blank(&small, 16 * MIB).unwrap(),
        Loop::blank(&folder.path().join("large.img"), 80 * MIB).unwrap(),
    );

    let (good, said) = deploy(&server, &[&first.0, &second.0]);
    assert!(good, "{said}");
    assert_eq!(table(&second.0), table(text(&golden)));
    assert_golden_root(folder.path(), &format!("{}p2", second.0));
    let (noise, written) = (fs::read(&noise).unwrap(), fs::read(&small).unwrap());
    assert!(written[..noise.len()] == noise, "the data disk differs");
    assert!(fleet(&server).contains("\"golden, data\""), "{}", fleet(&server));

    // A machine without the second disk: nothing at all is written.
    let alone = folder.path().join("alone.img");
    let device = Loop::blank(&alone, 80 * MIB).unwrap();
    let (good, said) = deploy(&server, &[&device.0]);
    assert!(!good && said.contains("image data") && said.contains("it gets the image golden"), "{said}");
    assert!(fs::read(&alone).unwrap().iter().all(|byte| *byte == 0), "it was written to");
}

/// A disk with two partitions and something on each: the first is to stay.
fn disk_in_use(file: &Path) -> Loop {
    const TABLE: &str = "label: gpt\nstart=2048, size=40960, type=L, name=stays\nsize=90112, type=L, name=goes, \
                         uuid=11111111-2222-3333-4444-555555555555\n";
    let device = Loop::blank(file, 80 * MIB).unwrap();
    partition(&device.0, TABLE, &file.with_extension("table"));
    output("/usr/bin/partx", &["--update", &device.0]);
    output("/usr/sbin/mkfs.ext4", &["-q", &format!("{}p1", device.0)]);
    output("/usr/sbin/mkfs.ext4", &["-q", "-L", "old", &format!("{}p2", device.0)]);
    device
}

#[test]
fn one_partition_is_written_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let orders = |target: &str| format!("image = \"golden\"\npartition = \"sda2\"\ntarget = \"{target}\"\n");
    let (_golden, image, server) = prepare(folder.path(), &orders("LABEL=nobody"));
    let file = folder.path().join("used.img");
    let device = disk_in_use(&file);
    let (good, said) = deploy(&server, &[&device.0]);
    assert!(!good && said.contains("there is no partition LABEL=nobody"), "{said}");

    for target in ["LABEL=old", "LABEL=goes", "PARTUUID=11111111-2222-3333-4444-555555555555"] {
        let second = format!("{}p2", device.0);
        output("/usr/sbin/mkfs.ext4", &["-q", "-F", "-L", "old", &second]);
        output("/usr/bin/sync", &[]);
        let before = fs::read(&file).unwrap();
        let conf = folder.path().join("ezio.conf");
        fs::write(&conf, orders(target)).unwrap();
        let server = Server::start(&image, &["--conf", text(&conf)]).unwrap();
        let (good, said) = deploy(&server, &[&device.0]);
        assert!(good, "{target}: {said}");
        assert_golden_root(folder.path(), &second);
        let after = fs::read(&file).unwrap();
        let (start, end) = ((2048 + 40960) * 512, (2048 + 40960 + 90112) * 512);
        assert!(
            before[..start] == after[..start] && before[end..] == after[end..],
            "{target}: something beside it"
        );
    }
}

#[test]
fn what_does_not_fit_or_is_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_golden, image, server) =
        prepare(folder.path(), "image = \"golden\"\n[hooks]\nbefore = [\"exit 9\"]\n");
    let disk = |name: &str, size: u64| {
        let file = folder.path().join(name);
        (Loop::blank(&file, size).unwrap(), file)
    };
    let refused = |device: &str, words: &[&str]| {
        let (good, said) = deploy(&server, &[device]);
        assert!(!good && words.iter().all(|word| said.contains(word)), "{words:?}:\n{said}");
    };
    let (small, small_file) = disk("small.img", 20 * MIB);
    refused(&small.0, &["too small by"]);
    let (good, good_file) = disk("good.img", 80 * MIB);
    refused(&good.0, &["hook before", "exit status: 9"]);
    refused("/dev/no-such-disk", &["no disk of this machine"]);
    assert!(fleet(&server).contains("\"failed\""), "{}", fleet(&server));
    for file in [small_file, good_file] {
        assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0), "{} was written", file.display());
    }

    let (used, _file) = disk("used.img", 80 * MIB);
    output("/usr/sbin/mkfs.ext4", &["-q", &used.0]);
    let mount = folder.path().join("mount");
    fs::create_dir(&mount).unwrap();
    output("/usr/bin/mount", &[&used.0, text(&mount)]);
    let write = |more: &[&str]| {
        let init = programs::find("ezio-init").unwrap();
        let torrent = image.join("sda2.torrent");
        run(
            text(&init),
            &[&["write", "--yes", text(&torrent), &used.0, "--listen", "127.0.0.1:0"], more].concat(),
        )
    };
    let (plain, forced) = (write(&[]), write(&["--force"]));
    let (_, said) = deploy(&server, &[&used.0]);
    output("/usr/bin/umount", &[text(&mount)]);
    for output in [plain, forced] {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && errors.contains("in use"), "{errors}");
    }
    assert!(said.contains("mounted"), "{said}");
    output("/usr/sbin/e2fsck", &["-f", "-n", &used.0]);
}

/// A command that makes a file system on `$1`, of these many bytes.
const WITHOUT_TABLE: [(&str, u64); 7] = [
    ("mkfs.ext4 -q", 64 * MIB),
    ("mkfs.xfs -q", 300 * MIB),
    ("mkfs.btrfs -q", 128 * MIB),
    ("mkntfs -q -F -Q", 64 * MIB),
    ("mkfs.vfat -F 32", 64 * MIB),
    ("mkfs.vfat -F 12", 4 * MIB),
    ("mkfs.exfat", 64 * MIB),
];

#[test]
fn a_disk_with_a_file_system_and_no_table_arrives_whole() {
    programs::need_root().unwrap();
    programs::need(&["mkfs.xfs", "mkfs.btrfs", "mkntfs", "mkfs.vfat", "mkfs.exfat", "wipefs"]).unwrap();
    for (make, size) in WITHOUT_TABLE {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let golden = Loop::blank(&path("golden.img"), size).unwrap();
        output("/bin/sh", &["-c", &format!("PATH=$PATH:/usr/sbin; {make} {} >/dev/null", golden.0)]);
        let builder = programs::find("image-builder").unwrap();
        output(text(&builder), &["capture", &golden.0, "-o", text(&path("golden"))]);
        fs::write(path("ezio.conf"), "image = \"golden\"\n").unwrap();
        let server = Server::start(&path("golden"), &["--conf", text(&path("ezio.conf"))]).unwrap();

        let target = Loop::blank(&path("target.img"), size + MIB).unwrap();
        output("/bin/sh", &["-c", &format!("yes | head -c {} > {}", size + MIB, target.0)]);
        let (good, said) = deploy(&server, &[&target.0]);
        assert!(good && said.contains("note: there is no partition table"), "{make}: {said}");
        let signatures =
            |disk: &str| output("/usr/sbin/wipefs", &["--noheadings", "--output", "OFFSET,TYPE,UUID", disk]);
        assert_eq!(signatures(&target.0), signatures(&golden.0), "{make}");
        let check = match make.split(' ').next().unwrap() {
            "mkfs.ext4" => "e2fsck -fn",
            "mkfs.xfs" => "xfs_repair -n",
            "mkfs.btrfs" => "btrfs check",
            "mkntfs" => "ntfsinfo -m",
            "mkfs.vfat" => "fsck.fat -n",
            _ => "fsck.exfat -n",
        };
        output("/bin/sh", &["-c", &format!("PATH=$PATH:/usr/sbin; {check} {}", target.0)]);

        let small = Loop::blank(&path("small.img"), size - MIB).unwrap();
        let (good, said) = deploy(&server, &[&small.0]);
        assert!(!good && said.contains("too small by"), "{make}: {said}");
    }
}

/// Makes a file system of 300 MiB on `$1`.
const TOO_LARGE: [&str; 5] =
    ["mkfs.ext4 -q", "mkfs.xfs -q", "mkfs.btrfs -q", "mkntfs -q -F -Q", "mkfs.exfat"];

#[test]
fn a_torrent_of_a_file_system_that_is_larger_than_its_target_is_refused() {
    programs::need_root().unwrap();
    programs::need(&["mkfs.xfs", "mkfs.btrfs", "mkntfs", "mkfs.exfat", "partclone.ext4"]).unwrap();
    for make in TOO_LARGE {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::File::create(path("fs")).unwrap().set_len(300 * MIB).unwrap();
        output("/bin/sh", &["-c", &format!("PATH=$PATH:/usr/sbin; {make} {} >/dev/null", text(&path("fs")))]);
        let builder = programs::find("image-builder").unwrap();
        output(text(&builder), &["capture", text(&path("fs")), "-o", text(&path("golden"))]);
        let server = Server::start(&path("golden"), &[]).unwrap();
        let target = Loop::blank(&path("target.img"), 265 * MIB).unwrap();
        output("/usr/sbin/mkfs.ext4", &["-q", &target.0]);
        let write = |torrent: &str| {
            let init = programs::find("ezio-init").unwrap();
            let output = run(text(&init), &["write", "--yes", torrent, &target.0, "--listen", "127.0.0.1:0"]);
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let refused = output.status.code() == Some(1) && errors.contains("too small by 36700160 bytes");
            assert!(refused, "{make}: {errors}");
        };
        let before = fs::read(path("target.img")).unwrap();
        // The manifest beside it tells. Alone, its superblock does, which is fetched first.
        let torrent = format!("{}images/golden/fs.torrent", server.url);
        output("/usr/bin/curl", &["-sfo", text(&path("alone.torrent")), &torrent]);
        for torrent in [&torrent, text(&path("alone.torrent"))] {
            write(torrent);
            output("/usr/bin/sync", &[]);
            assert!(fs::read(path("target.img")).unwrap() == before, "{make}: something was written");
        }
    }
}
