//! QEMU's network cards and disk controllers: through each of them a raw image comes onto a disk, and is there whole.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ezio_tests::loopback::run;
use ezio_tests::programs;
use ezio_tests::vm::console::Happening;
use ezio_tests::vm::devices::{Bus, Card};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::{Disk, Hardware, Kernel, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Room, SERVER};
use ezio_tests::vm::server::{Dhcp, Server, Settings};

const MIB: u64 = 1 << 20;
/// A few seconds of work for the slowest card (an NE2000, byte by byte).
const IMAGE_SIZE: u64 = 12 * MIB;
/// More than the image has, and a power of two, as QEMU wants SD cards.
const DISK_SIZE: u64 = 32 * MIB;
/// From power-on to the last report, where machines share a slow computer without KVM.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Machines that are on at a time: more would only slow each other down.
const AT_A_TIME: usize = 3;

/// What is tried on one machine.
struct Trial {
    card: Card,
    buses: Vec<Bus>,
    block_size: u32,
}

/// Every disk controller: one machine has all whose disks stay, one all whose disks can be taken out, and one has disks
/// of 4096-byte blocks, where QEMU makes such.
fn trials_of_disks() -> [Trial; 3] {
    let (removable, fixed) = Bus::ALL.into_iter().partition(|bus| bus.is_removable());
    let large_blocks = vec![Bus::Nvme, Bus::Virtio, Bus::VirtioScsi];
    [
        Trial { card: Card::Vmxnet3, buses: fixed, block_size: 512 },
        Trial { card: Card::UsbNet, buses: removable, block_size: 512 },
        Trial { card: Card::Rtl8139, buses: large_blocks, block_size: 4096 },
    ]
}

#[test]
fn an_image_comes_whole_onto_a_disk_at_every_controller() -> Result<()> {
    deploy(&trials_of_disks())
}

#[test]
#[ignore = "soak: one start of a machine for each card"]
fn an_image_comes_whole_through_every_other_card() -> Result<()> {
    let tried = trials_of_disks().map(|trial| trial.card);
    let others = Card::ALL.into_iter().filter(|card| !tried.contains(card));
    let trials: Vec<Trial> =
        others.map(|card| Trial { card, buses: vec![Bus::Virtio], block_size: 512 }).collect();
    deploy(&trials)
}

/// README's table names each card and each controller as QEMU does.
#[test]
fn readme_names_all_that_is_tried() -> Result<()> {
    let readme = fs::read_to_string(material::workspace().join("README.md")).context("reading README.md")?;
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let chains = Card::ALL.map(Card::chain).into_iter().chain(Bus::ALL.map(Bus::chain));
    for device in chains.flatten() {
        let name = format!("`{}`", device.split(',').next().unwrap_or_default());
        ensure!(rows.iter().any(|row| row.contains(&name)), "README has no row with {name}");
    }
    Ok(())
}

/// Deploys to all disks of all machines, and compares what is on them with the image.
fn deploy(trials: &[Trial]) -> Result<()> {
    programs::need_root()?;
    programs::need(&["losetup", "sfdisk"])?;
    let folder = tempfile::tempdir().context("making a folder for the machines")?;
    let images = [make_image(folder.path(), 512)?, make_image(folder.path(), 4096)?];
    let hardware: Vec<Hardware> = (40..)
        .zip(trials)
        .map(|(number, trial)| machine(number, trial, folder.path()))
        .collect::<Result<_>>()?;
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let mut server = Server::start(&Settings {
        program: programs::find("ezio-pxe")?,
        images: images.to_vec(),
        netboot: vec![material::netboot()?],
        folder: folder.path().join("server"),
        conf: conf(&hardware),
        append: String::new(),
        dhcp: Dhcp::Full,
    })?;
    for some in hardware.chunks(AT_A_TIME) {
        run_until_done(some, &room, &mut server, folder.path())?;
    }
    hardware.iter().try_for_each(|hardware| compare(hardware, folder.path()))
}

/// A raw image of a disk of such blocks: a partition table, and noise. Gives its directory.
fn make_image(folder: &Path, block_size: u32) -> Result<PathBuf> {
    let disk = content(folder, block_size);
    let mut word: u64 = 0x9e37_79b9_7f4a_7c15;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        // Xorshift: nothing repeats, so that no piece passes for another.
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    })
    .take(IMAGE_SIZE as usize / 8)
    .flatten()
    .collect();
    fs::write(&disk, noise).with_context(|| format!("writing {}", disk.display()))?;
    let directory = folder.join(image_name(block_size));
    let script = "device=$(losetup --find --show --sector-size \"$1\" \"$2\")\n\
        trap 'losetup --detach \"$device\"' EXIT\n\
        echo 'label: gpt' | sfdisk --quiet --no-reread --wipe always \"$device\"\n\
        \"$3\" capture --no-progress --raw \"$device\" -o \"$4\"";
    run(Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash", &block_size.to_string()])
        .arg(disk)
        .arg(programs::find("image-builder")?)
        .arg(&directory))?;
    Ok(directory)
}

