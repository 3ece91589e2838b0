//! dnsmasq's example, as far as dnsmasq can be asked without rights; tests/tests/dhcp_servers.rs runs all of them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Command;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config-examples").join(name)
}

#[test]
fn dnsmasq_accepts_its_example() {
    let mut dnsmasq = Command::new("dnsmasq");
    // A plain user's search path often lacks the programs of administrators.
    dnsmasq.env("PATH", format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default()));
    let output = dnsmasq.arg("--test").arg("-C").arg(example("dnsmasq.conf")).output();
    let output = output.unwrap_or_else(|e| panic!("dnsmasq (apt install dnsmasq-base): {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
