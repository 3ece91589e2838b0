//! One server for machines of two architectures: each is booted and deployed with its own, and takes no image of the other.
//! What is deployed starts without the network too.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ezio_tests::classroom::{Plan, run, table};
use ezio_tests::programs;
use ezio_tests::vm::console::{self, Event, Happening};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::{Hardware, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::Room;
use ezio_tests::vm::server::{Dhcp, Server, Settings};

/// What the small system says when it runs.
const MARKER: &str = "EZIO-RUNNING ";
/// Another processor is emulated slowly.
const TIMEOUT: Duration = Duration::from_secs(900);

/// From power-on, by the network, to their own disks, one of which starts by its boot entry alone, though its partition has
/// got another id than in the image. A third machine is told to take the image of the other architecture.
#[test]
fn one_server_boots_and_deploys_machines_of_both_architectures() -> Result<()> {
    programs::need_root()?;
    programs::need(&["qemu-system-aarch64"])?;
    let folder = tempfile::tempdir().context("making a folder for the machines")?;
    let images = vec![material::small_image_arm64()?, material::small_image()?];
    let disk_size = material::smallest_disk(&images[0])? + (64 << 20);
    let machine = |number, firmware| Hardware::usual(number, firmware, folder.path(), disk_size);
    let (arm64, amd64) = (machine(1, Firmware::Arm64), machine(2, Firmware::Uefi));
    let misled = machine(3, Firmware::Bios);
    let conf = format!(
        "image = \"small-arm64\"\non-error = \"hold\"\n\n\
         [[machine]]\nmatch.uuid = \"{}\"\nimage = \"small-amd64\"\nidentity.regenerate = [\"disk-guid\"]\n",
        amd64.uuid
    );
    let uuids = [(arm64.uuid.clone(), "aarch64"), (amd64.uuid.clone(), "x86_64")];
    let plan = Plan {
        hardware: vec![arm64, amd64],
        server: Settings {
            program: programs::find("ezio-pxe")?,
            images,
            netboot: vec![material::netboot()?, material::netboot_arm64()?],
            folder: folder.path().join("server"),
            conf,
            append: "console=ttyAMA0".to_owned(),
            dhcp: Dhcp::Full,
        },
        folder: folder.path().to_owned(),
        marker: MARKER.to_owned(),
        timeout: TIMEOUT,
        quiet: true,
    };
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let (sender, _events) = mpsc::channel();
    let misled = Machine::power_on(0, misled, &room.socket()?, folder.path(), sender)?;
    let mut outcome = run(&plan, &room)?;
    println!("{}", table(&outcome.seats));
    if let Some(failure) = &outcome.failure {
        bail!("{failure}\n{}", outcome.server.log_tail(60));
    }
    for (seat, (uuid, machine)) in outcome.seats.iter().zip(&uuids) {
        let marker = seat.marker.as_deref().context("no marker")?;
        for word in [format!("machine={machine}"), format!("uuid={uuid}")] {
            ensure!(marker.split_whitespace().any(|said| said == word), "{word} is not in {marker:?}");
        }
    }
    ensure_refused(&misled, &mut outcome.server)?;
    let seat = outcome.seats.pop().context("no second machine")?;
    ensure_starts_by_its_boot_entry(seat.machine, &room, folder.path())
}

/// Switched on again without network boot: its firmware had never heard of the disk, which has no loader where firmware
/// looks by itself.
fn ensure_starts_by_its_boot_entry(mut machine: Machine, room: &Room, folder: &Path) -> Result<()> {
    machine.power_off()?;
    let mut hardware = machine.hardware.clone();
    hardware.network_boot = false;
    let (sender, events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder, sender)?;
    let says = |event: &Event| matches!(&event.what, Happening::Line(line) if line.contains(MARKER));
    console::wait_for(&events, TIMEOUT, says).with_context(|| machine.autopsy()).map(drop)
}

/// A machine of amd64 that is told to take the image for arm64 says so, and touches nothing.
fn ensure_refused(machine: &Machine, server: &mut Server) -> Result<()> {
    let failed = server.wait_for(TIMEOUT, |fleet| {
        Ok(fleet.member(&machine.hardware.uuid).filter(|member| member.state == "failed").cloned())
    });
    let error = failed.with_context(|| machine.autopsy())?.error.context("failed without a reason")?;
    let wanted = "image \"small-arm64\" is for machines of arm64, and this is one of amd64";
    ensure!(error.contains(wanted), "{error}");
    for disk in &machine.hardware.disks {
        ensure!(disk.file.metadata()?.blocks() == 0, "{} was written to", disk.file.display());
    }
    Ok(())
}
