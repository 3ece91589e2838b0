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

/// What another host does before its program: it says that it is in its own network, and waits for its cable.
const PLUG_IN: &str =
    "echo here; read -r _; ip address add \"$1\" dev eth0; ip link set eth0 up; shift; exec \"$@\" >&2";

/// A switch with a server's address, alone in its namespace.
#[derive(Debug)]
pub struct Room {
    taps: Cell<usize>,
}

impl Room {
    /// Moves this thread, and all processes and threads it starts from now on, into a new room. Needs root.
    pub fn enter() -> Result<Self> {
        programs::need(&["ip"])?;
        unshare(CloneFlags::CLONE_NEWNET)
            .context("making a network namespace (this needs root: run as root or through sudo)")?;
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"])?;
        ip(&["address", "add", &format!("{SERVER}/{PREFIX}"), "dev", BRIDGE])?;
        ip(&["link", "set", BRIDGE, "up"])?;
        Ok(Self { taps: Cell::new(0) })
    }

    /// Another socket of the switch: the name of its tap device.
    pub fn socket(&self) -> Result<String> {
        let name = format!("tap{}", self.taps.get());
        self.taps.set(self.taps.get() + 1);
        ip(&["tuntap", "add", &name, "mode", "tap"])?;
        ip(&["link", "set", &name, "master", BRIDGE, "up"])?;
        Ok(name)
    }

    /// Another host at the switch, that runs one program; its card is `eth0`. It goes with the program.
    pub fn host(&self, address: Ipv4Addr, program: &[&str]) -> Result<Host> {
        programs::need(&["setpriv", "unshare"])?;
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--", "sh", "-ec", PLUG_IN, "sh"])
            .arg(format!("{address}/{PREFIX}"))
            .args(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map(Host)
            .context("starting a host")?;
        let (stdin, stdout) = (process.0.stdin.take(), process.0.stdout.take());
        let (mut stdin, stdout) = stdin.zip(stdout).context("a host without pipes")?;
        BufReader::new(stdout).read_line(&mut String::new()).context("waiting for a host")?;
        let (name, pid) = (format!("host{}", process.0.id()), process.0.id().to_string());
        ip(&["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &pid])?;
        ip(&["link", "set", &name, "master", BRIDGE, "up"])?;
        writeln!(stdin).context("telling a host to go on")?;
        Ok(process)
    }

    /// Cuts the server off, or puts it back: what a pulled cable does.
    pub fn set_server_reachable(&self, reachable: bool) -> Result<()> {
        let master: &[&str] = if reachable { &["master", BRIDGE] } else { &["nomaster"] };
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

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("running ip (package iproute2)")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
