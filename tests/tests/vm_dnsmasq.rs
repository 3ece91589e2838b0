//! Our server beside dnsmasq as the network's DHCP server, by our example: machines of any firmware get there all the same.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ezio_contract::{Arch, netboot};
use ezio_tests::classroom::{Plan, run, table};
use ezio_tests::programs;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::Hardware;
use ezio_tests::vm::material;
use ezio_tests::vm::room::{Host, Room, SERVER};
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

/// What any router does: addresses, and no word of booting; but that it is asked for the boot server, which is `next`.
fn leases_only(example: &str, next: Ipv4Addr) -> String {
    let of_booting = |line: &&str| {
        ["dhcp-boot", "dhcp-userclass", "dhcp-match", "dhcp-vendorclass"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let kept = example.lines().filter(|line| !of_booting(line)).map(|line| format!("{line}\n"));
    kept.chain([format!("dhcp-boot=,,{next}\n")]).collect()
}

/// The network boot files with the GRUB of Debian 12.
fn with_old_grub(folder: &Path) -> Result<PathBuf> {
    let (own, old) = (folder.join("netboot"), material::old_grub()?);
    let grub = netboot::grub(Arch::Amd64);
    material::netboot_with(&own, |name, usual| Some(if name == grub { old.clone() } else { usual }))?;
    Ok(own)
}

#[test]
#[ignore = "soak: minutes of a room, whose machines another test starts beside a router"]
fn dnsmasq_sends_machines_to_a_server_without_dhcp() -> Result<()> {
    let room = [Firmware::Bios, Firmware::SecureBoot, Firmware::HttpBoot];
    deploy_beside(&room, |_| Ok((example()?, material::netboot()?)), Dhcp::Elsewhere).map(drop)
}

/// Nothing is to be set on the router, although it names itself as boot server; nor has a machine to trust a
/// certificate that expires in 2026.
#[test]
fn beside_any_router_machines_of_any_firmware_find_the_server() -> Result<()> {
    let room = [Firmware::Bios, Firmware::Uefi, Firmware::SecureBoot2023, Firmware::HttpBoot];
    let given = |_: &Path| Ok((leases_only(&example()?, ROUTER), material::netboot()?));
    let log = deploy_beside(&room, given, Dhcp::Proxy)?;
    ensure!(!log.contains("has \"boot/amd64/vmlinuz\""), "a kernel came by TFTP:\n{log}");
    ensure!(log.contains("boots http://10.77.0.1:8080/boot/amd64/shimx64.efi"), "no HTTP Boot:\n{log}");
    Ok(())
}

/// GRUB 2.06 takes its boot server from the lease, and has no HTTP.
#[test]
#[ignore = "soak: minutes of a room, for a GRUB that comes with no Debian but 12"]
fn an_older_grub_needs_the_router_to_name_the_server_and_fetches_all_by_tftp() -> Result<()> {
    let given = |folder: &Path| Ok((leases_only(&example()?, SERVER), with_old_grub(folder)?));
    let log = deploy_beside(&[Firmware::SecureBoot], given, Dhcp::Proxy)?;
    ensure!(log.contains("has \"boot/amd64/vmlinuz\""), "the kernel did not come by TFTP:\n{log}");
    Ok(())
}

/// Machines from power-on to the deployed system, a small one (the way there is what is tried), beside dnsmasq with a
/// configuration and with the network boot files that `given` names. Returns the server's log.
fn deploy_beside(
    firmware: &[Firmware],
    given: impl Fn(&Path) -> Result<(String, PathBuf)>,
    dhcp: Dhcp,
) -> Result<String> {
    programs::need_root()?;
    let image = material::small_image()?;
    let folder = tempfile::tempdir().context("making a folder for the machines")?;
    let (dnsmasq_conf, netboot) = given(folder.path())?;
    let disk_size = material::smallest_disk(&image)? + (512 << 20);
    let hardware = (1..)
        .zip(firmware)
        .map(|(number, firmware)| Hardware::usual(number, *firmware, folder.path(), disk_size))
        .collect();
    let plan = Plan {
        hardware,
        server: Settings {
            program: programs::find("ezio-pxe")?,
            images: vec![image],
            netboot: vec![netboot],
            folder: folder.path().join("server"),
            conf: "image = \"small-amd64\"\non-error = \"hold\"\n".to_owned(),
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
    let _dnsmasq = dnsmasq(&room, folder.path(), &dnsmasq_conf)?;
    let outcome = run(&plan, &room)?;
    println!("{}", table(&outcome.seats));
    match &outcome.failure {
        Some(failure) => bail!("{failure}\n{}", outcome.server.log_tail(60)),
        None => outcome.server.log(),
    }
}
