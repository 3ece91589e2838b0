//! Images that the real `ocs-sr` saved of loop devices: imported, served, deployed, and held against what
//! `partclone.restore` makes of the same files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ezio_tests::loop_device::Loop;
use ezio_tests::loopback::{Process, Server};
use ezio_tests::vm::material;
use ezio_tests::{mounts, programs};

const MIB: u64 = 1 << 20;
/// Longest time for a deployment of some MiB, and for `ocs-sr`, which needs ten seconds of a free machine.
const LIMIT: Duration = Duration::from_secs(600);

/// A folder, and a disk in it that Clonezilla saves.
struct Bench {
    folder: tempfile::TempDir,
    disk: Loop,
}

impl Bench {
    /// A disk of so many MiB, partitioned by a script for sfdisk and filled by one for the shell, in which `$1` is the disk.
    fn new(size: u64, table: &str, fill: &str) -> Self {
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Name of the disk, or of a partition of it.
    fn name(&self, partition: &str) -> String {
        format!("{}{partition}", self.disk.0.trim_start_matches("/dev/"))
    }

    /// Runs a script to its good end, in the folder; gives what it prints.
    fn sh(&self, script: &str) -> String {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script, "bash", &self.disk.0])
            .current_dir(self.folder.path());
        let out = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        assert!(out.status.success(), "{script}\n{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Runs a program of Clonezilla.
    fn clonezilla(&self, arguments: &[&str]) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = Command::new(programs::own_file("scripts/clonezilla"));
        command.arg(material::clonezilla().unwrap()).arg(self.path("images")).args(arguments);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let status = Process::start(&mut command).unwrap().wait(LIMIT).unwrap();
        assert!(status.success(), "{arguments:?}: {}", fs::read_to_string(self.path("log")).unwrap());
    }

    /// Has `ocs-sr` save the disk or a partition, with more options; gives the image.
    fn save(&self, what: &str, device: &str, options: &[&str]) -> PathBuf {
        let fixed = ["ocs-sr", "-q2", "-batch", "-nogui", "-sfsck", "-senc", "-scs", "-p", "true"];
        self.clonezilla(&[&fixed, options, &[what, "image", device]].concat());
        let image = self.path("images/image");
        assert!(image.join("parts").exists(), "{}", fs::read_to_string(self.path("log")).unwrap());
        image
    }

