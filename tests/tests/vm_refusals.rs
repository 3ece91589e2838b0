//! What a machine must refuse, on whole machines: in doubt no disk is touched, and nobody waits in silence.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_contract::{netboot, parameters, ports, urls};
use ezio_tests::programs;
use ezio_tests::vm::console::{self, Event, Happening};
use ezio_tests::vm::devices::Bus;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::fleet::Member;
use ezio_tests::vm::machine::{Disk, Hardware, Kernel, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Room, SERVER};
use ezio_tests::vm::server::Server;

/// From power-on to a refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(600);
/// Init asks an absent server for a while before it gives up.
const ABSENT_SERVER_TIMEOUT: Duration = Duration::from_secs(600);

/// A machine whose kernel QEMU starts by itself, for what is not about network boot.
fn machine(number: u8, folder: &Path, disk_size: u64, arguments: &str) -> Result<Hardware> {
    let mut hardware = Hardware::usual(number, Firmware::Bios, folder, disk_size);
    hardware.name = format!("refusal-{number}");
    let boot_card = hardware.mac.replace(':', "-");
    hardware.kernel = Some(Kernel {
        netboot: material::netboot()?,
        command_line: format!("console=tty0 console=ttyS0,115200 BOOTIF=01-{boot_card} {arguments}"),
    });
    Ok(hardware)
}

fn ezio_conf() -> String {
    format!("{}=http://{SERVER}:{}/{}", parameters::CONF, ports::HTTP, urls::CONF)
}

/// Nothing was ever written to a disk file that has no blocks.
fn ensure_untouched(hardware: &Hardware) -> Result<()> {
    for disk in &hardware.disks {
        let blocks =
            disk.file.metadata().with_context(|| format!("looking at {}", disk.file.display()))?.blocks();
        ensure!(blocks == 0, "{} was written to", disk.file.display());
    }
    Ok(())
}

/// Starts `hardware` alone in a room, waits for its refusal, and checks that it says all of `reasons`, to the server
/// and on its own screen, and that it wrote nothing.
fn ensure_refused(hardware: Hardware, folder: &Path, conf: &str, reasons: &[&str]) -> Result<()> {
    ensure_refused_by(hardware, folder, &material::netboot()?, conf, reasons)
}

/// The same with a server whose network boot files are those of `netboot`.
fn ensure_refused_by(
    hardware: Hardware,
    folder: &Path,
    netboot: &Path,
    conf: &str,
    reasons: &[&str],
) -> Result<()> {
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::of_golden_with(netboot, folder, conf)?;
    let (sender, events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder, sender)?;
    let uuid = machine.hardware.uuid.clone();
    let member = server
        .wait_for(REFUSAL_TIMEOUT, |fleet| {
            let off = events.try_iter().any(|event| event.what == Happening::Off);
            ensure!(!off, "the machine went off");
            Ok(fleet.member(&uuid).filter(|member| member.state == "failed").cloned())
        })
        .with_context(|| machine.autopsy())?;
    let error = member.error.context("failed without a reason")?;
    println!("refused in step {:?}: {error}; next: {:?}", member.failed_step, member.next);
    let screen = machine.console.tail(60).join("\n");
    for reason in reasons {
        ensure!(error.contains(reason), "the server was not told {reason:?} but {error:?}");
        ensure!(screen.contains(reason), "the screen does not say {reason:?}:\n{screen}");
    }
    // It holds, and can be reached.
    let mut power_off = Command::new(programs::find("ezio-pxe")?);
    let told = power_off.args(["poweroff", &uuid, "--state"]).arg(&server.state).status()?;
    ensure!(told.success(), "ezio-pxe poweroff: {told}");
    console::wait_for(&events, REFUSAL_TIMEOUT, |event| event.what == Happening::Off)
        .with_context(|| machine.autopsy())?;
    ensure_untouched(&machine.hardware)
}

#[test]
fn two_disks_that_match_are_one_too_many() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let size = material::smallest_disk(&material::golden_image()?)? + (512 << 20);
    let mut hardware = machine(21, folder.path(), size, &ezio_conf())?;
    let file = folder.path().join("second.disk");
    hardware.disks.push(Disk {
        file,
        size,
        block_size: 512,
        bus: Bus::Sata,
        serial: "EZIOSECOND".to_owned(),
        warnings: 0,
    });
    let conf = "image = \"golden\"\non-error = \"hold\"\n";
    ensure_refused(hardware, folder.path(), conf, &["/dev/sda", "/dev/sdb"])
}

#[test]
#[ignore = "soak: a start of a machine for what loop devices show as well"]
fn a_rule_that_no_disk_matches_leaves_all_alone() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let size = material::smallest_disk(&material::golden_image()?)? + (512 << 20);
    let hardware = machine(22, folder.path(), size, &ezio_conf())?;
    let conf = "image = \"golden\"\non-error = \"hold\"\n\n[disk]\nserial = \"ANOTHER\"\n";
    ensure_refused(hardware, folder.path(), conf, &["/dev/sda", "EZIODISK22"])
}

#[test]
#[ignore = "soak: a start of a machine for what loop devices show as well"]
fn a_disk_that_is_too_small_is_told_by_how_much() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let size = material::smallest_disk(&material::golden_image()?)?;
    let missing = 300 << 20;
    let hardware = machine(23, folder.path(), size - missing, &ezio_conf())?;
    let conf = "image = \"golden\"\non-error = \"hold\"\n";
    ensure_refused(hardware, folder.path(), conf, &["/dev/sda", "too small", "300"])
}

