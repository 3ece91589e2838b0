use std::fs::File;
use std::path::Path;
use std::process::Command;

use super::*;

fn label_made_by(program: &str, package: &str, size: u64, arguments: &[&str]) -> Option<String> {
    let path =
        ["/usr/sbin", "/sbin", "/usr/bin"].iter().map(|d| Path::new(d).join(program)).find(|p| p.exists());
    let path = path.unwrap_or_else(|| panic!("{program} is missing: apt-get install {package}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size).unwrap();
    let out = Command::new(path).args(arguments).arg(file.path()).output().unwrap();
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    filesystem_label(&File::open(file.path()).unwrap(), 0)
}

#[test]
fn labels_that_others_wrote_are_read() {
    const MIB: u64 = 1 << 20;
    for (program, package, size, arguments) in [
        ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q", "-L", "root"][..]),
        ("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q", "-L", "root"]),
        ("mkfs.btrfs", "btrfs-progs", 160 * MIB, &["-q", "-L", "root"]),
        ("mkfs.vfat", "dosfstools", 32 * MIB, &["-F", "16", "-n", "root"]),
        ("mkfs.vfat", "dosfstools", 64 * MIB, &["-F", "32", "-n", "root"]),
        ("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F", "-L", "root"]),
        ("mkswap", "util-linux", 8 * MIB, &["-L", "root"]),
        ("mkfs.exfat", "exfatprogs", 16 * MIB, &["-L", "root"]),
        ("mkfs.f2fs", "f2fs-tools", 64 * MIB, &["-q", "-l", "root"]),
        ("mkfs.jfs", "jfsutils", 16 * MIB, &["-q", "-L", "root"]),
    ] {
        let label = label_made_by(program, package, size, arguments);
        assert_eq!(label.map(|l| l.to_lowercase()).as_deref(), Some("root"), "{program} {arguments:?}");
    }
    assert_eq!(label_made_by("mkfs.vfat", "dosfstools", 8 * MIB, &[]), None);
    assert_eq!(label_made_by("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F"]), None);
    assert_eq!(label_made_by("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q"]), None);
}

#[test]
fn what_is_no_file_system_has_no_label() {
    assert_eq!(filesystem_label(&vec![0; 1 << 20], 0), None);
    assert_eq!(filesystem_label(&vec![0xff; 1 << 20], 0), None);
    assert_eq!(filesystem_label(&vec![0; 100], 0), None);
    assert_eq!(filesystem_label(&vec![0; 100], u64::MAX), None);
}

#[test]
fn a_label_that_windows_changed_is_read_where_windows_writes_it() {
    const MIB: u64 = 1 << 20;
    for (size, kind) in [(4 * MIB, "12"), (32 * MIB, "16"), (64 * MIB, "32")] {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let out = Command::new(program).args(arguments).output();
            let out = out.unwrap_or_else(|e| panic!("{program}: {e} (packages dosfstools, mtools)"));
            assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
        };
        let path = file.path().to_str().unwrap();
        run("/usr/sbin/mkfs.vfat", &["-F", kind, "-n", "OLD", path]);
        // mlabel writes into the root directory; the boot sector's copy is made old again.
        run("mlabel", &["-i", path, "::NEU"]);
        let boot = File::options().write(true).open(path).unwrap();
        let at = if kind == "32" { 71 } else { 43 };
        std::os::unix::fs::FileExt::write_all_at(&boot, b"OLD        ", at).unwrap();
        assert_eq!(filesystem_label(&File::open(path).unwrap(), 0).as_deref(), Some("NEU"), "FAT{kind}");
    }
}

proptest::proptest! {
    #[test]
    fn no_fat_makes_it_panic(boot in proptest::collection::vec(proptest::prelude::any::<u8>(), 512), kind in 0u8..3) {
        let mut disk = vec![0x41; 1 << 17];
        disk[..512].copy_from_slice(&boot);
        disk[510..512].copy_from_slice(b"\x55\xaa");
        match kind {
            0 => disk[3..11].copy_from_slice(b"EXFAT   "),
            1 => disk[82..87].copy_from_slice(b"FAT32"),
            _ => disk[54..59].copy_from_slice(b"FAT16"),
        }
        let _ = filesystem_label(&disk, 0);
    }

    #[test]
    fn no_ntfs_makes_it_panic(head in proptest::collection::vec(proptest::prelude::any::<u8>(), 64), fill in proptest::prelude::any::<u8>()) {
        let mut disk = vec![fill; 1 << 17];
        disk[..64].copy_from_slice(&head);
        disk[3..11].copy_from_slice(b"NTFS    ");
        for at in (0..disk.len() - 4).step_by(512).skip(1) {
            disk[at..at + 4].copy_from_slice(b"FILE");
        }
        let _ = filesystem_label(&disk, 0);
    }
}
