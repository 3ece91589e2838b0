//! The server's interface against its own description, by a tool that makes requests from that: schemathesis.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ezio_tests::loopback::{Local, Process, Server, image, run};
use ezio_tests::programs::{self, own_file};
use ezio_tests::vm::material::workspace;

/// So long it may take, on a computer that does other things too; on one that does not, it takes a third of a minute.
const BOUND: Duration = Duration::from_secs(600);
/// Requests that are made at random for each call.
const EXAMPLES: &str = "60";
/// An endless answer; and a rule that a schema cannot tell all of (a report of a later version is refused).
const LEFT_OUT: [&str; 4] = ["--exclude-path", "/api/events", "--exclude-checks", "positive_data_acceptance"];

#[test]
#[ignore = "soak: packages from PyPI, and thousands of requests"]
fn every_answer_is_as_it_is_described() -> Result<()> {
    let program = install()?;
    let folder = image()?;
    let server = Server::start(&folder.path().join("lab"), &[])?;
    let mut schemathesis = Command::new(program);
    schemathesis.args(["run", &format!("{}/api/openapi.json", server.url.trim_end_matches('/'))]);
    let local = Local::of(&server.state)?;
    schemathesis.args(["--header", &format!("Authorization: Bearer {}", local.token)]);
    schemathesis.args(["--max-examples", EXAMPLES, "--no-color", "--continue-on-failure"]).args(LEFT_OUT);
    schemathesis.current_dir(folder.path());
    let status = Process::start(&mut schemathesis)?.wait(BOUND)?;
    ensure!(status.success(), "schemathesis: {status}");
    Ok(())
}

/// An environment of its own with the packages that are named in `schemathesis/requirements.txt`.
fn install() -> Result<PathBuf> {
    let wanted = own_file("schemathesis/requirements.txt");
    let folder = workspace().join("build/schemathesis");
    let installed = folder.join("installed.txt");
    let names = fs::read(&wanted).with_context(|| format!("reading {}", wanted.display()))?;
    if fs::read(&installed).ok().as_ref() != Some(&names) {
        run(Command::new(programs::PYTHON).args(["-m", "venv", "--clear"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "-r"]).arg(&wanted))?;
        fs::write(&installed, names).context("taking note of what is installed")?;
    }
    Ok(folder.join("bin/schemathesis"))
}
