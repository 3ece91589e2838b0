//! One virtual machine.

use super::console::{self, Event, Memory};
use super::devices::{self, Bus, Card};
use super::firmware::Firmware;
use super::qmp;
use anyhow::{Context, Result, bail};
use ezio_contract::netboot;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// A disk of a machine.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Its file, raw; made blank when it does not exist.
    pub file: PathBuf,
    /// Size in bytes when it is made.
    pub size: u64,
    /// Bytes a logical block.
    pub block_size: u32,
    /// How it is attached.
    pub bus: Bus,
    /// Serial number.
    pub serial: String,
    /// Of an NVMe disk: what it warns of, by the bits of its SMART log.
    pub warnings: u8,
}

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// Short name, for logs.
    pub name: String,
    /// Firmware.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// SMBIOS UUID.
    pub uuid: String,
    /// SMBIOS serial number.
    pub serial: String,
    /// SMBIOS's number for the kind of its chassis; none is QEMU's own, "other".
    pub chassis: Option<u8>,
    /// MAC address.
    pub mac: String,
    /// Network card.
    pub card: Card,
    /// Does its firmware boot from the network, before all else?
    pub network_boot: bool,
    /// A second card that no cable is in.
    pub idle_card: Option<Card>,
    /// Disks, in boot order.
    pub disks: Vec<Disk>,
    /// A kernel that QEMU starts by itself, where a test is not about network boot; BIOS only.
    pub kernel: Option<Kernel>,
}

/// A kernel that needs no boot loader.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Folder with `vmlinuz` and `initrd.img`.
    pub netboot: PathBuf,
    /// Kernel command line.
    pub command_line: String,
}

impl Hardware {
    /// A usual machine with one blank disk of `disk_size` bytes, told apart by `number` (0..=255).
    #[must_use]
    pub fn usual(number: u8, firmware: Firmware, folder: &Path, disk_size: u64) -> Self {
        let name = format!("m{number:02}-{firmware}");
        let (bus, card) = match firmware {
            Firmware::Bios => (Bus::Sata, Card::E1000e),
            Firmware::Uefi | Firmware::HttpBoot => (Bus::Nvme, Card::Virtio),
            Firmware::SecureBoot | Firmware::Arm64 => (Bus::Virtio, Card::Virtio),
            Firmware::SecureBoot2023 => (Bus::Sata, Card::Virtio),
        };
        let disk = Disk {
            file: folder.join(format!("{name}.disk")),
            size: disk_size,
            block_size: 512,
            bus,
            serial: format!("EZIODISK{number:02}"),
            warnings: 0,
        };
        Self {
            firmware,
            memory_mib: 1024,
            uuid: format!("e210c1a5-0000-4000-8000-0000000000{number:02x}"),
            serial: format!("EZIO-{number:02}"),
            chassis: None,
            mac: format!("52:54:00:e2:10:{number:02x}"),
            card,
            network_boot: true,
            idle_card: None,
            disks: vec![disk],
            kernel: None,
            name,
        }
    }
}

/// A machine that is switched on; dropping it switches it off.
#[derive(Debug)]
pub struct Machine {
    /// What it is made of.
    pub hardware: Hardware,
    /// Last lines of its serial console.
    pub console: Memory,
    /// Log of its serial console.
    pub log: PathBuf,
    qemu: Child,
    qmp_socket: PathBuf,
    folder: PathBuf,
}

