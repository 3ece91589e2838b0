//! The server's interface against its own description, by a tool that makes requests from that: schemathesis.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use ezio_tests::loopback::{Local, Process, Server, image};
use ezio_tests::python;

/// So long it may take, on a computer that does other things too; on one that does not, it takes a third of a minute.
const BOUND: Duration = Duration::from_secs(600);
/// Requests that are made at random for each call.
const EXAMPLES: &str = "60";
/// An endless answer; and a rule that a schema cannot tell all of (a report of a later version is refused).
const LEFT_OUT: [&str; 4] = ["--exclude-path", "/api/events", "--exclude-checks", "positive_data_acceptance"];

#[test]
#[ignore = "soak: packages from PyPI, and thousands of requests"]
fn every_answer_is_as_it_is_described() -> Result<()> {
    let program = python::environment("schemathesis")?.join("bin/schemathesis");
    let folder = image()?;
    // One port for what is described together: the tool knows one address.
    let server = Server::start(&folder.path().join("lab"), &["--no-tls"])?;
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
