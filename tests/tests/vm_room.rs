//! From power-on to the deployed system, with each kind of firmware; and that a machine that is done stays so.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_contract::health::Health;
use ezio_contract::inventory::InventoryDisk;
use ezio_contract::netboot;
use ezio_tests::browser::Scripts;
use ezio_tests::classroom::{Outcome, Plan, Seat, Step, run, table};
use ezio_tests::programs;
use ezio_tests::vm::console::{self, Happening};
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::Hardware;
use ezio_tests::vm::material;
use ezio_tests::vm::room::Room;
use ezio_tests::vm::server::{Dhcp, Settings};
use serde_json::Value;

/// The clones get names that the server counts.
const CONF: &str = "image = \"golden\"\non-error = \"hold\"\n[identity]\nhostname = \"lab-{{counter:2}}\"\nmachine-id = true\n";
const MARKER: &str = "EZIO-RUNNING ";
/// Of each firmware one, with what SMBIOS says of its chassis: desktop, nothing, notebook, and a rack.
const MACHINES: [(Firmware, Option<u8>); 4] = [
    (Firmware::Bios, Some(3)),
    (Firmware::Uefi, None),
    (Firmware::SecureBoot, Some(10)),
    (Firmware::HttpBoot, Some(23)),
];
/// The machine whose disk, which is an NVMe, warns that it is failing.
const FAILING: Firmware = Firmware::Uefi;
/// Bit of an NVMe's SMART log.
const UNRELIABLE: u8 = 1 << 2;
/// What the golden system says before its marker, and then what smartctl says, in JSON.
const SMART: &str = "EZIO-SMART ";
/// From power-on to the last running system: minutes where several machines share a slow computer without KVM.
const ROOM_TIMEOUT: Duration = Duration::from_secs(900);
/// From reset to the running system.
const RESTART_TIMEOUT: Duration = Duration::from_secs(900);

#[test]
fn blank_machines_run_the_golden_system_and_are_not_deployed_again() -> Result<()> {
    programs::need_root()?;
    let scripts = Scripts::install()?;
    let (image, netboot) = (material::golden_image()?, material::netboot()?);
    let folder = tempfile::tempdir().context("making a folder for the machines")?;
    let disk_size = material::smallest_disk(&image)? + (512 << 20);
    let hardware: Vec<Hardware> = (1..)
        .zip(MACHINES)
        .map(|(number, (firmware, chassis))| {
            let mut hardware = Hardware::usual(number, firmware, folder.path(), disk_size);
            hardware.chassis = chassis;
            if firmware == FAILING {
                hardware.disks.iter_mut().for_each(|disk| disk.warnings = UNRELIABLE);
            }
            hardware
        })
        .collect();
    let plan = Plan {
        hardware,
        server: Settings {
            program: programs::find("ezio-pxe")?,
            images: vec![image],
            netboot: vec![netboot],
            folder: folder.path().join("server"),
            conf: CONF.to_owned(),
            append: String::new(),
            dhcp: Dhcp::Full,
        },
        folder: folder.path().to_owned(),
        marker: MARKER.to_owned(),
        timeout: ROOM_TIMEOUT,
        quiet: true,
    };
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let outcome = run(&plan, &room)?;
    println!("{}", table(&outcome.seats));
    if let Some(failure) = &outcome.failure {
        anyhow::bail!("{failure}\n{}", outcome.server.log_tail(60));
    }
    for seat in &outcome.seats {
        check_running_system(seat)?;
    }
    scripts.run(
        "pictures.test.mjs",
        &outcome.server.state,
        &[("EZIO_MACHINES", &outcome.seats.len().to_string())],
    )?;
    check_initrds(&outcome.seats)?;
    check_names(&outcome.seats)?;
    check_who_sent_what(&outcome.seats)?;
    check_steps(&outcome.seats)?;
    check_health(&outcome)?;
    check_done_machines_boot_their_own_disks(&outcome)
}

