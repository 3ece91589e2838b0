//! A room of blank virtual machines, deployed over a private network: what `make classroom` runs.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use ezio_tests::classroom::{Plan, run, table};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::Hardware;
use ezio_tests::vm::room::Room;
use ezio_tests::vm::server::{Dhcp, Settings};
use ezio_tests::vm::{material, stick};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Blank machines get this much more disk than the image needs, as rooms rarely have the golden disk's size.
const MORE_DISK: u64 = 512 << 20;
/// What the golden system says when it is up, and what any other is expected to.
const GOLDEN_MARKER: &str = "EZIO-RUNNING ";
const ANY_MARKER: &str = "login:";
/// The word for a room without network boot.
const STICK: &str = "stick";

/// Deploys an image to a room of blank virtual machines, from power-on to the running system.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many machines
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    clients: u8,
    /// bios, uefi, secureboot, secureboot2023, httpboot, arm64, stick (no network boot, Secure Boot, a stick behind each
    /// disk), or mixed: one of the first three in turn
    #[arg(long, default_value = "mixed")]
    firmware: String,
    /// Image directory
    #[arg(long)]
    image: PathBuf,
    /// Folder with the network boot files
    #[arg(long)]
    netboot: PathBuf,
    /// Folder with the programs
    #[arg(long)]
    programs: PathBuf,
    /// Folder for the machines' disks and logs; emptied first
    #[arg(long)]
    folder: PathBuf,
    /// What the deployed system writes on its serial port when it is up
    #[arg(long)]
    marker: Option<String>,
    /// Longest time, in minutes
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

fn main() -> ExitCode {
    match classroom(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("classroom: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn classroom(arguments: &Arguments) -> Result<bool> {
    let plan = plan(arguments)?;
    let _turn = material::turn()?;
    let room = Room::enter()?;
    println!("classroom: {} blank machines, logs in {}", plan.hardware.len(), plan.folder.display());
    let outcome = run(&plan, &room)?;
    println!("\n{}", table(&outcome.seats));
    let Some(failure) = outcome.failure else {
        for seat in &outcome.seats {
            println!("{}: {}", seat.machine.hardware.name, seat.marker.as_deref().unwrap_or_default());
        }
        let disks: Vec<PathBuf> =
            plan.hardware.iter().flat_map(|h| &h.disks).map(|d| d.file.clone()).collect();
        drop(outcome.seats);
        remove_disks(&disks)?;
        println!("classroom: all {} machines run from their own disks", plan.hardware.len());
        return Ok(true);
    };
    println!("{}", outcome.server.log_tail(30));
    println!("classroom: FAILED: {failure}");
    Ok(false)
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let image = absolute(&arguments.image)?;
    let name = image.file_name().and_then(|name| name.to_str()).context("the image directory has no name")?;
    let disk_size = (material::smallest_disk(&image)? + MORE_DISK).next_multiple_of(1 << 20);
    empty(&arguments.folder)?;
    let folder = absolute(&arguments.folder)?;
    let firmware = firmwares(&arguments.firmware)?;
    let hardware = (0..arguments.clients)
        .map(|number| {
            let firmware = firmware[usize::from(number) % firmware.len()];
            let usual = Hardware::usual(number + 1, firmware, &folder, disk_size);
            if arguments.firmware == STICK { with_stick(usual, &folder) } else { Ok(usual) }
        })
        .collect::<Result<_>>()?;
    let golden = ["golden", "small-arm64"].contains(&name);
    let server = Settings {
        program: absolute(&arguments.programs)?.join("ezio-pxe"),
        netboot: vec![absolute(&arguments.netboot)?],
        folder: folder.join("server"),
        conf: format!(
            "image = \"{name}\"\nend = \"reboot\"\non-error = \"hold\"\n\n[seed]\nuntil-released = true\n"
        ),
        append: if firmware.contains(&Firmware::Arm64) { "console=ttyAMA0" } else { "" }.to_owned(),
        dhcp: Dhcp::Full,
        images: vec![image.clone()],
    };
    let usual_marker = if golden { GOLDEN_MARKER } else { ANY_MARKER };
    Ok(Plan {
        hardware,
        server,
        folder,
        marker: arguments.marker.clone().unwrap_or_else(|| usual_marker.to_owned()),
        timeout: Duration::from_secs(60 * arguments.timeout),
        quiet: false,
    })
}

fn firmwares(word: &str) -> Result<Vec<Firmware>> {
    match word {
        "mixed" => Ok(Firmware::MIXED.to_vec()),
        STICK => Ok(vec![Firmware::SecureBoot]),
        _ => Ok(vec![word.parse()?]),
    }
}

/// The same machine without network boot; its stick is what the firmware tries when the disk is blank.
fn with_stick(mut hardware: Hardware, folder: &Path) -> Result<Hardware> {
    hardware.network_boot = false;
    hardware.disks.push(stick::prepare(folder, &hardware.name, &[stick::SPEAK_ON_SERIAL])?);
    Ok(hardware)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("looking for {}", path.display()))
}

/// Empties a folder that an earlier run left, and nothing else.
fn empty(folder: &Path) -> Result<()> {
    const SIGN: &str = ".ezio-classroom";
    if folder.exists() {
        let is_empty =
            folder.read_dir().with_context(|| format!("reading {}", folder.display()))?.next().is_none();
        ensure!(is_empty || folder.join(SIGN).exists(), "{} is not a classroom's folder", folder.display());
        std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(folder.join(SIGN), "").with_context(|| format!("writing to {}", folder.display()))
}

fn remove_disks(disks: &[PathBuf]) -> Result<()> {
    for disk in disks {
        if let Err(error) = std::fs::remove_file(disk) {
            bail!("removing {}: {error}", disk.display());
        }
    }
    Ok(())
}
