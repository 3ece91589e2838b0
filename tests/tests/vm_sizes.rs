//! One system for disks of other sizes, on whole machines: grown onto a disk of 10 GiB, and made smaller on the server for one
//! of 4 GiB, where its file systems also get ids of their own. Both start, and are looked at from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of loop tests fail the test")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::loop_deploy::{output, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::vm::console::{self, Event, Happening};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::{Hardware, Kernel, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Room, SERVER};
use ezio_tests::vm::server::{Dhcp, Server, Settings};
use ezio_tests::{mounts, programs};

const GIB: u64 = 1 << 30;
const SECTOR: u64 = 512;
/// What the golden system says when it runs.
const MARKER: &str = "EZIO-RUNNING ";
/// From one sign of life to the next, where machines share a slow computer without KVM.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Numbers of the golden disk's partitions.
const ESP: usize = 2;
const ROOT: usize = 3;
const SWAP: usize = 4;

/// Where a partition is on a disk file, by sfdisk.
fn place(disk: &Path, number: usize) -> (u64, u64) {
    let table: serde_json::Value =
        serde_json::from_str(&output("/usr/sbin/sfdisk", &["--json", text(disk)])).unwrap();
    let partition = &table["partitiontable"]["partitions"][number - 1];
    let bytes = |key: &str| partition[key].as_u64().unwrap() * SECTOR;
    (bytes("start"), bytes("size"))
}

fn on_loop(disk: &Path, number: usize) -> Loop {
    let (start, size) = place(disk, number);
    Loop::new(disk, start, size).unwrap()
}

fn blkid(disk: &Path, number: usize) -> String {
    let device = on_loop(disk, number);
    output("/usr/sbin/blkid", &["-p", "-o", "value", "-s", "UUID", &device.0]).trim().to_owned()
}

/// The golden system as it would be on a disk of 10 GiB that is used, made by others' tools; the checksums of its root no
/// longer begin with its id.
fn large_disk(folder: &Path, golden: &Path) -> PathBuf {
    let disk = folder.join("large.img");
    let builder = programs::find("image-builder").unwrap();
    output(text(&builder), &["export", text(golden), "--raw", text(&disk)]);
    let swap = blkid(&disk, SWAP);
    File::options().write(true).open(&disk).unwrap().set_len(10 * GIB).unwrap();
    let (start, _) = place(&disk, ROOT);
    let root = format!("3:{}:+9500M", start / SECTOR);
    let table = ["-e", "-d", "3", "-d", "4", "-n", &root, "-t", "3:8304", "-n", "4:0:+256M", "-t", "4:8200"];
    output("/usr/sbin/sgdisk", &[&table[..], &[text(&disk)]].concat());
    let root = on_loop(&disk, ROOT);
    output("/usr/sbin/e2fsck", &["-f", "-p", &root.0]);
    output("/usr/sbin/resize2fs", &[&root.0]);
    output("/usr/sbin/tune2fs", &["-O", "metadata_csum_seed", &root.0]);
    output("/usr/sbin/mkswap", &["-U", &swap, &on_loop(&disk, SWAP).0]);
    disk
}

/// The image of that, made smaller.
fn small_image(folder: &Path, golden: &Path) -> PathBuf {
    let disk = large_disk(folder, golden);
    let builder = programs::find("image-builder").unwrap();
    let (large, small) = (folder.join("large"), folder.join("small"));
    output(text(&builder), &["capture", "--no-progress", text(&disk), "-o", text(&large)]);
    let shrink = ["shrink", "--no-progress", text(&large), "-o", text(&small), "--partition", "sda3"];
    output(text(&builder), &[&shrink[..], &["--to", "3GiB"]].concat());
    small
}

/// A machine whose kernel QEMU starts by itself: how firmware finds the network is not what this is about.
fn machine(number: u8, folder: &Path, disk_size: u64) -> Result<Hardware> {
    let mut hardware = Hardware::usual(number, Firmware::Bios, folder, disk_size);
    hardware.kernel = Some(Kernel {
        netboot: material::netboot()?,
        command_line: format!(
            "console=tty0 console=ttyS0,115200 no_timer_check ezio.conf=http://{SERVER}:8080/ezio.conf"
        ),
    });
    Ok(hardware)
}

/// A machine that is on, and its events.
type On = (Machine, Receiver<Event>);

fn power_on(hardware: Hardware, room: &Room, folder: &Path) -> Result<On> {
    let (sender, events) = mpsc::channel();
    Ok((Machine::power_on(0, hardware, &room.socket()?, folder, sender)?, events))
}

