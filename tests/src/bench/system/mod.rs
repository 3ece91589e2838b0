//! The systems that are compared: how each is served, joined and started.

mod bittorrent;
mod chain;
mod deploy;
mod ezio;
mod udpcast;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::case::Case;
use super::process::{Finish, Process};
use crate::netns::{Room, SERVER};

pub(super) use ezio::capture;

/// One trial's room, files and parameters.
pub struct Stage<'a> {
    /// The hosts.
    pub room: &'a Room,
    /// What is measured.
    pub case: &'a Case,
    /// Folder in memory for everything.
    pub work: &'a Path,
    /// The image that is sent.
    pub image: &'a Path,
}

impl Stage<'_> {
    /// Folder of a machine, where its target is.
    #[must_use]
    pub fn folder(&self, host: usize) -> PathBuf {
        self.work.join(format!("machine-{host}"))
    }

    /// A machine's target: as long as the image, empty.
    #[must_use]
    pub fn target(&self, host: usize) -> PathBuf {
        self.folder(host).join("image")
    }

    /// Address of the server.
    #[must_use]
    pub fn server(&self) -> Ipv4Addr {
        self.room.address(SERVER)
    }

    /// The torrent that machines have beforehand.
    #[must_use]
    pub fn torrent(&self) -> PathBuf {
        self.work.join("image.torrent")
    }

    /// Where the tracker on this port of the server takes announces.
    #[must_use]
    pub fn announce(&self, port: u16) -> String {
        format!("http://{}:{port}/announce", self.server())
    }

    /// Starts a program on a host.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(
        &self,
        host: usize,
        name: &str,
        program: &Path,
        args: &[&str],
        finish: Finish,
    ) -> Result<Process> {
        let mut command = self.room.command(host, program);
        command.args(args);
        let label = format!("{name} on host {host}");
        Process::spawn(command, &label, &self.work.join(format!("{name}-{host}.log")), finish)
    }

    /// Runs our own executable on a host, with a hidden subcommand.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run_own(&self, host: usize, name: &str, args: &[&str], finish: Finish) -> Result<Process> {
        let own = std::env::current_exe().context("find the running executable")?;
        self.run(host, name, &own, args, finish)
    }

    /// Waits until something listens on a host's port.
    ///
    /// # Errors
    /// Nothing does within half a minute.
    pub fn wait_listening(&self, host: usize, port: u16) -> Result<()> {
        let address = SocketAddr::from((self.room.address(host), port)).to_string();
        let mut probe = self.run_own(host, "probe", &["probe", &address], Finish::Exit)?;
        probe.wait_done(std::time::Duration::from_secs(40)).map(drop)
    }
}

/// A system that brings an image to a room.
pub trait System {
    /// Its name on the command line and in tables.
    fn name(&self) -> &'static str;

    /// Is everything there that it needs?
    ///
    /// # Errors
    /// Something is missing: the error says what to build or install.
    fn check(&self) -> Result<()>;

    /// Can it take part in this case at all?
    fn suits(&self, _case: &Case) -> bool {
        true
    }

    /// Must targets exist before, at full length?
    fn wants_targets(&self) -> bool {
        true
    }

    /// Starts the server's programs, for systems that have any before all machines are there; returns when they serve.
    ///
    /// # Errors
    /// They do not come up.
    fn serve(&self, _stage: &Stage<'_>) -> Result<Vec<Process>> {
        Ok(Vec::new())
    }

    /// Starts a machine.
    ///
    /// # Errors
    /// The program cannot be started.
    fn join(&self, stage: &Stage<'_>, host: usize) -> Result<Process>;

    /// For systems that send only when all are there: starts to send; the time counts from here.
    ///
    /// # Errors
    /// The program cannot be started.
    fn release(&self, _stage: &Stage<'_>, _members: &[&Process]) -> Result<Option<Process>> {
        Ok(None)
    }

    /// A torrent and a tracker by which a corrupting machine can join.
    fn swarm(&self, _stage: &Stage<'_>) -> Option<(PathBuf, String)> {
        None
    }
}

/// Every system, ours first.
#[must_use]
pub fn all() -> Vec<Box<dyn System>> {
    vec![
        Box::new(ezio::Ezio),
        Box::new(deploy::Deploy::new("written")),
        Box::new(deploy::Deploy::new("read-back")),
        Box::new(chain::Chain),
        Box::new(udpcast::Udpcast),
        Box::new(bittorrent::ARIA2),
        Box::new(bittorrent::LIBTORRENT),
    ]
}
