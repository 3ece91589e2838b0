use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::plan::signature_places;

const MIB: u64 = 1 << 20;

/// Runs a program of the system with this input, and gives what it prints, whatever its status.
fn run(program: &str, package: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child =
        command.spawn().unwrap_or_else(|_| panic!("{program} is missing: apt-get install {package}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

struct Image(tempfile::NamedTempFile, u64);

impl Image {
    fn new(size: u64) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        Self(file, size)
    }

    fn made_by(program: &str, package: &str, size: u64, arguments: &[&str]) -> Self {
        let image = Self::new(size);
        run(program, package, &[arguments, &[image.path()]].concat(), "");
        image
    }

    /// With a table, and in one of its partitions what another file has.
    fn parted(size: u64, table: &str, offset: u64, content: &Self) -> Self {
        let image = Self::new(size);
        run("sfdisk", "fdisk", &["-q", image.path()], table);
        let bytes = std::fs::read(content.path()).unwrap();
        image.0.as_file().write_all_at(&bytes, offset).unwrap();
        image
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn holds(&self) -> Holds {
        look_at(&File::open(self.path()).unwrap(), self.1, 512)
    }
}

/// What makes something that blkid knows, and a word of what is said of it.
const MADE: [(&str, &str, u64, &[&str], &str); 13] = [
    ("mkfs.ext4", "e2fsprogs", 8, &["-q", "-L", "root"], "ext4 \"root\""),
    ("mkfs.xfs", "xfsprogs", 320, &["-q"], "XFS"),
    ("mkfs.btrfs", "btrfs-progs", 160, &["-q"], "btrfs"),
    ("mkfs.vfat", "dosfstools", 2, &["-F", "12"], "FAT"),
    ("mkfs.vfat", "dosfstools", 32, &["-F", "16"], "FAT"),
    ("mkfs.vfat", "dosfstools", 64, &["-F", "32"], "FAT"),
    ("mkntfs", "ntfs-3g", 16, &["-q", "-Q", "-F", "-L", "Daten"], "NTFS \"Daten\""),
    ("mkswap", "util-linux", 8, &[], "swap"),
    ("mkfs.exfat", "exfatprogs", 16, &[], "exFAT"),
    ("mkfs.f2fs", "f2fs-tools", 128, &["-q"], "F2FS"),
    ("mkfs.jfs", "jfsutils", 16, &["-q"], "JFS"),
    ("mkfs.minix", "util-linux", 8, &[], ""),
    ("sgdisk", "gdisk", 8, &["-o"], "GPT"),
];

#[test]
fn nothing_that_blkid_recognises_is_blank() {
    let mut recognised = 0;
    for (program, package, mib, arguments, word) in MADE {
        let image = Image::made_by(program, package, mib * MIB, arguments);
        let said = run("blkid", "util-linux", &["-p", "-o", "export", image.path()], "");
        let holds = image.holds();
        recognised += usize::from(!said.trim().is_empty());
        assert!(said.trim().is_empty() || !holds.blank, "{program}: blkid says {said}");
        assert!(holds.to_string().contains(word), "{program}: {holds}");
        // Each signature alone is enough, wherever it lies.
        for line in run("wipefs", "util-linux", &["-p", image.path()], "").lines().skip(1) {
            let offset = line.split(',').next().and_then(|at| at.strip_prefix("0x")).unwrap();
            let offset = u64::from_str_radix(offset, 16).unwrap();
            assert!(
                signature_places(&(0..mib * MIB)).iter().any(|place| place.contains(&offset)),
                "{program}"
            );
        }
    }
    assert_eq!(recognised, MADE.len());
}

#[test]
fn a_new_disk_is_blank_and_one_byte_makes_it_another() {
    for mib in [0, 1, 5, 100] {
        let image = Image::new(mib * MIB);
        assert_eq!(image.holds(), Holds { blank: true, ..Holds::default() }, "{mib}");
    }
    let size = 100 * MIB;
    for place in signature_places(&(0..size)) {
        for offset in [place.start, place.end - 1] {
            let image = Image::new(size);
            image.0.as_file().write_all_at(&[1], offset).unwrap();
            assert!(!image.holds().blank, "{offset}");
        }
    }
    let erased = vec![0xff; 9 * MIB as usize];
    assert!(look_at(&erased, 9 * MIB, 512).blank);
    assert!(!look_at(&erased, 10 * MIB, 512).blank, "what cannot be read is not blank");
}

#[test]
fn people_hear_which_system_is_there_and_how_much_of_it() {
    let data = Image::made_by("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F", "-L", "Daten"]);
    let table = "label: dos\nlabel-id: 0x1234abcd\nstart=2048, size=32768, type=7, bootable\n";
    let holds = Image::parted(20 * MIB, table, MIB, &data).holds();
    assert_eq!(holds.mark, Some(Mark::Mbr(0x1234_abcd)));
    let [system, volume] = holds.lines.as_slice() else { panic!("{holds}") };
    assert_eq!(system, "Windows");
    assert!(volume.starts_with("NTFS \"Daten\" ") && volume.ends_with(" used of 16.0 MiB"), "{volume}");
    let table =
        "label: gpt\nlabel-id: C12A7328-F81F-11D2-BA4B-00A0C93EC93B\nstart=2048, size=32768, type=linux\n";
    let root = Image::made_by("mkfs.ext4", "e2fsprogs", 16 * MIB, &["-q", "-M", "/"]);
    let holds = Image::parted(20 * MIB, table, MIB, &root).holds();
    assert_eq!(holds.mark, Mark::try_from("gpt:c12a7328-f81f-11d2-ba4b-00a0c93ec93b".to_owned()).ok());
    assert_eq!(holds.lines.first().map(String::as_str), Some("Linux"), "{holds}");
    // Partitions that were never used are nothing to miss.
    let holds = Image::parted(20 * MIB, table, MIB, &Image::new(0)).holds();
    assert_eq!(holds.to_string(), "GPT with 1 partitions that hold nothing which is known");
    assert!(!holds.blank);
}

#[test]
fn bytes_in_use_of_ntfs_are_what_its_own_tools_count() {
    let data = Image::made_by("mkntfs", "ntfs-3g", 64 * MIB, &["-q", "-Q", "-F"]);
    let said = run("ntfsinfo", "ntfs-3g", &["-m", data.path()], "");
    let number = |name: &str| -> u64 {
        let line = said.lines().find(|line| line.trim().starts_with(name)).expect(name);
        line.split(':').nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().parse().unwrap()
    };
    let clusters = number("Volume Size in Clusters") - number("Free Clusters");
    let file = File::open(Path::new(data.path())).unwrap();
    let used = crate::filesystem::ntfs_in_use(&file, 0).unwrap();
    assert_eq!(used, Some(clusters * number("Cluster Size")));
}

#[test]
fn a_file_system_without_a_table_is_known_by_its_id() {
    for (program, package, mib, arguments, _) in MADE.iter().filter(|made| made.0.starts_with("mk")) {
        let image = Image::made_by(program, package, mib * MIB, arguments);
        let said = run("blkid", "util-linux", &["-p", "-o", "value", "-s", "UUID", image.path()], "");
        match image.holds().mark {
            Some(mark) => assert_eq!(mark, Mark::Volume(said.trim().to_owned()), "{program}"),
            None => assert!(["mkfs.f2fs", "mkfs.jfs", "mkfs.minix"].contains(program), "{program}"),
        }
    }
}

#[test]
fn what_a_deployment_left_half_written_is_known_by_its_run() {
    let image = Image::new(20 * MIB);
    image.0.as_file().write_all_at(&begun::mark("0123abcd"), 0).unwrap();
    image.0.as_file().write_all_at(&[7; 4096], 2 * MIB).unwrap();
    let holds = image.holds();
    assert_eq!((holds.blank, holds.mark), (false, Some(Mark::Begun("0123abcd".into()))));
    let said = run("blkid", "util-linux", &["-p", "-o", "export", image.path()], "");
    assert_eq!(said.trim(), "", "nobody takes it for anything");
}
