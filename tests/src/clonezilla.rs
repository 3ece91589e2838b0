//! Images that the real `ocs-sr` of Clonezilla saves of loop devices, and what `partclone.restore` makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test's helpers fail the test"
)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::loop_device::Loop;
use crate::loopback::{Process, Server};
use crate::vm::material;
use crate::{mounts, programs};

const MIB: u64 = 1 << 20;
/// Longest time for a deployment of some MiB, and for `ocs-sr`, which needs ten seconds of a free machine.
const LIMIT: Duration = Duration::from_secs(600);

/// A folder, and a disk in it that Clonezilla saves.
pub struct Bench {
    folder: tempfile::TempDir,
    /// The disk.
    pub disk: Loop,
}

impl Bench {
    /// A disk of so many MiB, partitioned by a script for sfdisk and filled by one for the shell, in which `$1` is the disk.
    pub fn new(size: u64, table: &str, fill: &str) -> Self {
        programs::need_root().unwrap();
        mounts::keep_private().unwrap();
        programs::need(&[
            "bc",
            "dialog",
            "lzop",
            "mkfs.ext4",
            "mkntfs",
            "parted",
            "partclone.ext4",
            "partx",
            "pigz",
        ])
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let disk = Loop::blank(&folder.path().join("disk.img"), size * MIB).unwrap();
        let bench = Self { folder, disk };
        bench.sh(&format!("sfdisk -q --no-reread $1 <<'END'\n{table}\nEND\npartx --add $1\n{fill}"));
        fs::create_dir(bench.path("images")).unwrap();
        bench
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Name of the disk, or of a partition of it.
    pub fn name(&self, partition: &str) -> String {
        format!("{}{partition}", self.disk.0.trim_start_matches("/dev/"))
    }

    /// Runs a script to its good end, in the folder; gives what it prints.
    pub fn sh(&self, script: &str) -> String {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script, "bash", &self.disk.0])
            .current_dir(self.folder.path());
        let out = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        assert!(out.status.success(), "{script}\n{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Runs a program of Clonezilla.
    pub fn clonezilla(&self, arguments: &[&str]) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = Command::new(programs::own_file("scripts/clonezilla"));
        command.arg(material::clonezilla().unwrap()).arg(self.path("images")).args(arguments);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let status = Process::start(&mut command).unwrap().wait(LIMIT).unwrap();
        assert!(status.success(), "{arguments:?}: {}", fs::read_to_string(self.path("log")).unwrap());
    }

    /// Has `ocs-sr` save the disk or a partition, or several with blanks between, with more options; gives the image.
    pub fn save(&self, what: &str, devices: &str, options: &[&str]) -> PathBuf {
        let fixed = ["ocs-sr", "-q2", "-batch", "-nogui", "-sfsck", "-senc", "-scs", "-p", "true"];
        let devices: Vec<&str> = devices.split(' ').collect();
        self.clonezilla(&[&fixed, options, &[what, "image"], &devices].concat());
        let image = self.path("images/image");
        assert!(image.join("parts").exists(), "{}", fs::read_to_string(self.path("log")).unwrap());
        image
    }

    /// What `partclone.restore` makes of a partition's files, over zeros.
    pub fn restored(&self, image: &Path, partition: &str, decompress: &str, length: usize) -> Vec<u8> {
        let file = self.path(&format!("restored{partition}"));
        File::create(&file).unwrap().set_len(length as u64).unwrap();
        let stream = format!("cat {}/{}.*-ptcl-img.* | {decompress}", image.display(), self.name(partition));
        match fs::read_dir(image)
            .unwrap()
            .any(|f| is_of(&f.unwrap().path(), &self.name(partition), ".dd-ptcl-img"))
        {
            true => self.sh(&format!("{stream} >restored{partition}")),
            false => self
                .sh(&format!("{stream} | partclone.restore -C -q -L /dev/null -s - -O restored{partition}")),
        };
        fs::read(file).unwrap()
    }

