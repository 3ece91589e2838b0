//! What tests of deployments to loop devices share. A helper that fails, fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test's helpers fail the test"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::loop_device::Loop;
use crate::loopback::Server;
use crate::programs;

/// Runs a program to its end, whatever that is.
#[must_use]
pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// What a program prints; it must succeed.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A path as text.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// May this process make ext4 longer? Containers often may not.
#[must_use]
pub fn has_sys_resource() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    u64::from_str_radix(effective, 16).unwrap() & 1 << 24 != 0
}

/// Gives a disk a partition table, by a script for sfdisk that is kept in a file.
pub fn partition(disk: &str, table: &str, script: &Path) {
    fs::write(script, table).unwrap();
    let script = fs::File::open(script).unwrap();
    let mut sfdisk = Command::new("/usr/sbin/sfdisk");
    assert!(sfdisk.args(["--quiet", "--no-reread", disk]).stdin(script).status().unwrap().success());
}

/// Makes a disk of `size` bytes with an NTFS on its one partition, from the first byte `ntfs.0` on and `ntfs.1` long; gives a
/// device of that. The script for sfdisk is kept in a file.
#[must_use]
pub fn ntfs_disk(disk: &Path, size: u64, ntfs: (u64, u64), label: &str, script: &Path) -> Loop {
    fs::File::create(disk).unwrap().set_len(size).unwrap();
    let (start, length) = (ntfs.0 / 512, ntfs.1 / 512);
    let kind = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
    let table = format!("label: gpt\nstart={start}, size={length}, type={kind}\n");
    partition(text(disk), &table, script);
    let device = Loop::new(disk, ntfs.0, ntfs.1).unwrap();
    output("mkntfs", &["--quick", "--quiet", "--force", "--label", label, &device.0]);
    device
}

/// `ezio-init deploy` to these disks, bounded; whether it was good, and what it said.
#[must_use]
pub fn deploy(server: &Server, disks: &[&str]) -> (bool, String) {
    deploy_with(server, disks, &[])
}

/// The same with more arguments.
#[must_use]
pub fn deploy_with(server: &Server, disks: &[&str], more: &[&str]) -> (bool, String) {
    let mut process = Command::new(programs::find("ezio-init").unwrap())
        .args(["deploy", "--yes", "--conf", &format!("{}ezio.conf", server.url)])
        .args(disks.iter().flat_map(|disk| ["--disk", *disk]))
        .args(more)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = process.stderr.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(errors).unwrap());
    let end = Instant::now() + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            process.kill().unwrap();
            panic!("deploy has not ended:\n{}", reader.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    (status.success(), reader.join().unwrap())
}
