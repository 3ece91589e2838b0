//! The examples for other DHCP servers, as far as those programs can be asked without running them.

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

#[test]
fn keas_example_is_json_with_a_class_for_each_way_to_boot() {
    let text = std::fs::read_to_string(example("kea-dhcp4.conf")).unwrap();
    let json: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let conf: serde_json::Value = serde_json::from_str(&json).unwrap();
    let classes = conf["Dhcp4"]["client-classes"].as_array().unwrap();
    let files: Vec<&str> = classes.iter().map(|class| class["boot-file-name"].as_str().unwrap()).collect();
    assert_eq!(
        files,
        ["http://10.77.0.1:8080/boot.ipxe", "boot/amd64/undionly.kpxe", "boot/amd64/shimx64.efi"]
    );
}