    /// What `partclone.restore` makes of a partition's files, over zeros.
    fn restored(&self, image: &Path, partition: &str, decompress: &str, length: usize) -> Vec<u8> {
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
    fn import(&self, image: &Path, output: &Path, more: &[&str]) -> (bool, String) {
        let mut command = Command::new(programs::find("image-builder").unwrap());
        let out = command.arg("import").arg(image).arg("-o").arg(output).args(more).output().unwrap();
        (out.status.success(), [out.stdout, out.stderr].map(|b| String::from_utf8(b).unwrap()).concat())
    }

    /// Has the image exported, and Clonezilla restore it to a blank disk of so many MiB.
    fn exported_to_clonezilla(&self, image: &Path, size: u64) -> Target {
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
    fn exported_raw(&self, image: &Path, target: &Target) {
        let export =
            format!("{} export {}", programs::find("image-builder").unwrap().display(), image.display());
        self.sh(&format!("{export} --raw raw.img --no-progress; cmp raw.img {}", target.file.display()));
        assert_eq!(
            self.sh("[ $(du --block-size=1 raw.img | cut -f1) -lt $(stat -c %s raw.img) ] && echo sparse"),
            "sparse\n"
        );
    }

    /// Has a served image deployed to a blank disk of so many MiB.
    fn deploy(&self, server: &Server, size: u64) -> Target {
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
    fn same_table(&self, target: &Target) {
        let dump = |disk: &str| format!("sfdisk -d {disk} | sed 's,{disk}p\\?,,; /^last-lba/d; /^device/d'");
        self.sh(&format!("diff <({}) <({})", dump(&self.disk.0), dump(&target.device.0)));
    }
}

fn is_of(file: &Path, partition: &str, form: &str) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    name.strip_prefix(partition).is_some_and(|rest| rest.starts_with(form))
}

/// A disk that an image went to.
struct Target {
    file: PathBuf,
    device: Loop,
}

impl Target {
    /// Bytes at an offset in sectors.
    fn bytes(&self, start: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        File::open(&self.file).unwrap().read_exact_at(&mut bytes, start * 512).unwrap();
        bytes
    }
}

const SECTOR: usize = 512;

#[test]
fn a_gpt_disk_is_served_as_clonezilla_saved_it() {
    let bench = Bench::new(
        96,
        "label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
size=20480, type=U, name=\"EFI system\"
size=81920, type=L, name=root, attrs=\"LegacyBIOSBootable\"
size=8192, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
size=16384, type=S",
        "head -c 1M /dev/urandom >${1}p1
mkfs.vfat -F 16 -h 4096 -n ESP ${1}p2 >/dev/null; mmd -i ${1}p2 ::EFI ::EFI/BOOT
head -c 9000 /dev/urandom >loader; for arch in X64 AA64; do mcopy -i ${1}p2 loader ::EFI/BOOT/BOOT$arch.EFI; done
mkdir files; head -c 7M /dev/urandom >files/noise
mkfs.ext4 -q -L root -d files ${1}p3; mkswap -q -L swapped ${1}p5 >/dev/null",
    );
    let disk = bench.name("");
    let image = bench.save("savedisk", &disk, &["-j2", "-z9p", "-i", "3", "-gm"]);
    assert!(image.join(format!("{disk}p3.ext4-ptcl-img.zst.ac")).exists(), "it was split");

    let state = bench.path("state");
    let start = || Server::start(&image, &["--state", state.to_str().unwrap()]).unwrap();
    let server = start();
    let imported = state.join("imported/image");
    let made = || fs::metadata(imported.join("manifest.toml")).unwrap().modified().unwrap();
    let first = made();
    let target = bench.deploy(&server, 128);
    bench.same_table(&target);
    for (partition, start, sectors) in [("p1", 2048, 2048), ("p2", 4096, 20480), ("p3", 24576, 81920)] {
        let length = sectors * SECTOR;
        let restored = bench.restored(&image, partition, "zstd -dc", length);
        assert!(target.bytes(start, length) == restored, "{partition}");
    }
    bench.sh(&format!("sgdisk --verify {0}; e2fsck -fn {0}p3; fsck.fat -n {0}p2", target.device.0));
    let swap = |disk: &str| bench.sh(&format!("blkid -p -o value -s UUID -s LABEL {disk}p5"));
    assert_eq!(swap(&target.device.0), swap(&bench.disk.0));
    let manifest = fs::read_to_string(imported.join("manifest.toml")).unwrap();
    assert!(!manifest.contains("\narch = "), "it has loaders of both: {manifest}");

    let restored = bench.exported_to_clonezilla(&imported, 96);
    bench.same_table(&restored);
    for (start, sectors) in [(2048, 2048), (4096, 20480)] {
        let length = sectors * SECTOR;
        assert!(restored.bytes(start, length) == target.bytes(start, length), "from sector {start} on");
    }
    // Clonezilla mounts this one afterwards, to adapt a system that it would find there.
    bench.sh(&format!(
        "sgdisk --verify {0}; e2fsck -fn {0}p3; debugfs -R 'dump /noise copy' {0}p3 2>&1; cmp copy files/noise",
        restored.device.0
    ));
    assert_eq!(swap(&restored.device.0), swap(&bench.disk.0));

    // It is imported once; and anew when it has changed.
    drop(server);
    drop(start());
    assert_eq!(made(), first);
    fs::write(image.join("Info-saved-by-cmd.txt"), "again").unwrap();
    drop(start());
    assert_ne!(made(), first);

    damaged_images_are_refused(&bench, &image);
}

/// What is missing, cut short or changed is told by its file, and nothing is left.
fn damaged_images_are_refused(bench: &Bench, image: &Path) {
    let root = |volume: &str| image.join(format!("{}.ext4-ptcl-img.zst.{volume}", bench.name("p3")));
    let refused = |words: &str| {
        let (good, said) = bench.import(image, &bench.path("refused"), &["--no-progress"]);
        assert!(!good && said.contains(words), "{words}: {said}");
        assert!(!bench.sh("ls").contains("refused"), "nothing is left");
    };
    let with = |path: &Path, change: &dyn Fn(), words: &str| {
        fs::copy(path, bench.path("kept")).unwrap();
        change();
        refused(words);
        fs::rename(bench.path("kept"), path).unwrap();
    };
    let damage = |path: &Path| {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 100_000).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 100_000).unwrap();
    };
    let (first, second, last) = (root("aa"), root("ab"), root("ac"));
    with(&second, &|| fs::remove_file(&second).unwrap(), "zst.ac a file is missing");
    with(&second, &|| damage(&second), ".zst.ab");
    with(&first, &|| fs::remove_file(&first).unwrap(), "files before it are not");
    // Without its sum the compression and partclone still tell.
    fs::rename(image.join("MD5SUMS"), bench.path("sums")).unwrap();
    with(&second, &|| damage(&second), ".zst.a");
    with(&last, &|| fs::remove_file(&last).unwrap(), ".zst.ab, before byte 3000000");
    with(
        &last,
        &|| File::options().write(true).open(&last).unwrap().set_len(1000).unwrap(),
        ".zst.ac, before byte 1000",
    );
    fs::rename(bench.path("sums"), image.join("MD5SUMS")).unwrap();
    let table = image.join(format!("{}-pt.sf", bench.name("")));
    with(&table, &|| fs::write(&table, "label: gpt\n").unwrap(), "its sum is not the one in MD5SUMS");
}

