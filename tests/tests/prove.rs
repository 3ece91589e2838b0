//! `ezio-init prove`: what other programs, and our own, have put onto a disk is what the image says, and a bit that is flipped
//! on the medium is found.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use ezio_tests::dice::{self, Dice};
use ezio_tests::loop_deploy::{output, partition, run, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::{mounts, programs};
use serde_json::Value;

const MIB: u64 = 1 << 20;
/// Where both partitions begin, and how long they are.
const FAT: (u64, u64) = (MIB, 40 * MIB);
const EXT4: (u64, u64) = (41 * MIB, 24 * MIB);
const DISK: u64 = 80 * MIB;

/// The image of a disk with FAT and ext4, and the disk again, as `image-builder export --raw` makes it.
struct Golden {
    image: PathBuf,
    disk: PathBuf,
}

impl Golden {
    fn new(folder: &Path) -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        programs::need(&["sfdisk", "partclone.ext4", "mkfs.ext4", "mkfs.vfat", "losetup", "partx"]).unwrap();
        let (source, image, disk) =
            (folder.join("source.img"), folder.join("image"), folder.join("disk.img"));
        File::create(&source).unwrap().set_len(DISK).unwrap();
        let table = "label: gpt\nstart=1MiB, size=40MiB, type=U\nsize=24MiB, type=L\nsize=8MiB, type=S\n";
        partition(text(&source), table, &folder.join("table"));
        let files = folder.join("files");
        fs::create_dir(&files).unwrap();
        let mut noise = vec![0; 3 << 20];
        Dice(7).fill(&mut noise);
        fs::write(files.join("noise"), noise).unwrap();
        let fat = Loop::new(&source, FAT.0, FAT.1).unwrap();
        output("/usr/sbin/mkfs.vfat", &["-F", "32", "-h", &(FAT.0 / 512).to_string(), &fat.0]);
        let ext4 = Loop::new(&source, EXT4.0, EXT4.1).unwrap();
        output("/usr/sbin/mkfs.ext4", &["-q", "-d", text(&files), &ext4.0]);
        let swap = Loop::new(&source, EXT4.0 + EXT4.1, 8 * MIB).unwrap();
        output("/usr/sbin/mkswap", &[&swap.0]);
        drop((fat, ext4, swap));
        let builder = programs::find("image-builder").unwrap();
        output(text(&builder), &["capture", text(&source), "-o", text(&image), "--no-progress"]);
        output(text(&builder), &["export", text(&image), "--raw", text(&disk), "--no-progress"]);
        Self { image, disk }
    }

    fn prove(&self, more: &[&str]) -> Output {
        let init = programs::find("ezio-init").unwrap();
        run(text(&init), &[&["prove", text(&self.image)], more].concat())
    }
}

