//! Machines without network boot, from power-on: started from a stick, by BIOS and by UEFI with Secure Boot, deployed to
//! their own disks, and running from these. The stick stays what it was.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::programs;
use ezio_tests::vm::console::{self, Event, Happening};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::fleet::Fleet;
use ezio_tests::vm::machine::{Disk, Hardware, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Room, SERVER};
use ezio_tests::vm::server::Server;
use ezio_tests::vm::stick::{self, SPEAK_ON_SERIAL};

/// What the golden system says when it runs.
const MARKER: &str = "EZIO-RUNNING ";
/// From one sign of life to the next: minutes where several machines share a slow computer without KVM.
const TIMEOUT: Duration = Duration::from_secs(900);

/// A machine whose firmware does not boot from the network.
fn machine(number: u8, firmware: Firmware, folder: &Path) -> Result<Hardware> {
    let size = material::smallest_disk(&material::golden_image()?)? + (512 << 20);
    let mut hardware = Hardware::usual(number, firmware, folder, size);
    hardware.name = format!("stick-{firmware}");
    hardware.network_boot = false;
    Ok(hardware)
}

/// A stick and what is on it.
struct Stick {
    disk: Disk,
    content: Vec<u8>,
}

impl Stick {
    fn prepare(folder: &Path, name: &str, lines: &[&str]) -> Result<Self> {
        let disk = stick::prepare(folder, name, lines)?;
        let content = fs::read(&disk.file)?;
        Ok(Self { disk, content })
    }

    fn ensure_untouched(&self) -> Result<()> {
        let file = &self.disk.file;
        ensure!(fs::read(file)? == self.content, "{} was written to", file.display());
        Ok(())
    }
}

/// Waits for a line of a machine. It may not go off meanwhile.
fn line_with(events: &Receiver<Event>, machine: &Machine, wanted: &str) -> Result<()> {
    let event = console::wait_for(events, TIMEOUT, |event| match &event.what {
        Happening::Line(line) => line.contains(wanted),
        Happening::Off => true,
    });
    let event = event.with_context(|| format!("no {wanted:?}\n{}", machine.autopsy()))?;
    ensure!(event.what != Happening::Off, "it went off before {wanted:?}\n{}", machine.autopsy());
    Ok(())
}

/// The UEFI machine's disk comes before the stick: blank it is passed over, then it starts. The other one always starts from
/// the stick, until that is taken out. One finds the server by DHCP, the other by ezio.txt.
#[test]
fn machines_are_deployed_from_a_stick_and_run_from_their_own_disks() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let last = Stick::prepare(folder.path(), "secureboot", &[SPEAK_ON_SERIAL])?;
    let mut secure = machine(41, Firmware::SecureBoot, folder.path())?;
    secure.disks.push(last.disk.clone());
    let told = format!("server = {SERVER}");
    let first = Stick::prepare(folder.path(), "bios", &["# our room", &told, SPEAK_ON_SERIAL])?;
    let mut bios = machine(42, Firmware::Bios, folder.path())?;
    bios.disks.insert(0, first.disk.clone());
    let uuids = [secure.uuid.clone(), bios.uuid.clone()];

    let _turn = material::turn()?;
    let room = Room::enter()?;
    let server = Server::of_golden(folder.path(), "image = \"golden\"\non-error = \"hold\"\n")?;
    // Each is heard by itself: they are deployed at the same time.
    let power_on = |hardware: Hardware| -> Result<(Machine, Receiver<Event>)> {
        let (sender, events) = mpsc::channel();
        Ok((Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?, events))
    };
    let (secure, secure_events) = power_on(secure)?;
    let (bios, bios_events) = power_on(bios)?;

    line_with(&bios_events, &bios, "done: the server knows")?;
    line_with(&bios_events, &bios, "this machine is done, its disk is left alone")?;
    let done = server.fleet()?;
    bios.pull_out(0)?;
    line_with(&bios_events, &bios, "the stick is out")?;
    line_with(&bios_events, &bios, MARKER)?;
    line_with(&secure_events, &secure, "done: the server knows")?;
    line_with(&secure_events, &secure, MARKER)?;

    last.ensure_untouched()?;
    first.ensure_untouched()?;
    let after = server.fleet()?;
    for uuid in &uuids {
        let state = after.member(uuid).map(|member| member.state.as_str());
        ensure!(state == Some("done"), "{uuid}: {state:?}");
    }
    let started = |fleet: &Fleet| fleet.member(&bios.hardware.uuid).and_then(|member| member.times.started);
    ensure!(started(&done).is_some() && started(&done) == started(&after), "it was deployed again");
    Ok(())
}

/// Not even where it is the only disk, and the rules would take it.
#[test]
fn the_stick_is_never_a_target() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let stick = Stick::prepare(folder.path(), "alone", &[SPEAK_ON_SERIAL])?;
    let mut hardware = machine(43, Firmware::Bios, folder.path())?;
    hardware.disks = vec![stick.disk.clone()];
    let uuid = hardware.uuid.clone();
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::of_golden(
        folder.path(),
        "image = \"golden\"\non-error = \"hold\"\n\n[disk]\nremovable = true\n",
    )?;
    let (sender, _events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?;
    let failed = server.wait_for(TIMEOUT, |fleet| {
        Ok(fleet.member(&uuid).filter(|member| member.state == "failed").cloned())
    });
    let error = failed.with_context(|| machine.autopsy())?.error.context("failed without a reason")?;
    ensure!(error.contains("is the medium that this machine was started from"), "{error}");
    stick.ensure_untouched()
}