/// The system says on which machine it runs, by which firmware it was started, and that swap and ESP are in use.
fn check_running_system(seat: &Seat) -> Result<()> {
    let marker = seat.marker.as_deref().context("no marker")?;
    let words: HashSet<&str> = marker.split_whitespace().collect();
    let hardware = &seat.machine.hardware;
    let expected = [
        format!("uuid={}", hardware.uuid),
        format!("serial={}", hardware.serial),
        format!("firmware={}", hardware.firmware.seen_by_the_system()),
        "esp=mounted".to_owned(),
    ];
    for word in &expected {
        ensure!(words.contains(word.as_str()), "{}: {word} is not in {marker:?}", hardware.name);
    }
    ensure!(!words.contains("swap=none"), "{}: swap was not recreated: {marker:?}", hardware.name);
    Ok(())
}

/// No two machines have one name, and all count from one.
fn check_names(seats: &[Seat]) -> Result<()> {
    let markers = seats.iter().filter_map(|seat| seat.marker.as_deref());
    let names: BTreeSet<&str> = markers
        .filter_map(|marker| marker.split_whitespace().find_map(|word| word.strip_prefix("host=")))
        .collect();
    let expected: Vec<String> = (1..=seats.len()).map(|number| format!("lab-{number:02}")).collect();
    ensure!(names.iter().eq(&expected), "the machines are called {names:?}");
    Ok(())
}

