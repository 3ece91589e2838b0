//! Programs on this host, mostly on its loopback: `ezio-pxe` with an image, and whatever else runs beside it.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::programs;

/// A process that is killed when dropped.
pub struct Process(pub Child);

impl Process {
    /// Starts it, with nothing to read.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {}", command.get_program().display()))?))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It has not ended by then.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < end, "process {} has not ended within {limit:?}", self.0.id());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its good end.
///
/// # Errors
/// It cannot be started, fails, or has not ended within a minute.
pub fn run(command: &mut Command) -> Result<()> {
    let status = Process::start(command)?.wait(Duration::from_secs(60))?;
    ensure!(status.success(), "{} failed: {status}", command.get_program().display());
    Ok(())
}

/// An image called "lab", of nothing in particular, in a folder of its own.
///
/// # Errors
/// There is no `image-builder`, or it fails.
pub fn image() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    add_image(folder.path(), "lab", 7)?;
    Ok(folder)
}

/// Makes one more in that folder, of nothing but this byte.
///
/// # Errors
/// There is no `image-builder`, or it fails.
pub fn add_image(folder: &Path, name: &str, byte: u8) -> Result<()> {
    let raw = folder.join("raw");
    std::fs::write(&raw, vec![byte; 4 << 20])?;
    let mut capture = Command::new(programs::find("image-builder")?);
    capture.args(["capture", "--no-progress", "--raw"]).arg(&raw).arg("-o").arg(folder.join(name));
    run(&mut capture)
}

/// `ezio-pxe serve` on loopback, without DHCP.
pub struct Server {
    _process: Process,
    /// Where its HTTP server is, with a slash at the end.
    pub url: String,
    /// Its folder of state, which lets commands in.
    pub state: PathBuf,
    /// What makes the first administrator: the secret of the link that it printed, if there is no account.
    pub first: Option<String>,
    _folder: TempDir,
}

impl Server {
    /// Serves an image directory, with more arguments; back when everything listens.
    ///
    /// # Errors
    /// It ends before it serves.
    pub fn start(image: &Path, more: &[&str]) -> Result<Self> {
        let command = Command::new(programs::find("ezio-pxe")?);
        Self::start_at(Ipv4Addr::LOCALHOST.into(), command, image, more)
    }

    /// The same at another address, by a command that runs `ezio-pxe` there.
    ///
    /// # Errors
    /// It ends before it serves.
    pub fn start_at(address: IpAddr, mut command: Command, image: &Path, more: &[&str]) -> Result<Self> {
        command.arg("serve").arg(image).args(["--listen", &address.to_string()]);
        command.args(["--dhcp", "off", "--http-port", "0", "--peer-port", "0"]);
        if !more.contains(&"--no-tls") {
            command.args(["--https-port", "0"]);
        }
        let given = more.iter().position(|arg| *arg == "--state").and_then(|at| more.get(at + 1));
        let folder = tempfile::tempdir().context("a folder of state")?;
        if given.is_none() {
            command.arg("--state").arg(folder.path());
        }
        let state = given.map_or_else(|| folder.path().to_owned(), PathBuf::from);
        command.args(more).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process::start(&mut command)?;
        let output = process.0.stdout.take().context("no output")?;
        let (mut url, mut first) = (None, None);
        for line in BufReader::new(output).lines() {
            let line = line?;
            url = line.trim().strip_prefix("http ").map(|rest| rest.trim().to_owned()).or(url);
            let link = line.split_once("/#/first/").and_then(|(_, link)| link.split_whitespace().next());
            first = link.map(str::to_owned).or(first);
            if let Some(url) = url.take_if(|_| line.starts_with("dashboard")) {
                return Ok(Self { _process: process, url, state, first, _folder: folder });
            }
        }
        bail!("ezio-pxe has ended without saying where its dashboard is")
    }
}

/// How commands on this machine reach a server.
#[derive(Deserialize)]
pub struct Local {
    /// Where it serves people.
    pub url: String,
    /// What lets a command in.
    pub token: String,
}

impl Local {
    /// What a server keeps in its folder of state.
    ///
    /// # Errors
    /// Its file is not there, or says something else.
    pub fn of(state: &Path) -> Result<Self> {
        let file = state.join("local.json");
        let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    }
}

/// A TCP port that is free now.
///
/// # Errors
/// None is.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
