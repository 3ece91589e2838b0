//! A private network for virtual machines. The calling thread moves into a network namespace of its own, that has no
//! connection to the host's networks: nothing outside ever sees the room's DHCP, and all of it (bridge, taps)
//! vanishes with the last process in it, however that ends.

use crate::programs;
use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

/// The bridge that is the room's switch; the server listens on it.
pub const BRIDGE: &str = "ezio0";
/// Address of the server.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Length of the network's prefix.
pub const PREFIX: u8 = 24;

/// The switch of a network behind a router. The server has no address there.
pub const FAR_BRIDGE: &str = "ezio1";
/// Address of the router in the server's network.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
/// Its address in the network behind it.
pub const FAR_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// That network.
pub const FAR_NETWORK: &str = "10.78.0.0/24";

/// What another host does before its program: it says that it is in its own network, waits for its cables, and passes on
/// what comes by one and is for the other.
const PLUG_IN: &str = "echo here; read -r _; echo 1 >/proc/sys/net/ipv4/ip_forward; \
    while [ \"$1\" != -- ]; do ip address add \"$2\" dev \"$1\"; ip link set \"$1\" up; shift 2; done; \
    shift; exec \"$@\" >&2";

/// A switch with a server's address, alone in its namespace.
#[derive(Debug)]
pub struct Room {
    taps: Cell<usize>,
    /// The switch that machines are at.
    bridge: Cell<&'static str>,
}

impl Room {
    /// Moves this thread, and all processes and threads it starts from now on, into a new room. Needs root.
    pub fn enter() -> Result<Self> {
        programs::need(&["ip"])?;
        unshare(CloneFlags::CLONE_NEWNET)
            .context("making a network namespace (this needs root: run as root or through sudo)")?;
        ip(&["link", "set", "lo", "up"])?;
        add_bridge(BRIDGE)?;
        ip(&["address", "add", &format!("{SERVER}/{PREFIX}"), "dev", BRIDGE])?;
        Ok(Self { taps: Cell::new(0), bridge: Cell::new(BRIDGE) })
    }

    /// Another socket of the machines' switch: the name of its tap device.
    pub fn socket(&self) -> Result<String> {
        let name = format!("tap{}", self.taps.get());
        self.taps.set(self.taps.get() + 1);
        ip(&["tuntap", "add", &name, "mode", "tap"])?;
        ip(&["link", "set", &name, "master", self.bridge.get(), "up"])?;
        Ok(name)
    }

    /// Another host at the server's switch, that runs one program; its card is `eth0`. It goes with the program.
    pub fn host(&self, address: Ipv4Addr, program: &[&str]) -> Result<Host> {
        start_host(&[("eth0", BRIDGE, address)], program)
    }

    /// From here on machines are in a network of their own, behind a router that runs one program (a relay); its card
    /// `eth0` is in the server's network, `eth1` in theirs.
    pub fn put_machines_behind_a_router(&self, program: &[&str]) -> Result<Host> {
        add_bridge(FAR_BRIDGE)?;
        let router = start_host(&[("eth0", BRIDGE, ROUTER), ("eth1", FAR_BRIDGE, FAR_ROUTER)], program)?;
        ip(&["route", "add", FAR_NETWORK, "via", &ROUTER.to_string()])?;
        self.bridge.set(FAR_BRIDGE);
        Ok(router)
    }

    /// Cuts the server off, or puts it back: what a pulled cable does.
    pub fn set_server_reachable(&self, reachable: bool) -> Result<()> {
        let master: &[&str] = if reachable { &["master", self.bridge.get()] } else { &["nomaster"] };
        (0..self.taps.get())
            .try_for_each(|number| ip(&[&["link", "set", &format!("tap{number}")], master].concat()))
    }
}

/// Another host of the room; dropping it ends it.
#[derive(Debug)]
pub struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        // Nobody is left to tell; it also dies with this process.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn add_bridge(name: &str) -> Result<()> {
    ip(&["link", "add", name, "type", "bridge", "forward_delay", "0"])?;
    ip(&["link", "set", name, "up"])
}

/// Starts a host with these cards: name, switch, address.
fn start_host(cards: &[(&str, &str, Ipv4Addr)], program: &[&str]) -> Result<Host> {
    programs::need(&["setpriv", "unshare"])?;
    let addresses =
        cards.iter().flat_map(|(card, _, address)| [(*card).to_owned(), format!("{address}/{PREFIX}")]);
    let mut process = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--", "sh", "-ec", PLUG_IN, "sh"])
        .args(addresses)
        .arg("--")
        .args(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Host)
        .context("starting a host")?;
    let (stdin, stdout) = (process.0.stdin.take(), process.0.stdout.take());
    let (mut stdin, stdout) = stdin.zip(stdout).context("a host without pipes")?;
    BufReader::new(stdout).read_line(&mut String::new()).context("waiting for a host")?;
    let pid = process.0.id().to_string();
    for (card, bridge, _) in cards {
        let socket = format!("{card}-{pid}");
        ip(&["link", "add", &socket, "type", "veth", "peer", "name", card, "netns", &pid])?;
        ip(&["link", "set", &socket, "master", bridge, "up"])?;
    }
    writeln!(stdin).context("telling a host to go on")?;
    Ok(process)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("running ip (package iproute2)")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
