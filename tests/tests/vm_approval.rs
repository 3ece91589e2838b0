//! A disk that somebody uses, in a machine that boots from the network: it stays as it is until an operator gives it up on the page.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of loop tests fail the test")]

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::browser::Scripts;
use ezio_tests::loop_deploy::{ntfs_disk, output, text};
use ezio_tests::vm::console::{self, Happening};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::fleet::Member;
use ezio_tests::vm::machine::{Hardware, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::Room;
use ezio_tests::vm::server::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
/// Where the NTFS begins on the disk, and its length, in bytes.
const NTFS: (u64, u64) = (MIB, 150 * MIB);
/// From power-on to the question, and from the approval to the end.
const TIMEOUT: Duration = Duration::from_secs(900);

/// A disk with an NTFS, and a file on it.
fn disk_in_use(disk: &Path, size: u64, folder: &Path) {
    let device = ntfs_disk(disk, size, NTFS, "Daten", &folder.join("table"));
    let letter = folder.join("letter");
    fs::write(&letter, "Dear all,\n".repeat(100_000)).unwrap();
    output("ntfscp", &["--quiet", &device.0, text(&letter), "letter"]);
}

#[test]
fn a_disk_in_use_survives_a_network_boot_until_it_is_approved() -> Result<()> {
    programs::need_root()?;
    programs::need(&["mkntfs", "ntfscp", "qemu-img", "sfdisk"])?;
    mounts::keep_private()?;
    let folder = tempfile::tempdir()?;
    let scripts = Scripts::install()?;
    let image = material::small_image()?;
    let hardware = Hardware::usual(71, Firmware::Bios, folder.path(), 160 * MIB);
    let disk = hardware.disks.first().context("a disk")?.file.clone();
    disk_in_use(&disk, 160 * MIB, folder.path());
    let before = folder.path().join("before");
    fs::copy(&disk, &before)?;

    let _turn = material::turn()?;
    let room = Room::enter()?;
    let conf = "image = \"small-amd64\"\nend = \"poweroff\"\nseed = \"none\"\n";
    let mut server = Server::of_image(image, &material::netboot()?, folder.path(), conf)?;
    let (sender, events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?;
    let uuid = machine.hardware.uuid.clone();
    let waits = |member: &&Member| member.state == "waiting";
    let member = server
        .wait_for(TIMEOUT, |fleet| Ok(fleet.member(&uuid).filter(waits).cloned()))
        .with_context(|| machine.autopsy())?;
    ensure!(member.waiting_for.iter().any(|line| line.contains("NTFS \"Daten\"")), "{member:?}");
    says(&events, &machine, "ezio-pxe approve")?;
    let screen = machine.console.tail(60).join("\n");
    ensure!(screen.contains("NTFS \"Daten\""), "the screen does not say what is on the disk:\n{screen}");
    output("qemu-img", &["compare", "-f", "raw", "-F", "raw", text(&before), text(&disk)]);

    // Somebody restarts it on the page: it comes back, asks once more, and is approved there.
    scripts.run("approve.test.mjs", &server.state, &[]).with_context(|| machine.autopsy())?;
    says(&events, &machine, "somebody ended this run")?;
    says(&events, &machine, "ezio-pxe approve")?;
    says(&events, &machine, "done: the server knows")?;
    let fleet = server.fleet()?;
    ensure!(fleet.member(&uuid).is_some_and(|member| member.state == "done"), "{fleet:#?}");
    console::wait_for(&events, TIMEOUT, |event| event.what == Happening::Off)
        .with_context(|| machine.autopsy())?;
    let table = |disk: &Path| output("sfdisk", &["--json", text(disk)]);
    let deployed: serde_json::Value = serde_json::from_str(&table(&disk))?;
    let golden: serde_json::Value = serde_json::from_str(&table(&material::small_disk()?))?;
    let id = |table: &serde_json::Value| table.pointer("/partitiontable/id").cloned();
    ensure!(id(&deployed).is_some() && id(&deployed) == id(&golden), "{deployed}");
    Ok(())
}

/// Waits for a line of the machine.
fn says(events: &mpsc::Receiver<console::Event>, machine: &Machine, wanted: &str) -> Result<()> {
    let said = |event: &console::Event| matches!(&event.what, Happening::Line(line) if line.contains(wanted));
    console::wait_for(events, TIMEOUT, said)
        .with_context(|| format!("no {wanted:?}\n{}", machine.autopsy()))
        .map(drop)
}