/// The kernel tells how large the initrd was that it was given: machines that say they are PCs got the first alone, the
/// others also that of the network cards in servers.
fn check_initrds(seats: &[Seat]) -> Result<()> {
    let dist = material::netboot()?;
    let size = |name: &str| {
        fs::metadata(dist.join(name)).map(|file| file.len()).with_context(|| format!("{name} in dist"))
    };
    let (first, second) = (size(netboot::INITRD)?, size(netboot::SERVER_CARDS)?);
    for Seat { machine, .. } in seats {
        let log = fs::read(&machine.log).with_context(|| format!("reading {}", machine.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        let freed = log.split_once("Freeing initrd memory: ").and_then(|(_, rest)| rest.split_once('K'));
        let (freed, _) = freed.with_context(|| format!("{}: no size of an initrd", machine.hardware.name))?;
        let is_pc = matches!(machine.hardware.chassis, Some(3 | 10));
        let expected = if is_pc { first } else { first + second };
        let (freed, expected) = (freed.parse::<u64>()?, expected >> 10);
        // Whole pages, of each of the two.
        ensure!(freed.abs_diff(expected) <= 16, "{}: {freed} KiB, not {expected}", machine.hardware.name);
    }
    Ok(())
}

/// Every byte came from the server or from another machine, and nobody had to get all of it from the server.
fn check_who_sent_what(seats: &[Seat]) -> Result<()> {
    let total = seats.first().context("an empty room")?.progress.total_bytes;
    ensure!(total > 100 << 20, "the golden image has more than {total} bytes");
    for seat in seats {
        let Seat { progress, .. } = seat;
        let received = progress.from_server_bytes + progress.from_peers_bytes;
        ensure!(progress.done_bytes == total, "{}: {progress:?}", seat.machine.hardware.name);
        ensure!(
            received + progress.zero_bytes >= total,
            "{}: received {received} of {total}",
            seat.machine.hardware.name
        );
    }
    let from_server: u64 = seats.iter().map(|seat| seat.progress.from_server_bytes).sum();
    ensure!(
        from_server < 2 * total,
        "the server sent {from_server} bytes for an image of {total}: the machines do not share"
    );
    Ok(())
}

/// The server knows when each machine had taken each of its steps, and they follow each other.
fn check_steps(seats: &[Seat]) -> Result<()> {
    /// What the clocks of a machine and of the server, and the way between them, may differ by.
    const CLOCKS: Duration = Duration::from_secs(1);
    for seat in seats {
        let mut before = Duration::ZERO;
        for step in Step::ALL {
            let name = &seat.machine.hardware.name;
            let end = seat.timeline.ended(step);
            let end = end.with_context(|| format!("{name}: nobody knows when {} ended", step.name()))?;
            ensure!(end + CLOCKS >= before, "{name}: {} ended before what comes first", step.name());
            before = before.max(end);
        }
    }
    Ok(())
}

/// What each machine said of its disk's health is what smartctl says in the system that runs from it. The disk that warns is
/// written all the same, and is said to be failing; one at virtio says nothing.
fn check_health(outcome: &Outcome) -> Result<()> {
    let fleet = outcome.server.fleet()?;
    for Seat { machine, .. } in &outcome.seats {
        let Hardware { name, uuid, firmware, .. } = &machine.hardware;
        let log = fs::read(&machine.log).with_context(|| format!("reading {}", machine.log.display()))?;
        let log = String::from_utf8_lossy(&log);
        let said = log.lines().find_map(|line| line.trim().strip_prefix(SMART));
        let said = said.with_context(|| format!("{name}: nothing of smartctl"))?;
        let said: Value = serde_json::from_str(said).with_context(|| format!("{name}: {said}"))?;
        let inventory = &fleet.member(uuid).context("unknown")?.inventory;
        let [InventoryDisk { health, .. }] = inventory.as_slice() else {
            anyhow::bail!("{name}: {inventory:?}");
        };
        let passed = said["smart_status"]["passed"].as_bool();
        let good = health.as_ref().map(|health| health.failing.is_empty());
        let expected = (*firmware != Firmware::SecureBoot).then_some(*firmware != FAILING);
        ensure!((good, passed) == (expected, expected), "{name}: {health:?}, but smartctl says {said}");
        let why = "is failing: the disk says that it is no longer reliable";
        ensure!(log.contains(why) == (*firmware == FAILING), "{name}: its console says otherwise");
        if let Some(health) = health {
            check_numbers(health, &said).with_context(|| format!("{name}: {health:?}: {said}"))?;
        }
    }
    Ok(())
}

/// Each number is there where smartctl has it, and is the same.
fn check_numbers(health: &Health, said: &Value) -> Result<()> {
    let nvme = &said["nvme_smart_health_information_log"];
    let attributes = said["ata_smart_attributes"]["table"].as_array().map(Vec::as_slice).unwrap_or_default();
    let attribute = |id: u64| {
        let attribute = attributes.iter().find(|attribute| attribute["id"].as_u64() == Some(id))?;
        attribute["raw"]["value"].as_u64()
    };
    let numbers = [
        (
            health.temperature_celsius.and_then(|warm| warm.try_into().ok()),
            said["temperature"]["current"].as_u64(),
        ),
        (health.power_on_hours, said["power_on_time"]["hours"].as_u64()),
        (health.endurance_used_percent.map(u64::from), nvme["percentage_used"].as_u64()),
        (health.spare_percent.map(u64::from), nvme["available_spare"].as_u64()),
        (health.spare_threshold_percent.map(u64::from), nvme["available_spare_threshold"].as_u64()),
        (health.media_errors, nvme["media_errors"].as_u64()),
        (health.reallocated_sectors, attribute(5)),
        (health.pending_sectors, attribute(197)),
        (health.uncorrectable_sectors, attribute(198)),
    ];
    ensure!(numbers.iter().all(|(ours, theirs)| ours == theirs), "{numbers:?}");
    ensure!(numbers.iter().any(|(ours, _)| ours.is_some()), "no number at all");
    Ok(())
}

/// The reset button: network boot comes first, and hands over to the disk. No init runs again.
fn check_done_machines_boot_their_own_disks(outcome: &Outcome) -> Result<()> {
    let before = outcome.server.fleet()?;
    let mut waiting: HashSet<usize> = (0..outcome.seats.len()).collect();
    for seat in &outcome.seats {
        seat.machine.reset()?;
    }
    while !waiting.is_empty() {
        let event = console::wait_for(&outcome.events, RESTART_TIMEOUT, |event| match &event.what {
            Happening::Line(line) => line.contains(MARKER),
            Happening::Off => true,
        });
        let event = event.with_context(|| {
            let stuck = waiting.iter().filter_map(|index| outcome.seats.get(*index));
            let autopsies: String = stuck.map(|seat| seat.machine.autopsy()).collect();
            format!("after reset\n{autopsies}\n{}", outcome.server.log_tail(60))
        })?;
        ensure!(event.what != Happening::Off, "machine {} went off after reset", event.machine);
        waiting.remove(&event.machine);
    }
    let after = outcome.server.fleet()?;
    for seat in &outcome.seats {
        let uuid = &seat.machine.hardware.uuid;
        let (before, after) =
            (before.member(uuid).context("unknown")?, after.member(uuid).context("unknown")?);
        ensure!(after.state == "done", "{uuid} is {} after its restart", after.state);
        ensure!(before.times.started == after.times.started, "{uuid} was started from the network again");
    }
    Ok(())
}
