//! The page in a browser: Debian's Chromium, driven by the scripts in `tests/browser`, before a server to which machines
//! report that are not there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::loopback::{Process, Server, image, run};
use ezio_tests::programs::{self, own_file};
use ezio_tests::vm::material::workspace;

/// So long a script may take, on a computer that does other things too; on one that does not, it takes half a minute.
const BOUND: Duration = Duration::from_secs(600);

#[test]
fn forty_machines_are_shown_found_and_deployed_again() -> Result<()> {
    script("forty.test.mjs", &["--silent-after", "15s"])
}

#[test]
#[ignore = "soak: a minute of figures"]
fn thousands_of_machines_cost_the_page_little() -> Result<()> {
    script("many.test.mjs", &["--silent-after", "1h"])
}

/// Runs a script against a server of its own.
fn script(name: &str, more: &[&str]) -> Result<()> {
    programs::need(&["node", "npm", "chromium"])?;
    let folder = install()?;
    let image = image()?;
    let server = Server::start(&image.path().join("lab"), &[&["--https-port", "0"], more].concat())?;
    let pictures = workspace().join("build/page");
    fs::create_dir_all(&pictures)?;
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", name]).current_dir(folder);
    let local = server.local()?;
    node.env("EZIO_SERVER", &server.url).env("EZIO_PICTURES", &pictures);
    node.env("NODE_EXTRA_CA_CERTS", server.state.join("tls-certificate.pem"));
    node.env("EZIO_PAGE", format!("{}/", local.url)).env("EZIO_TOKEN", &local.token);
    let status = Process::start(&mut node)?.wait(BOUND)?;
    ensure!(status.success(), "tests/browser/{name}: {status}");
    Ok(())
}

/// The packages that the scripts use, as their lock file names them.
fn install() -> Result<PathBuf> {
    let folder = own_file("browser");
    let lock = fs::read(folder.join("package-lock.json")).context("package-lock.json")?;
    let installed = folder.join("node_modules/.ezio-lock.json");
    if fs::read(&installed).ok().as_ref() != Some(&lock) {
        run(Command::new("npm").args(["ci", "--no-progress"]).current_dir(&folder))?;
        fs::write(&installed, lock).context("taking note of what is installed")?;
    }
    Ok(folder)
}
