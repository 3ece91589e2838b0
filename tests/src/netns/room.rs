//! Building a room, running programs on its hosts, and taking it down again.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use ezio_contract::ports;

use super::command::{batch, output};
use super::links::{Links, token_bucket};
use super::sweep;
use crate::programs;

/// The host that serves.
pub const SERVER: usize = 0;
/// Where `ezio-pxe` serves HTTP unless told otherwise.
pub const HTTP_PORT: u16 = ports::HTTP;

static ROOMS: AtomicU32 = AtomicU32::new(0);

/// Hosts in network namespaces, each behind its own full-duplex link into a switch. Dropping it
/// kills every process in it and removes it.
#[derive(Debug)]
pub struct Room {
    prefix: String,
    links: Links,
}

impl Room {
    /// Builds a room. What an earlier, killed process of ours left behind is removed first.
    ///
    /// # Errors
    /// Not root, `iproute2` missing, or the kernel refuses a device.
    pub fn build(links: Links) -> Result<Self> {
        programs::need_root()?;
        programs::need(&["ip", "tc"])?;
        sweep::sweep();
        let prefix = format!("{}{}-", sweep::own_prefix(), ROOMS.fetch_add(1, Ordering::Relaxed));
        let room = Self { prefix, links };
        room.add_switches().context("build the switches of a room")?;
        room.add_hosts().context("build the hosts of a room")?;
        Ok(room)
    }

    fn switch_namespace(&self) -> String {
        format!("{}sw", self.prefix)
    }

    /// Name of a host's network namespace.
    #[must_use]
    pub fn namespace(&self, host: usize) -> String {
        format!("{}h{host}", self.prefix)
    }

    fn add_switches(&self) -> Result<()> {
        let space = self.switch_namespace();
        output("ip", &["netns", "add", &space])?;
        let (mut links, mut queues) = (String::new(), String::new());
        for switch in 0..self.links.switches.max(1) {
            writeln!(links, "link add br{switch} type bridge mcast_snooping 0\nlink set br{switch} up")?;
            if switch == 0 {
                continue;
            }
            writeln!(links, "link add tr{switch}a type veth peer name tr{switch}b")?;
            let ends = [("a", self.links.uplink_of(switch)), ("b", switch)];
            for (end, bridge) in ends {
                let device = format!("tr{switch}{end}");
                writeln!(links, "link set {device} master br{bridge} up")?;
                if let Some(mbit) = self.links.trunk.or(self.links.mbit) {
                    writeln!(queues, "qdisc add dev {device} root {}", token_bucket(mbit))?;
                }
            }
        }
        batch("ip", Some(&space), &links)?;
        batch("tc", Some(&space), &queues)?;
        let neighbours = (self.links.members + 1).pow(2);
        raise_neighbour_limit(neighbours.saturating_mul(2))
    }

    fn add_hosts(&self) -> Result<()> {
        let switches = self.switch_namespace();
        let hosts = 0..=self.links.members;
        let (mut spaces, mut ports, mut queues) = (String::new(), String::new(), String::new());
        for host in hosts.clone() {
            let space = self.namespace(host);
            let bridge = self.links.switch_of(host);
            writeln!(spaces, "netns add {space}")?;
            writeln!(spaces, "link add v{host} netns {switches} type veth peer name eth0 netns {space}")?;
            writeln!(ports, "link set v{host} master br{bridge} up")?;
            if let Some(mbit) = self.links.rate_of(host) {
                writeln!(queues, "qdisc add dev v{host} root {}", token_bucket(mbit))?;
            }
        }
        batch("ip", None, &spaces)?;
        batch("ip", Some(&switches), &ports)?;
        batch("tc", Some(&switches), &queues)?;
        hosts.into_iter().try_for_each(|host| self.configure_host(host))
    }

    fn configure_host(&self, host: usize) -> Result<()> {
        let space = self.namespace(host);
        let address = self.links.address(host);
        let lines = format!(
            "link set lo up\naddr add {address}/16 brd + dev eth0\nlink set eth0 up\nroute add default dev eth0\n"
        );
        batch("ip", Some(&space), &lines)?;
        if let Some(mbit) = self.links.rate_of(host) {
            let queue = format!("qdisc add dev eth0 root {}\n", token_bucket(mbit));
            batch("tc", Some(&space), &queue)?;
        }
        Ok(())
    }

    /// The network this room was built from.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Address of a host.
    #[must_use]
    pub fn address(&self, host: usize) -> Ipv4Addr {
        self.links.address(host)
    }

    /// A command that will run on a host (`ip netns exec` replaces itself by the program, so that
    /// the child's process id is the program's own).
    #[must_use]
    pub fn command(&self, host: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Takes away a host's address, as a machine that has yet to ask for one.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn forget_address(&self, host: usize) -> Result<()> {
        batch("ip", Some(&self.namespace(host)), "addr flush dev eth0\n")
    }

    /// Bytes that a host has put on its link. Segmentation offload hands the link up to 64 KiB with
    /// one header, so for bulk traffic this is the payload and about 1 % more.
    ///
    /// # Errors
    /// The counter cannot be read.
    pub fn tx_bytes(&self, host: usize) -> Result<u64> {
        let space = self.namespace(host);
        let counter = "/sys/class/net/eth0/statistics/tx_bytes";
        let text = output("ip", &["netns", "exec", &space, "cat", counter])?;
        text.trim().parse().with_context(|| format!("bytes sent by host {host}: {text:?}"))
    }

    /// Hardware address of a host.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn mac(&self, host: usize) -> Result<String> {
        let space = self.namespace(host);
        let text = output("ip", &["netns", "exec", &space, "cat", "/sys/class/net/eth0/address"])?;
        Ok(text.trim().to_owned())
    }

    /// Powers a host off: every process on it dies at once.
    ///
    /// # Errors
    /// Its processes cannot be listed.
    pub fn kill_host(&self, host: usize) -> Result<()> {
        sweep::kill_namespace(&self.namespace(host))
    }
}

/// The kernel keeps one neighbour table for all namespaces, of 1024 entries by default: hosts that
/// all talk to each other outgrow it. It is only ever raised.
fn raise_neighbour_limit(wanted: usize) -> Result<()> {
    let path = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";
    let now = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let now: usize = now.trim().parse().with_context(|| format!("{path}: {now:?}"))?;
    if now < wanted {
        fs::write(path, wanted.to_string()).with_context(|| format!("write {path}"))?;
    }
    Ok(())
}

impl Drop for Room {
    fn drop(&mut self) {
        sweep::remove_namespaces(&self.prefix);
    }
}
