//! A folder to work in, and what every test of a capture does.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ezio_tests::{mounts, programs};

pub(crate) const MIB: u64 = 1 << 20;
/// What the target's disk holds before: unused blocks must not matter.
pub(crate) const OLD: u8 = 0x5a;

pub(crate) fn ready() -> PathBuf {
    programs::need_root().unwrap();
    programs::need(&[
        "partclone.ext4",
        "sfdisk",
        "losetup",
        "mkfs.ext4",
        "mkfs.xfs",
        "mkfs.btrfs",
        "mkfs.vfat",
        "mkntfs",
        "mcopy",
        "mkswap",
        "ntfscat",
        "ntfsfix",
        "xfs_logprint",
        "xfs_repair",
        "btrfs",
        "fsck.fat",
        "fsck.minix",
        "mkfs.f2fs",
        "ntfsinfo",
    ])
    .unwrap();
    programs::find("image-builder").unwrap()
}

/// Runs a shell script with `$1`… set; it must succeed. Gives what it printed.
pub(crate) fn sh(script: &str, args: &[&Path]) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(args)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Captures into files of runs, which tests look at one by one.
pub(crate) fn capture(source: &Path, target: &Path, more: &[&str]) -> Output {
    Command::new(programs::find("image-builder").unwrap())
        .args(["capture", "--no-progress", "--store", "files"])
        .arg(source)
        .arg("-o")
        .arg(target)
        .args(more)
        .output()
        .unwrap()
}

pub(crate) fn captured(source: &Path, target: &Path, more: &[&str]) {
    let output = capture(source, target, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verified =
        Command::new(programs::find("image-builder").unwrap()).arg("verify").arg(target).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

pub(crate) fn refused(source: &Path, target: &Path, more: &[&str]) -> String {
    let output = capture(source, target, more);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!target.exists());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn sparse(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// A folder for one test, with a tree of files to put on file systems.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        mounts::keep_private().unwrap();
        let bench = Self { folder: tempfile::Builder::new().prefix("ezio-capture-").tempdir().unwrap() };
        let tree = bench.path("tree");
        fs::create_dir_all(tree.join("etc/deep")).unwrap();
        for (i, size) in [0usize, 1, 4095, 4096, 70_000, 3_000_000].into_iter().enumerate() {
            let content: Vec<u8> = (0..size).map(|n| (n * (i + 3) / 7) as u8).collect();
            fs::write(tree.join(format!("etc/file{i}")), &content).unwrap();
            fs::write(tree.join(format!("etc/deep/copy{i}")), &content).unwrap();
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bytes of `partition` at `offset` of a disk image.
    pub(crate) fn put(&self, disk: &Path, offset: u64, partition: &Path) {
        sh(
            "dd if=$1 of=$2 bs=1M seek=$(($3)) oflag=seek_bytes conv=notrunc,sparse status=none",
            &[partition, disk, Path::new(&offset.to_string())],
        );
    }

    /// Puts a partition together from its run files, on what another system left there.
    pub(crate) fn reassembled(&self, image: &Path, name: &str, size: u64) -> PathBuf {
        let target = self.path(&format!("{name}.new"));
        let file = File::create(&target).unwrap();
        let old = vec![OLD; MIB as usize];
        (0..size.div_ceil(MIB)).for_each(|i| file.write_all_at(&old, i * MIB).unwrap());
        file.set_len(size).unwrap();
        for run in fs::read_dir(image.join(name)).unwrap() {
            let run = run.unwrap();
            let offset = u64::from_str_radix(run.file_name().to_str().unwrap(), 16).unwrap();
            file.write_all_at(&fs::read(run.path()).unwrap(), offset).unwrap();
        }
        target
    }

    /// Compares the files of a file system that the kernel can mount with the tree.
    pub(crate) fn same_files(&self, partition: &Path) {
        sh(
            "mkdir -p $3; mount -o ro,loop $1 $3; trap 'umount $3' EXIT
             diff <(cd $2; find . -type f -exec sha256sum {} + | sort) \
                  <(cd $3; find . -name lost+found -prune -o -type f -exec sha256sum {} + | sort)",
            &[partition, &self.path("tree"), &self.path("mount")],
        );
    }

    pub(crate) fn ext4(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        sparse(&path, size);
        sh("mkfs.ext4 -q -L root -d $2 $1", &[&path, &self.path("tree")]);
        path
    }

    /// Loop devices over files of this test.
    pub(crate) fn loop_devices(&self) -> String {
        let all = sh("losetup --list --noheadings --output NAME,BACK-FILE", &[]);
        all.lines().filter(|line| line.contains(self.folder.path().to_str().unwrap())).collect()
    }

    /// Nothing that a capture makes is there.
    pub(crate) fn assert_clean(&self) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("image"), "{name} was left behind");
        }
        assert_eq!(self.loop_devices(), "");
    }
}
