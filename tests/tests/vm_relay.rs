//! Machines in a network behind a router, whose relay (ISC's) is all that joins their DHCP with the server.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_netproto::dhcp::{Kind, Message, option};
use ezio_tests::dhcp::{Client, Seat};
use ezio_tests::loopback;
use ezio_tests::programs;
use ezio_tests::vm::console::Happening;
use ezio_tests::vm::firmware::Firmware;
use ezio_tests::vm::machine::{Hardware, Machine};
use ezio_tests::vm::material;
use ezio_tests::vm::room::{FAR_BRIDGE, FAR_NETWORK, FAR_ROUTER, Host, ROUTER, Room, SERVER};
use ezio_tests::vm::server::{Dhcp, Server, Settings};

/// From power-on to the last report, where machines share a slow computer without KVM.
const TIMEOUT: Duration = Duration::from_secs(900);
/// How long a machine listens whether anybody answers after all.
const SILENCE: Duration = Duration::from_secs(3);
/// Size of the image, and of a disk that has more.
const IMAGE_SIZE: u64 = 24 << 20;
const DISK_SIZE: u64 = 32 << 20;

/// A DHCP server that knows nothing of booting, at the switch of ours.
const DHCP_SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 253);

/// A relay that adds option 82, passes requests on to these servers, and no reply in which option 82 did not come back as
/// it was.
fn relay(room: &Room, servers: &[Ipv4Addr]) -> Result<Host> {
    programs::need(&["dhcrelay"])?;
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let options = ["dhcrelay", "-4", "-d", "--no-pid", "-a", "-D", "-id", "eth1", "-iu", "eth0"];
    let words = options.into_iter().chain(servers.iter().map(String::as_str));
    room.put_machines_behind_a_router(&words.collect::<Vec<_>>())
}

/// Starts dnsmasq on a host of its own: it leases addresses of the far network, by way of its router.
fn dhcp_server_for_the_far_network(room: &Room, folder: &Path) -> Result<Host> {
    programs::need(&["dnsmasq"])?;
    let leases = folder.join("leases");
    let script = format!(
        "ip route add {FAR_NETWORK} via {ROUTER}\n\
         exec dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file --port=0 \
         --dhcp-leasefile={} --dhcp-range=10.78.0.100,10.78.0.199,255.255.255.0,1h \
         --dhcp-option=option:router,{FAR_ROUTER}",
        leases.display()
    );
    room.host(DHCP_SERVER, &["sh", "-ec", &script])
}

fn settings(folder: &Path, images: Vec<PathBuf>, dhcp: Dhcp) -> Result<Settings> {
    Ok(Settings {
        program: programs::find("ezio-pxe")?,
        images,
        netboot: vec![material::netboot()?],
        folder: folder.join("server"),
        conf: "image = \"noise\"\nend = \"poweroff\"\non-error = \"hold\"\n".to_owned(),
        append: String::new(),
        dhcp,
    })
}

/// A disk with noise on it, and the image of it.
fn make_image(folder: &Path) -> Result<(Vec<u8>, PathBuf)> {
    let (file, image) = (folder.join("noise.disk"), folder.join("noise"));
    let noise: Vec<u8> =
        (0..IMAGE_SIZE / 8).flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
    fs::write(&file, &noise).with_context(|| format!("writing {}", file.display()))?;
    let builder = programs::find("image-builder")?;
    loopback::run(
        Command::new(builder).args(["capture", "--no-progress", "--raw"]).arg(file).arg("-o").arg(&image),
    )?;
    Ok((noise, image))
}

/// By iPXE, by PXE and by HTTP Boot, the latter two under Secure Boot.
#[test]
fn machines_behind_a_relay_are_deployed() -> Result<()> {
    deploy(Dhcp::FullAcrossRouter, |room, _| Ok(vec![relay(room, &[SERVER])?]))
}

/// Neither server knows of the other: the relay asks both.
#[test]
fn machines_behind_a_relay_are_deployed_beside_a_dhcp_server() -> Result<()> {
    deploy(Dhcp::Proxy, |room, folder| {
        let relay = relay(room, &[DHCP_SERVER, SERVER])?;
        Ok(vec![relay, dhcp_server_for_the_far_network(room, folder)?])
    })
}

