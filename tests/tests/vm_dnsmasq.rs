//! Our server beside dnsmasq as the network's DHCP server, by our example: machines of both firmwares get there all the same.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::classroom::{Plan, run, table};
use ezio_tests::programs;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::Hardware;
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Host, Room};
use ezio_tests::vm::server::{Dhcp, Settings};

const TIMEOUT: Duration = Duration::from_secs(900);

/// The host of dnsmasq.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// Starts dnsmasq on a host of its own.
fn dnsmasq(room: &Room, folder: &Path, conf: &str) -> Result<Host> {
    programs::need(&["dnsmasq"])?;
    let path = folder.join("dnsmasq.conf");
    fs::write(&path, conf).with_context(|| format!("writing {}", path.display()))?;
    let conf = format!("--conf-file={}", path.display());
    let leases = format!("--dhcp-leasefile={}", folder.join("leases").display());
    room.host(ROUTER, &["dnsmasq", "--keep-in-foreground", "--user=root", "--pid-file", &conf, &leases])
}

/// The example as it is, but for the interface.
fn example() -> Result<String> {
    let path = material::workspace().join("config-examples/dnsmasq.conf");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let ours = text.replace("interface=enp3s0", "interface=eth0");
    ensure!(ours != text, "the example names another interface than enp3s0");
    Ok(ours)
}

/// What a school's router does: addresses, and no word of booting. But UEFI needs the one line that the example names.
fn leases_only(example: &str) -> Result<String> {
    let kept = |line: &&str| !line.starts_with("dhcp-boot=") && !line.starts_with("dhcp-userclass=");
    let line = "dhcp-boot=,,10.77.0.1";
    ensure!(example.contains(&format!("({line})")), "the example does not name {line:?}");
    let for_uefi = line.replace('=', "=tag:uefi,");
    Ok(example.lines().filter(kept).chain([for_uefi.as_str()]).map(|line| format!("{line}\n")).collect())
}

#[test]
fn dnsmasq_sends_machines_to_a_server_without_dhcp() -> Result<()> {
    deploy_beside(&example()?, Dhcp::Elsewhere)
}

#[test]
fn dnsmasq_leases_and_the_proxy_sends_machines_to_the_server() -> Result<()> {
    deploy_beside(&leases_only(&example()?)?, Dhcp::Proxy)
}

/// A BIOS machine and one with UEFI and Secure Boot, from power-on to the deployed system.
fn deploy_beside(dnsmasq_conf: &str, dhcp: Dhcp) -> Result<()> {
    programs::need_root()?;
    let (image, netboot) = (material::golden_image()?, material::netboot()?);
    let folder = tempfile::tempdir().context("making a folder for the machines")?;
    let disk_size = material::smallest_disk(&image)? + (512 << 20);
    let hardware = (1..)
        .zip([Firmware::Bios, Firmware::SecureBoot])
        .map(|(number, firmware)| Hardware::usual(number, firmware, folder.path(), disk_size))
        .collect();
    let plan = Plan {
        hardware,
        server: Settings {
            program: programs::find("ezio-pxe")?,
            images: vec![image],
            netboot,
            folder: folder.path().join("server"),
            conf: "image = \"golden\"\non-error = \"hold\"\n".to_owned(),
            append: String::new(),
            dhcp,
        },
        folder: folder.path().to_owned(),
        marker: "EZIO-RUNNING ".to_owned(),
        timeout: TIMEOUT,
        quiet: true,
    };
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let _dnsmasq = dnsmasq(&room, folder.path(), dnsmasq_conf)?;
    let outcome = run(&plan, &room)?;
    println!("{}", table(&outcome.seats));
    match &outcome.failure {
        Some(failure) => anyhow::bail!("{failure}\n{}", outcome.server.log_tail(60)),
        None => Ok(()),
    }
}
