//! A machine of ARM64, from power-on to the deployed system.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ezio_tests::classroom::{Plan, run, table};
use ezio_tests::programs;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::Hardware;
use ezio_tests::vm::material;
use ezio_tests::vm::room::Room;
use ezio_tests::vm::server::{Dhcp, Settings};

/// Another processor is emulated slowly.
const TIMEOUT: Duration = Duration::from_secs(900);

#[test]
fn a_machine_of_arm64_boots_from_the_network_and_then_from_its_own_disk() -> Result<()> {
    programs::need_root()?;
    programs::need(&["qemu-system-aarch64"])?;
    let image = material::golden_image_arm64()?;
    let folder = tempfile::tempdir().context("making a folder for the machine")?;
    let disk_size = material::smallest_disk(&image)? + (64 << 20);
    let hardware = Hardware::usual(1, Firmware::Arm64, folder.path(), disk_size);
    let uuid = hardware.uuid.clone();
    let plan = Plan {
        hardware: vec![hardware],
        server: Settings {
            program: programs::find("ezio-pxe")?,
            images: vec![image],
            netboot: vec![material::netboot_arm64()?],
            folder: folder.path().join("server"),
            conf: "image = \"golden-arm64\"\non-error = \"hold\"\n".to_owned(),
            append: "console=ttyAMA0".to_owned(),
            dhcp: Dhcp::Full,
        },
        folder: folder.path().to_owned(),
        marker: "EZIO-RUNNING ".to_owned(),
        timeout: TIMEOUT,
        quiet: true,
    };
    let _turn = material::turn()?;
    let outcome = run(&plan, &Room::enter()?)?;
    println!("{}", table(&outcome.seats));
    if let Some(failure) = &outcome.failure {
        bail!("{failure}\n{}", outcome.server.log_tail(60));
    }
    let marker = outcome.seats.first().and_then(|seat| seat.marker.as_deref()).context("no marker")?;
    for word in ["machine=aarch64".to_owned(), format!("uuid={uuid}")] {
        ensure!(marker.split_whitespace().any(|said| said == word), "{word} is not in {marker:?}");
    }
    Ok(())
}