    /// Makes an image of ezio; gives whether it succeeded, and all that was said.
    pub fn import(&self, image: &Path, output: &Path, more: &[&str]) -> (bool, String) {
        let mut command = Command::new(programs::find("image-builder").unwrap());
        let out = command.arg("import").arg(image).arg("-o").arg(output).args(more).output().unwrap();
        (out.status.success(), [out.stdout, out.stderr].map(|b| String::from_utf8(b).unwrap()).concat())
    }

    /// Has the image exported, and Clonezilla restore it to a blank disk of so many MiB.
    pub fn exported_to_clonezilla(&self, image: &Path, size: u64) -> Target {
        let file = self.path("restored.img");
        let device = Loop::blank(&file, size * MIB).unwrap();
        let name = device.0.trim_start_matches("/dev/");
        let export =
            format!("{} export {}", programs::find("image-builder").unwrap().display(), image.display());
        self.sh(&format!("{export} --clonezilla images/exported --no-progress"));
        self.sh("for f in images/exported/*-ptcl-img.*; do
            case $f in *.dd-*) ;; *) zstd -dc $f | partclone.chkimg -s - -L chkimg.log ;; esac; done");
        let disk = fs::read_to_string(self.path("images/exported/disk")).unwrap();
        self.clonezilla(&["cnvt-ocs-dev", "-b", "-d", "/home/partimag", "exported", disk.trim(), name]);
        let fixed =
            ["ocs-sr", "-batch", "-nogui", "-j2", "-scr", "-p", "true", "restoredisk", "exported", name];
        self.clonezilla(&fixed);
        Target { file, device }
    }

    /// The image as a file is what was deployed, byte for byte.
    pub fn exported_raw(&self, image: &Path, target: &Target) {
        let export =
            format!("{} export {}", programs::find("image-builder").unwrap().display(), image.display());
        self.sh(&format!("{export} --raw raw.img --no-progress; cmp raw.img {}", target.file.display()));
        assert_eq!(
            self.sh("[ $(du --block-size=1 raw.img | cut -f1) -lt $(stat -c %s raw.img) ] && echo sparse"),
            "sparse\n"
        );
    }

    /// Has a served image deployed to a blank disk of so many MiB.
    pub fn deploy(&self, server: &Server, size: u64) -> Target {
        let file = self.path("target.img");
        let device = Loop::blank(&file, size * MIB).unwrap();
        let log = File::create(self.path("log")).unwrap();
        let mut command = Command::new(programs::find("ezio-init").unwrap());
        command.args(["deploy", "--yes", "--conf", &format!("{}ezio.conf", server.url), "--disk", &device.0]);
        command.stdout(Stdio::null()).stderr(log);
        let status = Process::start(&mut command).unwrap().wait(LIMIT).unwrap();
        assert!(status.success(), "{}", fs::read_to_string(self.path("log")).unwrap());
        Target { file, device }
    }

    /// Is this the table of that disk, but for what names the device?
    pub fn same_table(&self, target: &Target) {
        let dump = |disk: &str| format!("sfdisk -d {disk} | sed 's,{disk}p\\?,,; /^last-lba/d; /^device/d'");
        self.sh(&format!("diff <({}) <({})", dump(&self.disk.0), dump(&target.device.0)));
    }
}

fn is_of(file: &Path, partition: &str, form: &str) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    name.strip_prefix(partition).is_some_and(|rest| rest.starts_with(form))
}

/// A disk that an image went to.
pub struct Target {
    /// What is on it.
    pub file: PathBuf,
    /// The disk.
    pub device: Loop,
}

impl Target {
    /// Bytes at an offset in sectors.
    pub fn bytes(&self, start: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        File::open(&self.file).unwrap().read_exact_at(&mut bytes, start * 512).unwrap();
        bytes
    }
}