impl Machine {
    /// Switches a machine on, connected to `tap`. Its events carry `index`; its files go to `folder`.
    pub fn power_on(
        index: usize,
        hardware: Hardware,
        tap: &str,
        folder: &Path,
        events: mpsc::Sender<Event>,
    ) -> Result<Self> {
        let own_folder = folder.join(&hardware.name);
        std::fs::create_dir_all(&own_folder).with_context(|| format!("creating {}", own_folder.display()))?;
        let qmp_socket = own_folder.join("qmp");
        let complaints = own_folder.join("qemu.log");
        let log = own_folder.join("serial.log");
        for disk in &hardware.disks {
            make_blank(disk)?;
        }
        // setpriv: QEMU must not outlive us, not even when we are killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", hardware.firmware.qemu()]);
        command.args(arguments(&hardware, tap, &own_folder, &qmp_socket)?);
        let mut qemu = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints).with_context(|| format!("creating {}", complaints.display()))?)
            .spawn()
            .context("starting QEMU (packages util-linux, and qemu-system-x86 or qemu-system-arm)")?;
        let serial = qemu.stdout.take().context("QEMU has no standard output")?;
        let console = console::watch(index, serial, &log, events)?;
        Ok(Self { hardware, console, log, qemu, qmp_socket, folder: own_folder })
    }

    /// Presses the reset button.
    pub fn reset(&self) -> Result<()> {
        qmp::execute(&self.qmp_socket, "system_reset", serde_json::json!({})).map(|_| ())
    }

    /// Takes out the disk with this number, as a hand does.
    pub fn pull_out(&self, number: usize) -> Result<()> {
        let disk = self.hardware.disks.get(number).context("no such disk")?;
        let device = format!("{}-{}", slot(number), disk.bus.chain().len() - 1);
        qmp::execute(&self.qmp_socket, "device_del", serde_json::json!({ "id": device })).map(|_| ())
    }

    /// Types a line on its serial port.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        let port = self.qemu.stdin.as_mut().context("QEMU has no standard input")?;
        writeln!(port, "{line}").with_context(|| format!("typing {line:?}"))
    }

    /// Saves its screen beside its logs.
    pub fn screenshot(&self) -> Result<PathBuf> {
        let picture = self.folder.join("screen.png");
        qmp::screenshot(&self.qmp_socket, &picture, "png")?;
        Ok(picture)
    }

    /// Saves it as pixels.
    pub fn pixels(&self) -> Result<PathBuf> {
        let picture = self.folder.join("screen.ppm");
        qmp::screenshot(&self.qmp_socket, &picture, "ppm")?;
        Ok(picture)
    }

    /// Presses a key of its keyboard, by QEMU's name of it.
    pub fn press(&self, key: &str) -> Result<()> {
        qmp::press(&self.qmp_socket, key)
    }

    /// All that helps to see why it failed: the end of its console, QEMU's own complaints, where its screen is.
    #[must_use]
    pub fn autopsy(&self) -> String {
        let mut text =
            format!("--- {} ({}), end of {}\n", self.hardware.name, self.hardware.mac, self.log.display());
        for line in self.console.tail(40) {
            text.push_str(&format!("  | {line}\n"));
        }
        let complaints = std::fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
        if !complaints.trim().is_empty() {
            text.push_str(&format!("  QEMU: {}\n", complaints.trim()));
        }
        match self.screenshot() {
            Ok(picture) => text.push_str(&format!("  screen: {}\n", picture.display())),
            Err(error) => text.push_str(&format!("  no screenshot: {error:#}\n")),
        }
        text
    }

    /// Cuts the power and waits for QEMU to end.
    pub fn power_off(&mut self) -> Result<()> {
        self.qemu.kill().context("ending QEMU")?;
        self.qemu.wait().context("waiting for QEMU").map(|_| ())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Nobody is left to tell; setpriv's parent-death signal is the second line.
        let _ = self.power_off();
    }
}

fn make_blank(disk: &Disk) -> Result<()> {
    if disk.file.exists() {
        return Ok(());
    }
    let file = File::create(&disk.file).with_context(|| format!("creating {}", disk.file.display()))?;
    file.set_len(disk.size).with_context(|| format!("sizing {}", disk.file.display()))
}

