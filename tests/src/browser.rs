//! Debian's Chromium, driven by the scripts in `tests/browser`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::loopback::{Local, Process, run};
use crate::programs::{self, own_file};
use crate::vm::material::workspace;

/// So long a script may take, on a computer that does other things too; on one that does not, it takes half a minute.
const BOUND: Duration = Duration::from_secs(600);

/// The scripts, with the packages that they use.
pub struct Scripts(PathBuf);

impl Scripts {
    /// Installs the packages, as their lock file names them: for that a network is needed.
    ///
    /// # Errors
    /// A program is missing, or the packages cannot be fetched.
    pub fn install() -> Result<Self> {
        programs::need(&["node", "npm", "chromium"])?;
        let folder = own_file("browser");
        let lock = fs::read(folder.join("package-lock.json")).context("package-lock.json")?;
        let installed = folder.join("node_modules/.ezio-lock.json");
        if fs::read(&installed).ok().as_ref() != Some(&lock) {
            run(Command::new("npm").args(["ci", "--no-progress"]).current_dir(&folder))?;
            fs::write(&installed, lock).context("taking note of what is installed")?;
        }
        Ok(Self(folder))
    }

    /// Runs one before the page of the server with this folder of state, with more in its environment. It may leave
    /// pictures in `build/page`.
    ///
    /// # Errors
    /// It fails.
    pub fn run(&self, name: &str, state: &Path, more: &[(&str, &str)]) -> Result<()> {
        let pictures = workspace().join("build/page");
        fs::create_dir_all(&pictures)?;
        let local = Local::of(state)?;
        let mut node = Command::new("node");
        node.args(["--test", "--test-reporter=spec", name]).current_dir(&self.0);
        node.env("EZIO_PICTURES", &pictures).envs(more.iter().copied());
        node.env("NODE_EXTRA_CA_CERTS", state.join("tls-certificate.pem"));
        node.env("EZIO_PAGE", format!("{}/", local.url)).env("EZIO_TOKEN", &local.token);
        let status = Process::start(&mut node)?.wait(BOUND)?;
        ensure!(status.success(), "tests/browser/{name}: {status}");
        Ok(())
    }
}