/// Drivers of disks are fetched. The machines above have found theirs; this one's server has none.
#[test]
fn a_controller_whose_driver_cannot_be_fetched_is_named() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let bare = folder.path().join("bare");
    let kept = [netboot::KERNEL, netboot::INITRD];
    material::netboot_with(&bare, |name, usual| kept.contains(&name).then_some(usual))?;
    let hardware = machine(27, folder.path(), 1 << 30, &ezio_conf())?;
    let conf = "image = \"golden\"\non-error = \"hold\"\n";
    let reasons =
        ["no driver for pci:v00008086d00002922", "/boot/amd64/modules/ahci.ko", "no such file on the server"];
    ensure_refused_by(hardware, folder.path(), &bare, conf, &reasons)
}

#[test]
fn without_a_server_it_says_so_and_takes_the_end_it_was_given() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    // A server that gives addresses and is silent on the port that the command line names.
    let arguments = format!("ezio.conf=http://{SERVER}:8089/ezio.conf ezio.end=poweroff");
    let hardware = machine(24, folder.path(), 1 << 30, &arguments)?;
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let _server = Server::of_golden(folder.path(), "image = \"golden\"\n")?;
    let (sender, events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?;
    let lines = lines_until_off(&events).with_context(|| machine.autopsy())?;
    let screen = lines.join("\n");
    for expected in [format!("{SERVER}:8089"), "refused".to_owned()] {
        ensure!(screen.contains(&expected), "the screen does not say {expected:?}:\n{screen}");
    }
    ensure_untouched(&machine.hardware)
}

/// A worker that is gone in the middle of its work (here by a hook; a bug or the lack of memory would do) is a failure
/// like others: on the screen, at the server, with the end that the orders name. Here that is a shell.
#[test]
fn a_crash_of_the_worker_is_told_and_ends_in_the_shell_that_was_ordered() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let size = material::smallest_disk(&material::golden_image()?)?;
    let hardware = machine(25, folder.path(), size, &ezio_conf())?;
    let conf = "image = \"golden\"\non-error = \"shell\"\n\n[hooks]\nbefore = [\"kill -KILL $PPID\"]\n";
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::of_golden(folder.path(), conf)?;
    let (sender, events) = mpsc::channel();
    let mut machine = Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?;
    line_with(&events, "ended by SIGKILL").with_context(|| machine.autopsy())?;
    line_with(&events, "next: shell").with_context(|| machine.autopsy())?;
    let uuid = machine.hardware.uuid.clone();
    let member = server.wait_for(REFUSAL_TIMEOUT, |fleet| {
        Ok(fleet.member(&uuid).filter(|member| member.state == "failed").cloned())
    })?;
    ensure!(member.error.as_deref().is_some_and(|error| error.contains("SIGKILL")), "{member:?}");
    ensure!(member.next.as_deref() == Some("shell"), "{member:?}");

    line_with(&events, "a shell").with_context(|| machine.autopsy())?;
    // What is typed is seen as well: only the answer holds the sum.
    machine.type_line("echo $((40 + 2)) of $(find /init)")?;
    line_with(&events, "42 of /init").with_context(|| machine.autopsy())?;
    machine.type_line("exit")?;
    line_with(&events, "Linux version ").with_context(|| machine.autopsy())?;
    ensure_untouched(&machine.hardware)
}

/// Without the server's cable it says what it misses, and goes on when the cable is put in; and so again in the middle, where
/// it has parts of pieces, and at full rate.
#[test]
fn a_cable_that_is_put_in_late_and_pulled_once_more_only_delays_the_deployment() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir()?;
    let size = material::smallest_disk(&material::golden_image()?)?;
    let arguments = format!("{} ip=10.77.0.60::{SERVER}:255.255.255.0", ezio_conf());
    let hardware = machine(26, folder.path(), size, &arguments)?;
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::of_golden(folder.path(), "image = \"golden\"\nend = \"poweroff\"\n")?;
    let (sender, events) = mpsc::channel();
    let socket = room.socket()?;
    room.set_server_reachable(false)?;
    let machine = Machine::power_on(0, hardware, &socket, folder.path(), sender)?;
    line_with(&events, "trying again").with_context(|| machine.autopsy())?;
    room.set_server_reachable(true)?;

    let uuid = machine.hardware.uuid.clone();
    let begun = |member: &&Member| member.progress.done_bytes > 32 << 20;
    server
        .wait_for(REFUSAL_TIMEOUT, |fleet| Ok(fleet.member(&uuid).filter(begun).map(|_| ())))
        .with_context(|| machine.autopsy())?;
    room.set_server_reachable(false)?;
    line_with(&events, "nothing has arrived for").with_context(|| machine.autopsy())?;
    room.set_server_reachable(true)?;
    let lines = lines_until_off(&events).with_context(|| machine.autopsy())?;
    ensure!(lines.iter().any(|line| line.contains("done: the server knows")), "{lines:#?}");
    let fleet = server.fleet()?;
    ensure!(fleet.member(&uuid).is_some_and(|member| member.state == "done"), "{fleet:#?}");
    Ok(())
}

fn line_with(events: &Receiver<Event>, text: &str) -> Result<()> {
    console::wait_for(
        events,
        REFUSAL_TIMEOUT,
        |event| matches!(&event.what, Happening::Line(line) if line.contains(text)),
    )
    .with_context(|| format!("no line with {text:?}"))?;
    Ok(())
}

fn lines_until_off(events: &Receiver<Event>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    console::wait_for(events, ABSENT_SERVER_TIMEOUT, |event| match &event.what {
        Happening::Line(line) => {
            lines.push(line.clone());
            false
        }
        Happening::Off => true,
    })?;
    Ok(lines)
}
