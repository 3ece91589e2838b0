//! `ezio-pxe` as the server of a room.

use super::fleet::Fleet;
use super::material;
use super::room::BRIDGE;
use crate::programs;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server opens its images and its ports in this time.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two questions whether it is up.
const RETRY: Duration = Duration::from_millis(100);
/// How often the room's state is asked for.
const FLEET_INTERVAL: Duration = Duration::from_millis(500);
/// Kernel arguments that make every client of a test speak on its serial port, and go on where a busy host lets the
/// timer of an emulated machine tick late (the kernel would panic).
const FOR_CLIENTS: &str = "console=tty0 console=ttyS0,115200 no_timer_check";

/// What a server serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// Image directories.
    pub images: Vec<PathBuf>,
    /// Folders of network boot files, one for each architecture.
    pub netboot: Vec<PathBuf>,
    /// Folder for its configuration, database and log.
    pub folder: PathBuf,
    /// `ezio.conf`.
    pub conf: String,
    /// Further kernel arguments for clients.
    pub append: String,
    /// Its part in DHCP.
    pub dhcp: Dhcp,
}

/// Who gives out addresses and names the boot server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dhcp {
    /// The server does both.
    Full,
    /// The server does both, also for the network behind [`super::room::ROUTER`].
    FullAcrossRouter,
    /// Somebody else gives out addresses; the server names the boot server. Its default.
    Proxy,
    /// Somebody else does both, and names the server as boot server.
    Elsewhere,
}

impl Dhcp {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Full => &["--dhcp", "full"],
            Self::FullAcrossRouter => &[
                "--dhcp",
                "full",
                "--dhcp-range",
                "10.77.0.50-10.77.0.99",
                "--dhcp-range",
                "10.78.0.50-10.78.0.99,mask=24,router=10.78.0.1",
            ],
            Self::Proxy => &[],
            Self::Elsewhere => &["--dhcp", "off", "--tftp-port", "69"],
        }
    }
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    process: Child,
    log: PathBuf,
    program: PathBuf,
    /// Its folder of state, which lets commands in.
    pub state: PathBuf,
}

impl Server {
    /// Starts a server of the golden disk's image that gives out addresses too; its files go below `folder`.
    pub fn of_golden(folder: &Path, conf: &str) -> Result<Self> {
        Self::of_golden_with(&material::netboot()?, folder, conf)
    }

    /// The same with network boot files of a folder of its own.
    pub fn of_golden_with(netboot: &Path, folder: &Path, conf: &str) -> Result<Self> {
        Self::of_image(material::golden_image()?, netboot, folder, conf)
    }

    /// The same with another image.
    pub fn of_image(image: PathBuf, netboot: &Path, folder: &Path, conf: &str) -> Result<Self> {
        Self::start(&Settings {
            program: programs::find("ezio-pxe")?,
            images: vec![image],
            netboot: vec![netboot.to_owned()],
            folder: folder.join("server"),
            conf: conf.to_owned(),
            append: String::new(),
            dhcp: Dhcp::Full,
        })
    }

    /// Starts it, and waits until it answers.
    pub fn start(settings: &Settings) -> Result<Self> {
        let folder = &settings.folder;
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let conf = folder.join("ezio.conf");
        std::fs::write(&conf, &settings.conf).with_context(|| format!("writing {}", conf.display()))?;
        let log = folder.join("server.log");
        let process = spawn(settings, &conf, &log)?;
        let (program, state) = (settings.program.clone(), state_of(settings));
        let mut server = Self { process, log, program, state };
        server.wait_until_up()?;
        Ok(server)
    }

    /// The room as the server sees it. It is asked by a command, which belongs to this thread's network namespace.
    pub fn fleet(&self) -> Result<Fleet> {
        let mut status = Command::new(&self.program);
        let output = status.args(["status", "--json", "--state"]).arg(&self.state).output();
        let output = output.with_context(|| format!("running {}", self.program.display()))?;
        ensure!(output.status.success(), "ezio-pxe status: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("ezio-pxe status --json")
    }

    /// Waits until `wanted` finds what it looks for in the room's state, or fails.
    pub fn wait_for<T>(
        &mut self,
        timeout: Duration,
        mut wanted: impl FnMut(&Fleet) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        loop {
            self.check()?;
            let fleet = self.fleet()?;
            if let Some(found) = wanted(&fleet)? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("waited {} s in vain; the room: {fleet:#?}\n{}", timeout.as_secs(), self.log_tail(30));
            }
            thread::sleep(FLEET_INTERVAL); // the state is there to be asked for, it is not pushed
        }
    }

    /// Fails when the server has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.process.try_wait().context("looking after ezio-pxe")? {
            None => Ok(()),
            Some(status) => bail!("ezio-pxe has ended ({status}):\n{}", self.log_tail(30)),
        }
    }

    /// All that it has said.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let Ok(file) = File::open(&self.log) else { return String::new() };
        let all: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
        let shown: Vec<String> =
            all.iter().rev().take(lines).rev().map(|line| format!("  | {line}\n")).collect();
        format!("--- end of {}\n{}", self.log.display(), shown.concat())
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            self.check()?;
            let Err(error) = self.fleet() else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(error.context(format!("ezio-pxe does not answer\n{}", self.log_tail(30))));
            }
            thread::sleep(RETRY); // a port that opens is no event that another process could wait for
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left to tell; the parent-death signal is the second line.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn state_of(settings: &Settings) -> PathBuf {
    settings.folder.join("state")
}

fn spawn(settings: &Settings, conf: &Path, log: &Path) -> Result<Child> {
    let log_file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let errors = log_file.try_clone().context("sharing the server's log")?;
    let append = format!("{FOR_CLIENTS} {}", settings.append);
    let netboot = settings.netboot.iter().flat_map(|folder| [OsStr::new("--netboot"), folder.as_os_str()]);
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&settings.program)
        .arg("serve")
        .args(&settings.images)
        .args(netboot)
        .args(["--interface", BRIDGE])
        .args(settings.dhcp.arguments())
        .arg("--conf")
        .arg(conf)
        .arg("--state")
        .arg(state_of(settings))
        .args(["--append", append.trim()])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(log_file)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("starting {}", settings.program.display()))
}