fn image_name(block_size: u32) -> String {
    format!("blocks-of-{block_size}")
}

/// The file that an image was made of.
fn content(folder: &Path, block_size: u32) -> PathBuf {
    folder.join(format!("{}.disk", image_name(block_size)))
}

/// A machine whose kernel QEMU starts by itself: this is not about firmware.
fn machine(number: u8, trial: &Trial, folder: &Path) -> Result<Hardware> {
    let mut hardware = Hardware::usual(number, Firmware::Bios, folder, DISK_SIZE);
    hardware.name = format!("{:?}-{number}", trial.card);
    hardware.card = trial.card;
    // A card that cannot be used must not be in the way of one that can.
    hardware.idle_card = (trial.block_size == 4096).then_some(Card::I82551);
    hardware.disks = (0..)
        .zip(&trial.buses)
        .map(|(slot, bus): (u8, &Bus)| Disk {
            file: folder.join(format!("{}-{bus:?}.disk", hardware.name)),
            size: DISK_SIZE,
            block_size: trial.block_size,
            bus: *bus,
            serial: format!("EZIO{number}S{slot}"),
            warnings: 0,
        })
        .collect();
    hardware.kernel = Some(Kernel {
        netboot: material::netboot()?,
        command_line: format!("console=tty0 console=ttyS0,115200 ezio.conf=http://{SERVER}:8080/ezio.conf"),
    });
    Ok(hardware)
}

/// Each machine gets the image that fits its blocks, onto all its disks.
fn conf(machines: &[Hardware]) -> String {
    let mut conf = "end = \"poweroff\"\non-error = \"hold\"\nseed = \"none\"\n".to_owned();
    for hardware in machines {
        if let Some(disk) = hardware.disks.first() {
            let (image, removable) = (image_name(disk.block_size), disk.bus.is_removable());
            conf.push_str(&format!(
                "\n[[machine]]\nmatch.mac = \"{}\"\nimage = \"{image}\"\n\
                 disk = {{ all = true, removable = {removable} }}\n",
                hardware.mac
            ));
        }
    }
    conf
}

/// Switches machines on, and waits until all have reported that they are done.
fn run_until_done(machines: &[Hardware], room: &Room, server: &mut Server, folder: &Path) -> Result<()> {
    let (sender, events) = mpsc::channel();
    let start = Instant::now();
    let mut on = Vec::new();
    for (index, hardware) in machines.iter().enumerate() {
        on.push(Machine::power_on(index, hardware.clone(), &room.socket()?, folder, sender.clone())?);
    }
    let (mut done, mut off) = (HashSet::new(), HashSet::new());
    let outcome = server.wait_for(TIMEOUT, |fleet| {
        for (index, machine) in on.iter().enumerate() {
            let Hardware { name, uuid, .. } = &machine.hardware;
            let member = fleet.member(uuid);
            match member.map(|member| member.state.as_str()) {
                Some("done") => {
                    if done.insert(index) {
                        println!("{name}: done after {} s", start.elapsed().as_secs());
                    }
                }
                Some("failed") => bail!("{name}: {:?}", member.and_then(|member| member.error.as_deref())),
                // What it said before it went off, the server has heard by now.
                _ => ensure!(!off.contains(&index), "{name} went off before it was done"),
            }
        }
        for event in events.try_iter() {
            match event.what {
                Happening::Off => drop(off.insert(event.machine)),
                // Without a network the server never hears of it.
                Happening::Line(line) => ensure!(!line.contains("ezio: failed"), "{line}"),
            }
        }
        Ok((done.len() == on.len()).then_some(()))
    });
    outcome.with_context(|| on.iter().map(Machine::autopsy).collect::<String>())
}

/// Every disk of a machine begins with all of its image.
fn compare(hardware: &Hardware, folder: &Path) -> Result<()> {
    for disk in &hardware.disks {
        let wanted = read_head(&content(folder, disk.block_size))?;
        let found = read_head(&disk.file)?;
        let differs = wanted.iter().zip(&found).position(|(a, b)| a != b);
        ensure!(
            differs.is_none(),
            "{}: {} differs from byte {differs:?} on",
            hardware.name,
            disk.file.display()
        );
    }
    Ok(())
}

fn read_head(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![0; IMAGE_SIZE as usize];
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.read_exact_at(&mut bytes, 0).with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes)
}
