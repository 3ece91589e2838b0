//! A folder to work in, and the way of an image from disk to disk.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::{Process, Server};
use ezio_tests::{mounts, programs};

pub(crate) const MIB: u64 = 1 << 20;
/// Most that one deployment of a small disk takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a shell script with `$1`… set; it must succeed. Gives what it printed.
pub(crate) fn sh(script: &str, arguments: &[&str]) -> String {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script, "bash"]).args(arguments).env("LC_ALL", "C");
    let output = bash.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} {arguments:?}\n{said}{errors}");
    said.into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder for one test.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        programs::need_root().unwrap();
        programs::need(&[
            "partclone.ext4",
            "sfdisk",
            "sgdisk",
            "wipefs",
            "blkid",
            "losetup",
            "mkfs.jfs",
            "mkfs.btrfs",
        ])
        .unwrap();
        mounts::keep_private().unwrap();
        Self(tempfile::Builder::new().prefix("ezio-layouts-").tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of nothing.
    pub(crate) fn sparse(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// Captures a disk; gives the image directory, and what was said.
    pub(crate) fn capture(&self, disk: &Path, name: &str) -> (PathBuf, String) {
        self.capture_into("zstd", disk, name)
    }

    /// The same, with its data kept as `store` says.
    pub(crate) fn capture_into(&self, store: &str, disk: &Path, name: &str) -> (PathBuf, String) {
        let image = self.path(name);
        let builder = programs::find("image-builder").unwrap();
        let said = sh(
            "$1 capture --store $4 --no-progress $2 -o $3 2>&1; $1 verify --no-progress $3",
            &[text(&builder), text(disk), text(&image), store],
        );
        (image, said)
    }

    /// Exports an image as Clonezilla would have saved it; gives what was said.
    pub(crate) fn exported_to_clonezilla(&self, image: &Path) -> String {
        let builder = programs::find("image-builder").unwrap();
        let folder = self.path("exported");
        sh("$1 export $2 --clonezilla $3 --no-progress 2>&1", &[text(&builder), text(image), text(&folder)])
    }

    /// Deploys an image to a device; gives what was said.
    pub(crate) fn deploy(&self, image: &Path, device: &str, settings: &str) -> String {
        let (done, said) = self.try_deploy(image, device, settings);
        assert!(done, "{said}");
        said
    }

    /// The same; says whether it was done.
    pub(crate) fn try_deploy(&self, image: &Path, device: &str, settings: &str) -> (bool, String) {
        let conf = self.path("ezio.conf");
        let name = image.file_name().unwrap().to_str().unwrap();
        std::fs::write(&conf, format!("image = \"{name}\"\n{settings}")).unwrap();
        let server = Server::start(image, &["--conf", text(&conf)]).unwrap();
        let log = self.path("deploy.log");
        let mut command = Command::new(programs::find("ezio-init").unwrap());
        command.args(["deploy", "--yes", "--conf", &format!("{}ezio.conf", server.url), "--disk", device]);
        let status =
            Process::start(command.stderr(File::create(&log).unwrap())).unwrap().wait(LIMIT).unwrap();
        (status.success(), std::fs::read_to_string(&log).unwrap())
    }
}

/// A part of a device as a device of its own.
pub(crate) fn window(device: &str, start: u64, length: u64) -> Loop {
    Loop::new(Path::new(device), start, length).unwrap()
}