#[test]
fn an_mbr_disk_keeps_what_lies_around_its_partitions() {
    let bench = Bench::new(
        96,
        "label: dos
start=2048, size=40960, type=83, bootable
start=43008, size=143360, type=5
start=45056, size=40960, type=7
start=88064, size=40960, type=83
start=131072, size=16384, type=82",
        "head -c 440 /dev/urandom >code; dd if=code of=$1 conv=notrunc status=none
head -c 30000 /dev/urandom | dd of=$1 seek=1 oflag=seek_bytes seek=512 status=none
head -c 400 /dev/urandom | dd of=$1 oflag=seek_bytes seek=$((43008 * 512)) status=none
mkfs.ext4 -q -b 1024 ${1}p1; mkntfs -q -F -Q -p 45056 -H 255 -S 63 ${1}p5 2>/dev/null; mkfs.ext4 -q ${1}p6; mkswap -q ${1}p7 >/dev/null
mkdir files; head -c 3M /dev/urandom >noise; mkfs.ext4 -q -F -d files ${1}p6",
    );
    let disk = bench.name("");
    let image = bench.save("savedisk", &disk, &["-j2", "-z1p", "-i", "2000", "-gs"]);
    // Another disk's name for it: the dump says "sdzp", and the sums no longer fit.
    bench.clonezilla(&["cnvt-ocs-dev", "-b", "-d", "/home/partimag", "image", &disk, "nvme7n1"]);
    let output = bench.path("imported");
    let (good, said) = bench.import(&image, &output, &["--no-progress"]);
    assert!(
        good && said.contains("note: nvme7n1p2: the boot code in its first sector is not kept"),
        "{said}"
    );
    let server = Server::start(&output, &[]).unwrap();
    let target = bench.deploy(&server, 96);
    bench.same_table(&target);
    assert_eq!(target.bytes(0, 440), fs::read(bench.path("code")).unwrap());
    assert_eq!(
        target.bytes(1, 2047 * SECTOR),
        fs::read(image.join("nvme7n1-hidden-data-after-mbr")).unwrap()
    );
    bench.exported_raw(&output, &target);
    bench.sh(&format!(
        "rename() {{ for f in images/image/nvme7n1p*; do mv $f ${{f/nvme7n1p/{disk}p}}; done; }}; rename"
    ));
    for (partition, start) in [("p1", 2048), ("p5", 45056), ("p6", 88064)] {
        let length = 40960 * SECTOR;
        assert!(
            target.bytes(start, length) == bench.restored(&image, partition, "gzip -dc", length),
            "{partition}"
        );
    }
    bench.sh(&format!("for n in 1 6; do e2fsck -fn {}p$n; done", target.device.0));
}