/// Waits until it says this; it may go off only when nothing is wanted.
fn wait_for((machine, events): &On, wanted: Option<&str>) -> Result<String> {
    let event = console::wait_for(events, TIMEOUT, |event| match &event.what {
        Happening::Line(line) => {
            line.contains("ezio: failed") || wanted.is_some_and(|wanted| line.contains(wanted))
        }
        Happening::Off => true,
    });
    match (event.with_context(|| machine.autopsy())?.what, wanted) {
        (Happening::Off, None) => Ok(String::new()),
        (Happening::Line(line), Some(wanted)) if line.contains(wanted) => Ok(line),
        (other, _) => anyhow::bail!("{other:?}, not {wanted:?}\n{}", machine.autopsy()),
    }
}

/// The same machine, from its own disk.
fn restarted((machine, _): On, firmware: Firmware, room: &Room, folder: &Path) -> Result<On> {
    let mut hardware = machine.hardware.clone();
    drop(machine);
    hardware.firmware = firmware;
    hardware.kernel = None;
    hardware.network_boot = false;
    power_on(hardware, room, folder)
}

/// Its system runs, with all that its fstab names.
fn ensure_runs(on: On, firmware: &str) -> Result<PathBuf> {
    let marker = wait_for(&on, Some(MARKER))?;
    let words = [format!("firmware={firmware}"), "esp=mounted".to_owned()];
    let all = words.iter().all(|word| marker.contains(word.as_str()));
    ensure!(all && !marker.contains("swap=none"), "{marker}");
    Ok(on.0.hardware.disks.first().context("a disk")?.file.clone())
}

/// The table is sound and ends where the disk does, and so is the root; gives the bytes of its file system.
fn looked_at(folder: &Path, disk: &Path) -> Result<u64> {
    let verified = output("/usr/sbin/sfdisk", &["--verify", text(disk)]);
    ensure!(verified.contains("No errors detected"), "{verified}");
    let verified = output("/usr/sbin/sgdisk", &["--verify", text(disk)]);
    ensure!(verified.contains("No problems found"), "{verified}");
    let root = on_loop(disk, ROOT);
    // It was switched off: the kernel puts right what was under way.
    let mount = folder.join("mount");
    std::fs::create_dir_all(&mount)?;
    output("/usr/bin/mount", &[&root.0, text(&mount)]);
    output("/usr/bin/umount", &[text(&mount)]);
    output("/usr/sbin/e2fsck", &["-f", "-n", &root.0]);
    let said = output("/usr/sbin/dumpe2fs", &["-h", &root.0]);
    let number = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    Ok(number("Block count:") * number("Block size:"))
}

#[test]
fn a_system_runs_from_a_larger_and_from_a_smaller_disk() -> Result<()> {
    programs::need_root()?;
    programs::need(&["sfdisk", "sgdisk", "resize2fs", "blkid", "partclone.ext4", "losetup"])?;
    mounts::keep_private()?;
    let folder = tempfile::tempdir()?;
    let golden = material::golden_image()?;
    let small = small_image(folder.path(), &golden);
    let (large, little) = (machine(81, folder.path(), 10 * GIB)?, machine(82, folder.path(), 4 * GIB)?);
    let conf = format!(
        "end = \"poweroff\"\non-error = \"hold\"\nseed = \"none\"\n\n\
         [[machine]]\nmatch.mac = \"{}\"\nimage = \"golden\"\ngrow = \"last\"\n\n\
         [[machine]]\nmatch.mac = \"{}\"\nimage = \"small\"\nidentity.regenerate = [\"disk-guid\", \"fs-uuid\"]\n",
        large.mac, little.mac
    );
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let server = Server::start(&Settings {
        program: programs::find("ezio-pxe")?,
        images: vec![golden, small],
        netboot: vec![material::netboot()?],
        folder: folder.path().join("server"),
        conf,
        append: String::new(),
        dhcp: Dhcp::Full,
    })?;
    let deploying = (power_on(large, &room, folder.path())?, power_on(little, &room, folder.path())?);
    wait_for(&deploying.0, None).with_context(|| server.log_tail(30))?;
    wait_for(&deploying.1, None).with_context(|| server.log_tail(30))?;
    let large = restarted(deploying.0, Firmware::Bios, &room, folder.path())?;
    let little = restarted(deploying.1, Firmware::Uefi, &room, folder.path())?;
    let (large, little) = (ensure_runs(large, "bios")?, ensure_runs(little, "uefi")?);

    let size = looked_at(folder.path(), &large)?;
    ensure!(size > 10 * GIB - GIB / 2, "the root has {size} bytes");
    let size = looked_at(folder.path(), &little)?;
    ensure!(size <= 3 * GIB && size > 2 * GIB, "the root has {size} bytes");
    for number in [ESP, ROOT, SWAP] {
        ensure!(blkid(&large, number) != blkid(&little, number), "partition {number} has the id of its twin");
    }
    Ok(())
}
