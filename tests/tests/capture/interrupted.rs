//! Captures that are stopped, or run out of room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::*;

/// Waits until `there` holds; the test fails when it does not within a minute.
fn wait_for(what: &str, child: &mut Child, there: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before {what}");
        assert!(Instant::now() < end, "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn begins_with(folder: &Path, prefix: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|e| e.unwrap().file_name().to_str().unwrap().starts_with(prefix))
}

#[test]
fn stopping_leaves_nothing() {
    let program = ready();
    let bench = Bench::new();
    // Reading this takes minutes, and writing it no room.
    let huge = bench.path("huge");
    sparse(&huge, 1 << 40);
    for (signal, code) in [("INT", 130), ("TERM", 130)] {
        let mut child = Command::new(&program)
            .args(["capture", "--raw"])
            .arg(&huge)
            .arg("-o")
            .arg(bench.path("image"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("partial image", &mut child, || begins_with(bench.folder.path(), "image.partial-"));
        assert!(!bench.path("image").exists());
        sh("kill -s $1 $2", &[Path::new(signal), Path::new(&child.id().to_string())]);
        let begin = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains("stopped by a signal"));
        bench.assert_clean();
    }
}

#[test]
fn a_full_disk_is_told_with_what_where_and_how_far() {
    ready();
    let bench = Bench::new();
    let small = bench.path("small");
    fs::create_dir(&small).unwrap();
    sh("mount -t tmpfs -o size=8M tmpfs $1", &[&small]);
    let _unmount = Mount(small.clone());
    let part = bench.ext4("part", 64 * MIB);
    let said = refused(&part, &small.join("image"), &[]);
    assert!(said.contains("no room for the image in") && said.contains("are free"), "{said}");

    // How much a sparse copy takes is not known before.
    let noise = bench.path("noise");
    sh("head -c 20M /dev/urandom > $1", &[&noise]);
    let said = refused(&noise, &small.join("image"), &["--raw"]);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("of 20.0 MiB") && said.contains("/disk at byte"), "{said}");
    assert_eq!(fs::read_dir(&small).unwrap().count(), 0);
}

struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
