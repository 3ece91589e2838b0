//! Other DHCP servers with our examples: what they answer to each kind of machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_netproto::dhcp::Message;
use ezio_tests::dhcp::{Client, Seat};
use ezio_tests::programs;
use ezio_tests::vm::material;
use ezio_tests::vm::room::{BRIDGE, ROUTER, Room, SERVER};

/// How a machine is sent on.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// By TFTP, from our server.
    Tftp(&'static str),
    /// iPXE, by a URL.
    Url(&'static str),
    /// UEFI HTTP Boot, by a URL from somebody who calls himself HTTPClient.
    Http(&'static str),
    /// Not at all.
    Nowhere,
}

const KINDS: [(&str, u16, &str, Way); 11] = [
    ("PXEClient", 0, "", Way::Tftp("boot/amd64/undionly.kpxe")),
    ("PXEClient", 7, "", Way::Tftp("boot/amd64/shimx64.efi")),
    ("PXEClient", 9, "", Way::Tftp("boot/amd64/shimx64.efi")),
    ("PXEClient", 11, "", Way::Tftp("boot/arm64/shimaa64.efi")),
    ("HTTPClient", 16, "", Way::Http("http://10.77.0.1:8080/boot/amd64/shimx64.efi")),
    ("HTTPClient", 19, "", Way::Http("http://10.77.0.1:8080/boot/arm64/shimaa64.efi")),
    ("PXEClient", 0, "iPXE", Way::Url("http://10.77.0.1:8080/boot.ipxe")),
    ("PXEClient", 7, "iPXE", Way::Url("http://10.77.0.1:8080/boot.ipxe")),
    ("PXEClient", 0, "gPXE", Way::Tftp("boot/amd64/undionly.kpxe")),
    ("PXEClient", 6, "", Way::Nowhere),
    ("", 0, "", Way::Nowhere),
];

#[test]
fn dnsmasq_sends_each_kind_of_machine_its_way() -> Result<()> {
    check("dnsmasq.conf", |text, folder| {
        let conf = format!("--conf-file={}", write(folder, "dnsmasq.conf", text)?);
        let leases = format!("--dhcp-leasefile={}", folder.join("leases").display());
        Ok(["dnsmasq", "--keep-in-foreground", "--user=root", "--pid-file", &conf, &leases]
            .map(str::to_owned)
            .into())
    })
}

#[test]
fn kea_sends_each_kind_of_machine_its_way() -> Result<()> {
    check("kea-dhcp4.conf", |text, folder| {
        // Its leases are nobody's on this machine.
        let conf = write(folder, "kea.conf", &replace(text, "\"persist\": true", "\"persist\": false")?)?;
        let own = |what: &str| format!("KEA_{what}_DIR={}", folder.display());
        Ok(vec![
            "env".to_owned(),
            own("PIDFILE"),
            own("LOCKFILE"),
            "kea-dhcp4".to_owned(),
            "-c".to_owned(),
            conf,
        ])
    })
}

#[test]
fn isc_dhcpd_sends_each_kind_of_machine_its_way() -> Result<()> {
    check("isc-dhcpd.conf", |text, folder| {
        let conf = write(folder, "dhcpd.conf", text)?;
        let leases = write(folder, "dhcpd.leases", "")?;
        let pid = folder.join("dhcpd.pid").display().to_string();
        Ok(["dhcpd", "-4", "-f", "-q", "-cf", &conf, "-lf", &leases, "-pf", &pid, "eth0"]
            .map(str::to_owned)
            .into())
    })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path.display().to_string())
}

fn replace(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.contains(old), "the example has no {old:?}");
    Ok(text.replace(old, new))
}

/// Runs a server with an example, which is as it is but for the interface, and asks it as each kind of machine.
fn check(example: &str, command: impl Fn(&str, &Path) -> Result<Vec<String>>) -> Result<()> {
    programs::need_root()?;
    programs::need(&["dnsmasq", "kea-dhcp4", "dhcpd"])?;
    let folder = tempfile::tempdir().context("making a folder for the server")?;
    let path = material::workspace().join("config-examples").join(example);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let command = command(&text.replace("enp3s0", "eth0"), folder.path())?;
    let room = Room::enter()?;
    let _server = room.host(ROUTER, &command.iter().map(String::as_str).collect::<Vec<_>>())?;
    let seat = Seat::at(BRIDGE)?;
    for (number, (class, architecture, user_class, way)) in (1..).zip(KINDS) {
        let client = Client { number, class, architecture, user_class };
        let offer = seat.ask(&client.discover(), |_| true)?;
        let told = || format!("{example}: {client:?} was offered {offer:?}");
        ensure!(offer.yiaddr.octets().starts_with(&[10, 77, 0]), "no address: {}", told());
        check_way(&offer, way).with_context(told)?;
    }
    Ok(())
}

fn check_way(offer: &Message, way: Way) -> Result<()> {
    let (file, server) = (offer.boot_file(), offer.boot_server());
    let is_http = offer.vendor_class() == "HTTPClient";
    let wanted = match way {
        Way::Tftp(file) | Way::Url(file) | Way::Http(file) => Some(file),
        Way::Nowhere => None,
    };
    ensure!(file.as_deref() == wanted, "boot file {file:?} instead of {wanted:?}");
    ensure!(is_http == matches!(way, Way::Http(_)), "vendor class {:?}", offer.vendor_class());
    if matches!(way, Way::Tftp(_)) {
        ensure!(server == Some(SERVER), "boot server {server:?}");
    }
    Ok(())
}
