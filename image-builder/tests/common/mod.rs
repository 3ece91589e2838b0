//! What several tests run by.

use std::process::{Command, Output};

/// A program, with those of the system's administrator at hand.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    Command::new(program).args(arguments).env("PATH", path).output().unwrap()
}

/// A program that must succeed.
pub(crate) fn good(program: &str, arguments: &[&str]) {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
