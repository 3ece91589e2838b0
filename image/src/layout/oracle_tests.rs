//! Tables of ours read by sfdisk and sgdisk, and theirs by us: on sparse files, as a plain user.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

const SIZE: u64 = 64 << 20;

fn tool(name: &str, package: &str) -> Command {
    let path =
        ["/usr/sbin", "/sbin", "/usr/bin"].iter().map(|d| Path::new(d).join(name)).find(|p| p.exists());
    Command::new(path.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}")))
}

fn run(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{command:?}:\n{text}{}", String::from_utf8_lossy(&out.stderr));
    text
}

fn sfdisk_writes(path: &Path, script: &str) {
    run(tool("sfdisk", "fdisk").arg("--no-reread").arg("--no-tell-kernel").arg(path), script);
}

fn sfdisk_dump(path: &Path) -> String {
    run(tool("sfdisk", "fdisk").arg("--dump").arg(path), "")
}

fn sparse(dir: &TempDir, name: &str, size: u64) -> (std::path::PathBuf, File) {
    let path = dir.path().join(name);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.set_len(size).unwrap();
    (path, file)
}

fn read(path: &Path) -> Layout {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    Layout::read_from_disk(&file, size, 512, path.to_str().unwrap()).unwrap()
}

fn write(file: &File, image: &TableImage) {
    for (offset, bytes) in image.writes() {
        file.write_all_at(bytes, *offset).unwrap();
    }
}

const GPT: &str = "label: gpt\n\
    label-id: 6F1C1B57-6E0B-4B35-9B9A-0B4E5B1B7C11\n\
    unit: sectors\n\
    first-lba: 34\n\
    1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A01\n\
    7 : start=10240, size=20480, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, \
        uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A07, name=\"EFI \\x22 \\xc3\\xa4\", attrs=\"RequiredPartition GUID:60,63\"\n\
    3 : start=40960, size=40960, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
        uuid=D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A03, name=\"root\", attrs=\"LegacyBIOSBootable\"\n";

const MBR: &str = "label: dos\nlabel-id: 0xcafe1234\nunit: sectors\n\
    1 : start=2048, size=8192, type=83, bootable\n\
    2 : start=10240, size=61440, type=f\n\
    3 : start=73728, size=4096, type=7\n\
    5 : start=12288, size=8192, type=82\n\
    6 : start=22528, size=4096, type=83\n\
    7 : start=40960, size=8192, type=b\n";

#[test]
fn their_tables_are_read_and_printed_as_they_print_them() {
    let dir = tempfile::tempdir().unwrap();
    for (name, script) in [("gpt.img", GPT), ("dos.img", MBR), ("disk7", GPT), ("disk8", MBR)] {
        let (path, _file) = sparse(&dir, name, SIZE);
        sfdisk_writes(&path, script);
        let dump = sfdisk_dump(&path);
        assert_eq!(read(&path).to_sfdisk(), dump, "{name}");
        assert_eq!(Layout::parse_sfdisk(&dump).unwrap(), read(&path), "{name}");
    }
}

#[test]
fn our_tables_are_what_sfdisk_reads() {
    let dir = tempfile::tempdir().unwrap();
    for (name, script) in [("gpt", GPT), ("dos", MBR)] {
        let (source, _file) = sparse(&dir, &format!("{name}.source"), SIZE);
        sfdisk_writes(&source, script);
        let layout = Layout::parse_sfdisk(&sfdisk_dump(&source)).unwrap();
        for size in [SIZE, SIZE + 5 * 512, 3 << 40] {
            let (target, file) = sparse(&dir, &format!("{name}.target"), size);
            write(&file, &layout.encode(size, 512).unwrap());
            let ours = sfdisk_dump(&target).replace("target", "source");
            let last_lba = |text: &str| {
                text.lines().filter(|l| !l.starts_with("last-lba")).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(last_lba(&ours), last_lba(&sfdisk_dump(&source)), "{name} {size}");
            if size == SIZE {
                assert_eq!(ours, sfdisk_dump(&source));
            }
            let verify = run(tool("sfdisk", "fdisk").arg("--verify").arg(&target), "");
            assert!(verify.contains("No errors detected"), "{name} {size}:\n{verify}");
        }
    }
}

#[test]
fn our_dump_makes_sfdisk_write_the_same_table() {
    let dir = tempfile::tempdir().unwrap();
    for (name, script) in [("gpt", GPT), ("dos", MBR)] {
        let (source, _file) = sparse(&dir, &format!("{name}.source"), SIZE);
        sfdisk_writes(&source, script);
        let (target, _file) = sparse(&dir, &format!("{name}.target"), SIZE);
        sfdisk_writes(&target, &read(&source).to_sfdisk());
        let (ours, theirs) = (read(&source), read(&target));
        assert_eq!((ours.table(), ours.partitions()), (theirs.table(), theirs.partitions()), "{name}");
    }
}

#[test]
fn sgdisk_finds_nothing_wrong_with_our_gpt() {
    let dir = tempfile::tempdir().unwrap();
    let (source, _file) = sparse(&dir, "source", SIZE);
    sfdisk_writes(&source, GPT);
    let layout = read(&source);
    for size in [SIZE, SIZE * 3 + 1024] {
        let (target, file) = sparse(&dir, "target", size);
        write(&file, &layout.encode(size, 512).unwrap().with_boot_code(&[0xfa; 440]));
        let verify = run(tool("sgdisk", "gdisk").arg("--verify").arg(&target), "");
        assert!(verify.contains("No problems found"), "{size}:\n{verify}");
        let info = run(tool("sgdisk", "gdisk").arg("--info=7").arg(&target), "");
        assert!(info.contains("Partition unique GUID: D2D4C8C1-0A41-4C0F-8F6B-2C0E5E6C8A07"), "{info}");
        assert!(info.contains("Partition name: 'EFI \" ä'"), "{info}");
    }
}

#[test]
fn a_gpt_by_sgdisk_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _file) = sparse(&dir, "disk", SIZE);
    let mut sgdisk = tool("sgdisk", "gdisk");
    sgdisk.args(["--new=2:4096:+10M", "--change-name=2:home", "--typecode=2:8302", "--attributes=2:set:2"]);
    run(sgdisk.args(["--new=1:2048:4095", "--disk-guid=R"]).arg(&path), "");
    let layout = read(&path);
    assert_eq!(layout.partitions().len(), 2);
    let home = layout.partition(2).unwrap();
    assert_eq!((home.start, home.size), (4096, 20480));
    assert!(matches!(&home.entry, Entry::Gpt { name, attributes: 4, .. } if name == "home"));
    assert_eq!(layout.to_sfdisk(), sfdisk_dump(&path));
}