/// Machines from power-on to the last report, in a room with `others`.
fn deploy(dhcp: Dhcp, others: impl Fn(&Room, &Path) -> Result<Vec<Host>>) -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir().context("making a folder for the machines")?;
    let (noise, image) = make_image(folder.path())?;
    let _turn = material::turn()?;
    let room = Room::enter()?;
    let _others = others(&room, folder.path())?;
    let mut server = Server::start(&settings(folder.path(), vec![image], dhcp)?)?;
    let (sender, events) = mpsc::channel();
    let mut machines = Vec::new();
    for (index, firmware) in
        [Firmware::Bios, Firmware::SecureBoot, Firmware::HttpBoot].into_iter().enumerate()
    {
        let hardware = Hardware::usual(60 + index as u8, firmware, folder.path(), DISK_SIZE);
        machines.push(Machine::power_on(index, hardware, &room.socket()?, folder.path(), sender.clone())?);
    }
    let autopsies = |machines: &[Machine]| machines.iter().map(Machine::autopsy).collect::<String>();
    let mut off = 0;
    server
        .wait_for(TIMEOUT, |fleet| {
            let failed = fleet.machines.iter().find(|member| member.state == "failed");
            ensure!(failed.is_none(), "{failed:?}");
            off += events.try_iter().filter(|event| event.what == Happening::Off).count();
            let done = machines.iter().filter(|machine| {
                fleet.member(&machine.hardware.uuid).is_some_and(|member| member.state == "done")
            });
            let done = done.count();
            ensure!(off <= done, "a machine went off before it was done");
            Ok((off == machines.len()).then_some(()))
        })
        .with_context(|| autopsies(&machines))?;
    for machine in &machines {
        let disk = machine.hardware.disks.first().context("a machine without a disk")?;
        let mut written = vec![0; noise.len()];
        fs::File::open(&disk.file)?.read_exact_at(&mut written, 0)?;
        ensure!(written == noise, "{} does not hold the image", disk.file.display());
    }
    Ok(())
}

/// What each kind of machine is told in the far network, from its DISCOVER and its REQUEST.
#[test]
fn each_kind_of_machine_gets_an_address_of_its_network_and_its_program() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir().context("making a folder for the server")?;
    let room = Room::enter()?;
    let _relay = relay(&room, &[SERVER])?;
    let _server =
        Server::start(&settings(folder.path(), vec![make_image(folder.path())?.1], Dhcp::FullAcrossRouter)?)?;
    let seat = Seat::at(FAR_BRIDGE)?;
    for (number, (class, architecture, file)) in (1..).zip(kinds()) {
        let client = Client { number, class, architecture, user_class: "" };
        let mut request = client.discover();
        let offer = seat.ask(&request, |_| true)?;
        request.kind = Kind::Request;
        request.options.set_addresses(option::REQUESTED_ADDRESS, &[offer.yiaddr]);
        request.options.set_addresses(option::SERVER_ID, &[SERVER]);
        let ack = seat.ask(&request, |reply| reply.kind == Kind::Ack)?;
        let told = || format!("{client:?} was told {ack:?}");
        ensure!(ack.yiaddr == offer.yiaddr && ack.yiaddr.octets().starts_with(&[10, 78, 0]), told());
        ensure!(ack.options.address(option::ROUTER) == Some(FAR_ROUTER), told());
        ensure!(ack.boot_file().as_deref() == file, told());
        check_class(&ack, class == "HTTPClient").with_context(told)?;
    }
    Ok(())
}

/// Beside a DHCP server, whom the relay asks as well: what to boot, and no address.
#[test]
fn a_proxy_answers_through_the_relay_too() -> Result<()> {
    programs::need_root()?;
    let folder = tempfile::tempdir().context("making a folder for the server")?;
    let room = Room::enter()?;
    let _relay = relay(&room, &[SERVER])?;
    let _server = Server::start(&settings(folder.path(), vec![make_image(folder.path())?.1], Dhcp::Proxy)?)?;
    let seat = Seat::at(FAR_BRIDGE)?;
    for (number, (class, architecture, file)) in (1..).zip(kinds()) {
        let client = Client { number, class, architecture, user_class: "" };
        let request = client.discover();
        let Some(file) = file else {
            seat.send(&request)?;
            let reply = seat.hear(&request, SILENCE, |_| true)?;
            ensure!(reply.is_none(), "{client:?} was told {reply:?}");
            continue;
        };
        let offer = seat.ask(&request, |_| true)?;
        let told = || format!("{client:?} was told {offer:?}");
        ensure!(offer.yiaddr.is_unspecified(), told());
        ensure!(offer.boot_file().as_deref() == Some(file), told());
        check_class(&offer, class == "HTTPClient").with_context(told)?;
    }
    Ok(())
}

/// Vendor class, architecture, and the boot file it gets.
fn kinds() -> [(&'static str, u16, Option<&'static str>); 4] {
    [
        ("PXEClient", 0, Some("boot/amd64/undionly.kpxe")),
        ("PXEClient", 7, Some("boot/amd64/shimx64.efi")),
        ("HTTPClient", 16, Some("http://10.77.0.1:8080/boot/amd64/shimx64.efi")),
        ("", 0, None),
    ]
}

/// UEFI HTTP Boot listens only to who calls itself so; option 82 is for the relay alone.
fn check_class(reply: &Message, is_http: bool) -> Result<()> {
    ensure!((reply.vendor_class() == "HTTPClient") == is_http, "vendor class {:?}", reply.vendor_class());
    ensure!(reply.options.get(option::RELAY_AGENT).is_none(), "option 82 came through to the machine");
    Ok(())
}
