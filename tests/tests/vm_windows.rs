//! An NTFS that looks like an installed Windows, on a whole machine: each gets its answer file, its domain join and its drivers, through
//! the kernel's own driver; looked at with ntfs-3g's tools afterwards. What Setup makes of them only Windows can show.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of loop tests fail the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::loop_deploy::{ntfs_disk, output, text};
use ezio_tests::loop_device::Loop;
use ezio_tests::vm::console::Happening;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::{Hardware, Kernel, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Room, SERVER};
use ezio_tests::vm::server::Server;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
/// Where the NTFS begins on the disk, and its length, in bytes.
const NTFS: (u64, u64) = (MIB, 40 * MIB);
/// From power-on to the last report.
const TIMEOUT: Duration = Duration::from_secs(900);
const JOIN: &str = "ARAIAMzMzMyYBgAA";

/// An image of a disk with an NTFS that has the folders of an installed Windows.
fn windows_image(folder: &Path) -> PathBuf {
    let disk = folder.join("windows.img");
    let device = ntfs_disk(&disk, 48 * MIB, NTFS, "", &folder.join("table"));
    let files = folder.join("files");
    fs::create_dir(&files).unwrap();
    output("ntfs-3g", &[&device.0, text(&files)]);
    fs::create_dir_all(files.join("Windows/System32")).unwrap();
    fs::create_dir_all(files.join("Windows/Panther")).unwrap();
    fs::write(files.join("Windows/Panther/unattend.xml"), "<of-the-golden-machine/>").unwrap();
    output("umount", &[text(&files)]);
    drop(device);
    let image = folder.join("windows");
    output(text(&programs::find("image-builder").unwrap()), &["capture", text(&disk), "-o", text(&image)]);
    image
}

/// The files beside the conf; the join is as djoin writes it.
fn prepare_server_folder(folder: &Path, serial: &str) {
    let server = folder.join("server");
    fs::create_dir_all(server.join("join")).unwrap();
    let template = "<ComputerName>{{hostname}}</ComputerName><Load>{{join-file}}</Load>\
                    <Path>{{drivers}}</Path>";
    fs::write(server.join("unattend.xml"), template).unwrap();
    // One for its model, as SMBIOS names it, and one for another.
    for model in ["Classroom PC", "Other PC"] {
        fs::create_dir_all(server.join("drivers").join(model).join("net")).unwrap();
        fs::write(server.join("drivers").join(model).join("net/card.sys"), driver(model)).unwrap();
    }
    fs::write(server.join(format!("join/{serial}.txt")), utf16(JOIN)).unwrap();
}

/// More than comes at a time.
fn driver(model: &str) -> Vec<u8> {
    model.repeat(150_000).into_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16()).chain(std::iter::once(0));
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_windows_finds_its_answer_file_and_its_domain_join() -> Result<()> {
    programs::need_root()?;
    programs::need(&["mkntfs", "ntfs-3g", "ntfscat", "partclone.ntfs", "sfdisk"])?;
    mounts::keep_private()?;
    let folder = tempfile::tempdir()?;
    let image = windows_image(folder.path());
    let mut hardware = Hardware::usual(70, Firmware::Bios, folder.path(), 64 * MIB);
    hardware.kernel = Some(Kernel {
        netboot: material::netboot()?,
        command_line: format!("console=tty0 console=ttyS0,115200 ezio.conf=http://{SERVER}:8080/ezio.conf"),
    });
    let conf = "image = \"windows\"\nend = \"poweroff\"\nseed = \"none\"\n[identity]\nhostname = \"pc-{{counter}}\"\n\
                [windows]\nunattend = \"unattend.xml\"\njoin = \"join/{{serial}}.txt\"\ndrivers = \"drivers\"\n";
    prepare_server_folder(folder.path(), &hardware.serial);
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::of_image(image, &material::netboot()?, folder.path(), conf)?;
    let (sender, events) = mpsc::channel();
    let machine = Machine::power_on(0, hardware, &room.socket()?, folder.path(), sender)?;
    let uuid = machine.hardware.uuid.clone();
    let done = server.wait_for(TIMEOUT, |fleet| {
        let failed = events
            .try_iter()
            .find(|event| matches!(&event.what, Happening::Line(line) if line.contains("ezio: failed")));
        ensure!(failed.is_none(), "{failed:?}");
        Ok(fleet.member(&uuid).filter(|member| member.state == "done").cloned())
    });
    done.with_context(|| machine.autopsy())?;
    let screen = machine.console.tail(200).join("\n");
    let disk = machine.hardware.disks.first().context("a disk")?.file.clone();
    // QEMU lets go of the file.
    drop(machine);
    let device = Loop::new(&disk, NTFS.0, NTFS.1)?;
    let answer = output("ntfscat", &[&device.0, "Windows/Panther/unattend.xml"]);
    ensure!(
        answer
            == r"<ComputerName>pc-1</ComputerName><Load>C:\Windows\Panther\ezio-join.txt</Load><Path>C:\Drivers</Path>",
        "{answer}"
    );
    let join = Command::new("ntfscat").args([&device.0, "Windows/Panther/ezio-join.txt"]).output()?;
    ensure!(join.stdout == utf16(JOIN), "the domain join is {:?}", join.stdout);
    let card = Command::new("ntfscat").args([&device.0, "Drivers/Classroom PC/net/card.sys"]).output()?;
    ensure!(card.stdout == driver("Classroom PC"), "the driver has {} bytes", card.stdout.len());
    let other = Command::new("ntfscat").args([&device.0, "Drivers/Other PC/net/card.sys"]).output()?;
    ensure!(!other.status.success(), "it has the driver of another model");
    output("ntfsfix", &["--no-action", &device.0]);
    let log = server.log_tail(1000);
    ensure!(!screen.contains(JOIN) && !log.contains(JOIN), "the domain join is told:\n{screen}\n{log}");
    Ok(())
}
