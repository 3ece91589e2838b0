//! dnsmasq, set up by our example, in front of a server that does no DHCP: machines of both firmwares get there all the same.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use ezio_tests::classroom::{Plan, run, table};
use ezio_tests::programs;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::Hardware;
use ezio_tests::vm::material;
use ezio_tests::vm::room::{BRIDGE, Room};
use ezio_tests::vm::server::{Dhcp, Settings};

const TIMEOUT: Duration = Duration::from_secs(900);

/// A running dnsmasq; dropping it ends it.
struct Dnsmasq(Child);

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // Nobody is left to tell; it also dies with this process.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts dnsmasq with the example as it is, but for the interface.
fn dnsmasq(folder: &std::path::Path) -> Result<Dnsmasq> {
    programs::need(&["dnsmasq", "setpriv"])?;
    let example = material::workspace().join("config-examples/dnsmasq.conf");
    let text = fs::read_to_string(&example).with_context(|| format!("reading {}", example.display()))?;
    let ours = text.replace("interface=enp3s0", &format!("interface={BRIDGE}"));
    anyhow::ensure!(ours != text, "the example names another interface than enp3s0");
    let conf = folder.join("dnsmasq.conf");
    fs::write(&conf, ours).with_context(|| format!("writing {}", conf.display()))?;
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "dnsmasq", "--keep-in-foreground", "--user=root"])
        .arg(format!("--conf-file={}", conf.display()))
        .arg(format!("--dhcp-leasefile={}", folder.join("leases").display()))
        .arg("--pid-file")
        .stdin(Stdio::null())
        .spawn()
        .context("starting dnsmasq")?;
    Ok(Dnsmasq(child))
}

#[test]
fn dnsmasq_sends_machines_to_a_server_without_dhcp() -> Result<()> {
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
            dhcp: Dhcp::Elsewhere,
        },
        folder: folder.path().to_owned(),
        marker: "EZIO-RUNNING ".to_owned(),
        timeout: TIMEOUT,
        quiet: true,
    };
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let _dnsmasq = dnsmasq(folder.path())?;
    let outcome = run(&plan, &room)?;
    println!("{}", table(&outcome.seats));
    match &outcome.failure {
        Some(failure) => anyhow::bail!("{failure}\n{}", outcome.server.log_tail(60)),
        None => Ok(()),
    }
}