/// What it says to programs.
fn events(output: &Output, kind: &str) -> Vec<Value> {
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Flips bits of the file below the disk, one at a time, wherever something lies.
fn flips(count: u64) {
    let folder = tempfile::tempdir().unwrap();
    let golden = Golden::new(folder.path());
    let device = Loop::new(&golden.disk, 0, DISK).unwrap();
    let whole = golden.prove(&[&device.0, "--progress", "json"]);
    assert!(whole.status.success(), "{}", said(&whole));
    assert_eq!(events(&whole, "proof")[0]["wrong"], 0);
    let below = File::options().read(true).write(true).open(&golden.disk).unwrap();
    let mut dice = Dice::thrown();
    let mut flipped = 0;
    while flipped < count {
        let (at, bit) = (dice.below(DISK), dice.below(8));
        let mut was = [0];
        below.read_exact_at(&mut was, at).unwrap();
        // A zero may be in use or not.
        if was == [0] {
            continue;
        }
        flipped += 1;
        below.write_all_at(&[was[0] ^ (1 << bit)], at).unwrap();
        let found = golden.prove(&[&device.0, "--progress", "json"]);
        below.write_all_at(&was, at).unwrap();
        assert_eq!(found.status.code(), Some(1), "bit {bit} of byte {at}: {}", said(&found));
        let wrong = events(&found, "wrong");
        assert_eq!(wrong.len(), 1, "bit {bit} of byte {at}: {wrong:?}");
        assert_eq!(wrong[0]["disk"], device.0.as_str());
        assert!(wrong[0]["offset"].as_u64().unwrap() <= at, "bit {bit} of byte {at}: {wrong:?}");
        assert_eq!(events(&found, "proof")[0]["wrong"], 1);
        let expected = match at {
            at if (FAT.0..FAT.0 + FAT.1).contains(&at) => "sda1",
            at if (EXT4.0..EXT4.0 + EXT4.1).contains(&at) => "sda2",
            _ => continue,
        };
        let name = wrong[0]["partition"].as_str().unwrap();
        assert!(name.ends_with(&expected[3..]), "bit {bit} of byte {at}: {wrong:?}");
        assert!(wrong[0]["piece"].is_u64());
    }
    let whole = golden.prove(&[&device.0]);
    assert!(whole.status.success(), "{}", said(&whole));
}

#[test]
fn a_bit_that_is_flipped_on_the_medium_is_found() {
    flips(12);
}

#[test]
#[ignore = "soak: a tenth of a second each"]
fn a_thousand_bits_that_are_flipped_on_the_medium_are_found() {
    flips(dice::cases(1000));
}

/// Boot sectors say where their volume lies: that is no damage, and all else in them is looked at.
#[test]
fn a_boot_sector_that_was_amended_is_told_apart_from_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Golden::new(folder.path());
    let file = folder.path().join("other.img");
    let device = Loop::blank(&file, 64 * MIB).unwrap();
    partition(&device.0, "label: gpt\nstart=10MiB, size=48MiB, type=U\n", &folder.path().join("other"));
    output("/usr/bin/partx", &["--add", "--nr", "1", &device.0]);
    let node = format!("{}p1", device.0);
    let init = programs::find("ezio-init").unwrap();
    let name = name_of_fat(&golden.image);
    let arguments =
        ["write", "--yes", text(&golden.image), &node, "--partition", &name, "--progress", "plain"];
    let written = run(text(&init), &arguments);
    assert!(
        written.status.success() && said(&written).contains("begins at sector 20480"),
        "{}",
        said(&written)
    );

    let proof = golden.prove(&[&node, "--partition", &name, "--progress", "plain"]);
    assert!(proof.status.success(), "{}", said(&proof));
    assert!(said(&proof).contains("begins at sector 20480, and 2048 on the source"), "{}", said(&proof));
    let below = File::options().write(true).open(&file).unwrap();
    // The volume's serial number.
    below.write_all_at(&[0x5a; 4], 10 * MIB + 0x43).unwrap();
    let damaged = golden.prove(&[&node, "--partition", &name, "--progress", "plain"]);
    assert!(!damaged.status.success());
    assert!(said(&damaged).contains(&format!("{node} at byte 0 (piece 0 of {name})")), "{}", said(&damaged));
}

fn name_of_fat(image: &Path) -> String {
    let torrents =
        fs::read_dir(image).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = torrents.filter_map(|name| name.strip_suffix(".torrent").map(str::to_owned));
    names.min().unwrap()
}

#[test]
fn what_is_no_call_and_what_is_too_small_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Golden::new(folder.path());
    assert_eq!(golden.prove(&[]).status.code(), Some(2));
    let small = folder.path().join("small.img");
    File::create(&small).unwrap().set_len(DISK - 20 * MIB).unwrap();
    let refused = golden.prove(&[text(&small)]);
    assert!(refused.status.code() == Some(1) && said(&refused).contains("too small"), "{}", said(&refused));
    let missing = golden.prove(&["/dev/no-such-disk"]);
    assert!(
        missing.status.code() == Some(1) && said(&missing).contains("/dev/no-such-disk"),
        "{}",
        said(&missing)
    );
}