fn arguments(hardware: &Hardware, tap: &str, folder: &Path, qmp_socket: &Path) -> Result<Vec<String>> {
    let mut arguments = hardware.firmware.qemu_arguments(folder)?;
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add("-name", hardware.name.clone());
    add("-accel", acceleration()?);
    add("-smp", "1".into());
    add("-m", hardware.memory_mib.to_string());
    add("-smbios", smbios(hardware));
    if let Some(kind) = hardware.chassis {
        let file = folder.join("chassis");
        std::fs::write(&file, chassis(kind)).with_context(|| format!("writing {}", file.display()))?;
        add("-smbios", format!("file={}", file.display()));
    }
    add("-uuid", hardware.uuid.clone());
    add("-display", "none".into());
    add("-serial", "stdio".into());
    add("-monitor", "none".into());
    add("-qmp", format!("unix:{},server=on,wait=off", qmp_socket.display()));
    add("-device", "virtio-rng-pci".into());
    add("-netdev", format!("tap,id=net,ifname={tap},script=no,downscript=no"));
    card(hardware).into_iter().for_each(|device| add("-device", device));
    if let Some(idle) = hardware.idle_card {
        devices::options(idle.chain(), "idle", "romfile=")
            .into_iter()
            .for_each(|device| add("-device", device));
    }
    if let Some(kernel) = &hardware.kernel {
        add("-kernel", kernel.netboot.join(netboot::KERNEL).display().to_string());
        add("-initrd", kernel.netboot.join(netboot::INITRD).display().to_string());
        add("-append", kernel.command_line.clone());
    }
    for (number, disk) in hardware.disks.iter().enumerate() {
        // No flush to the host's disk: a machine's disk lives as long as the test.
        add(
            "-drive",
            format!("if=none,id=disk{number},format=raw,cache=unsafe,file={}", disk.file.display()),
        );
        disk_devices(number, disk).into_iter().for_each(|device| add("-device", device));
    }
    Ok(arguments)
}

fn smbios(hardware: &Hardware) -> String {
    let Hardware { uuid, serial, .. } = hardware;
    format!("type=1,manufacturer=ezio,product=Classroom PC,serial={serial},uuid={uuid}")
}

/// A chassis as SMBIOS describes it (structure 3 of version 2.3, without contained elements); QEMU makes none but "other".
fn chassis(kind: u8) -> Vec<u8> {
    const LENGTH: u8 = 0x15;
    const HANDLE: [u8; 2] = 0x300_u16.to_le_bytes();
    let mut structure = vec![3, LENGTH, HANDLE[0], HANDLE[1], 1, kind];
    structure.resize(LENGTH.into(), 0);
    structure.extend(b"ezio\0\0");
    structure
}

/// First in the boot order: 0 is what QEMU itself takes for a kernel that it starts.
fn card(hardware: &Hardware) -> Vec<String> {
    let rom = hardware.firmware.card_rom().map_or(String::new(), |rom| format!(",romfile={rom}"));
    let boot = if hardware.network_boot { format!(",bootindex=1{rom}") } else { ",romfile=".to_owned() };
    let properties = format!("netdev=net,mac={}{boot}", hardware.mac);
    devices::options(hardware.card.chain(), "card", &properties)
}

fn disk_devices(number: usize, disk: &Disk) -> Vec<String> {
    let mut properties = format!("drive=disk{number}");
    // An SD card knows none of these.
    if disk.bus != Bus::Sdhci {
        let Disk { serial, block_size, .. } = disk;
        properties.push_str(&format!(",serial={serial},bootindex={}", number + 2));
        properties.push_str(&format!(",logical_block_size={block_size},physical_block_size={block_size}"));
    }
    if disk.bus == Bus::Nvme {
        properties.push_str(&format!(",smart_critical_warning={}", disk.warnings));
    }
    if disk.bus == Bus::Sata {
        properties.push_str(&format!(",bus=ide.{number}"));
    }
    devices::options(disk.bus.chain(), &slot(number), &properties)
}

/// What QEMU calls the disk with this number.
fn slot(number: usize) -> String {
    format!("slot{number}")
}

/// TCG unless QEMU_ACCEL asks for another: KVM that is there but does not work would hang the guest.
fn acceleration() -> Result<String> {
    match std::env::var("QEMU_ACCEL").as_deref() {
        Err(_) | Ok("" | "tcg") => Ok("tcg".into()),
        Ok("kvm") => Ok("kvm".into()),
        Ok(other) => bail!("QEMU_ACCEL={other}: tcg or kvm"),
    }
}
