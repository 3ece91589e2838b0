//! A shell on a console, with job control: a session of its own, whose terminal is the console.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use ezio_contract::initrd::SHELL;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

/// Becomes a shell on this console. Comes back only with an error.
pub(crate) fn become_shell(console: &str) -> anyhow::Result<Infallible> {
    setsid().context("starting a session")?;
    // Opened by the leader of a session without one, the console becomes the controlling terminal.
    let terminal = OpenOptions::new().read(true).write(true).open(console);
    let terminal = terminal.with_context(|| format!("opening {console}"))?;
    dup2_stdin(&terminal).and_then(|()| dup2_stdout(&terminal)).and_then(|()| dup2_stderr(&terminal))?;
    drop(terminal);
    let error = Command::new(SHELL).env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin").env("TERM", "linux").exec();
    Err(error).with_context(|| format!("starting {SHELL}"))
}
