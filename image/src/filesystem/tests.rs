use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::*;

const MIB: u64 = 1 << 20;

/// Runs a program of the system, and gives what it prints.
fn run(program: &str, package: &str, arguments: &[&str]) -> String {
    let path =
        ["/usr/sbin", "/sbin", "/usr/bin"].iter().map(|d| Path::new(d).join(program)).find(|p| p.exists());
    let path = path.unwrap_or_else(|| panic!("{program} is missing: apt-get install {package}"));
    let out = Command::new(path).args(arguments).env("LC_ALL", "C").output().unwrap();
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A file with a file system that a program of the system made.
fn made_by(program: &str, package: &str, size: u64, arguments: &[&str]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(size).unwrap();
    run(program, package, &[arguments, &[file.path().to_str().unwrap()]].concat());
    file
}

fn inspected(file: &tempfile::NamedTempFile) -> FileSystem {
    inspect(&File::open(file.path()).unwrap(), 0).unwrap().unwrap()
}

/// How to make each file system with the label "root", and the size of what it is made on.
const MADE: [(&str, &str, u64, &[&str]); 10] = [
    ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q", "-L", "root"]),
    ("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q", "-L", "root"]),
    ("mkfs.btrfs", "btrfs-progs", 160 * MIB, &["-q", "-L", "root"]),
    ("mkfs.vfat", "dosfstools", 32 * MIB, &["-F", "16", "-n", "root"]),
    ("mkfs.vfat", "dosfstools", 64 * MIB, &["-F", "32", "-n", "root"]),
    ("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F", "-L", "root"]),
    ("mkswap", "util-linux", 8 * MIB, &["-L", "root"]),
    ("mkfs.exfat", "exfatprogs", 16 * MIB, &["-L", "root"]),
    ("mkfs.f2fs", "f2fs-tools", 128 * MIB, &["-q", "-l", "root"]),
    ("mkfs.jfs", "jfsutils", 16 * MIB, &["-q", "-L", "root"]),
];

#[test]
fn labels_and_sizes_that_others_wrote_are_read() {
    for (program, package, size, arguments) in MADE {
        let made = inspected(&made_by(program, package, size, arguments));
        assert_eq!(made.label.map(|l| l.to_lowercase()).as_deref(), Some("root"), "{program} {arguments:?}");
        // A few round down to the size of their groups.
        assert!(made.size <= size && made.size > size - 2 * MIB, "{program}: {} of {size}", made.size);
        assert_eq!((made.unclean, made.unmappable), (None, None), "{program}");
    }
    for (program, package, size, arguments) in [
        ("mkfs.vfat", "dosfstools", 32 * MIB, &[][..]),
        ("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F"]),
        ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q"]),
        ("mkfs.minix", "util-linux", 8 * MIB, &[]),
    ] {
        assert_eq!(inspected(&made_by(program, package, size, arguments)).label, None, "{program}");
    }
}

#[test]
fn labels_are_what_blkid_prints() {
    for (program, package, size, arguments) in [
        ("mkfs.exfat", "exfatprogs", 16 * MIB, &["-L", "Data 1"][..]),
        ("mkfs.f2fs", "f2fs-tools", 128 * MIB, &["-q", "-l", "Data 1, and more than others take"]),
        ("mkfs.jfs", "jfsutils", 16 * MIB, &["-q", "-L", "Data is sixteen"]),
        ("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F", "-L", "Data 1"]),
        ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q", "-L", "Data is sixteen"]),
    ] {
        let file = made_by(program, package, size, arguments);
        let path = file.path().to_str().unwrap();
        let said = run("blkid", "util-linux", &["-p", "-o", "value", "-s", "LABEL", path]);
        assert_eq!(inspected(&file).label.as_deref(), Some(said.trim_end()), "{program}");
        assert!(said.starts_with("Data "), "{said}");
    }
}

/// blkid's word for it is `BLOCK_SIZE`, "minimal block size accessible by file system".
#[test]
fn the_smallest_block_is_what_blkid_says() {
    let others: [(&str, &str, u64, &[&str]); 5] = [
        ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q", "-b", "4096"]),
        ("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q", "-s", "size=4096"]),
        ("mkfs.vfat", "dosfstools", 320 * MIB, &["-F", "32", "-S", "4096", "-s", "1"]),
        ("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F", "-s", "4096"]),
        ("mkfs.minix", "util-linux", 8 * MIB, &[]),
    ];
    let mut sizes = Vec::new();
    for (program, package, size, arguments) in MADE.into_iter().chain(others) {
        let file = made_by(program, package, size, arguments);
        let path = file.path().to_str().unwrap();
        let said = run("blkid", "util-linux", &["-p", "-o", "value", "-s", "BLOCK_SIZE", path]);
        // Of swap it says nothing: that is made of pages.
        let expected = if program == "mkswap" { 4096 } else { said.trim().parse().unwrap() };
        assert_eq!(inspected(&file).block, expected, "{program} {arguments:?}");
        sizes.push(expected);
    }
    assert!([512, 1024, 4096].iter().all(|size| sizes.contains(size)), "{sizes:?}");
}

#[test]
fn what_partclone_cannot_map_is_known() {
    for (program, package, size, arguments, word) in [
        ("mkfs.vfat", "dosfstools", 4 * MIB, &["-F", "12"][..], "FAT12"),
        ("mkfs.ext4", "e2fsprogs", 64 * MIB, &["-q", "-O", "bigalloc"], "bigalloc"),
        ("mkfs.minix", "util-linux", 8 * MIB, &["-3"], "minix"),
        ("mkfs.f2fs", "f2fs-tools", 60 * MIB, &["-q"], "100 MiB"),
    ] {
        let made = inspected(&made_by(program, package, size, arguments));
        assert!(made.unmappable.is_some_and(|why| why.contains(word)), "{program}: {:?}", made.unmappable);
        assert_eq!(made.unclean, None, "{program}");
    }
}

/// What the file systems' own programs say is in use, in bytes.
#[test]
fn what_is_in_use_is_counted_as_their_own_programs_count() {
    let number = |text: &str, before: &str| -> u64 {
        let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {text}"));
        rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let counted =
        |file: &tempfile::NamedTempFile| bytes_in_use(&File::open(file.path()).unwrap(), 0).unwrap().unwrap();
    let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
    for block in ["1024", "4096"] {
        let ext = made_by("mkfs.ext4", "e2fsprogs", 16 * MIB, &["-q", "-b", block]);
        let said = run("dumpe2fs", "e2fsprogs", &["-h", &path(&ext)]);
        let used = number(&said, "\nBlock count:") - number(&said, "\nFree blocks:");
        assert_eq!(counted(&ext), used * block.parse::<u64>().unwrap());
    }
    let xfs = made_by("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q"]);
    let said = run("xfs_db", "xfsprogs", &["-r", "-c", "sb 0", "-c", "print dblocks fdblocks", &path(&xfs)]);
    assert_eq!(counted(&xfs), (number(&said, "dblocks =") - number(&said, "fdblocks =")) * 4096);
    let exfat = made_by("mkfs.exfat", "exfatprogs", 16 * MIB, &[]);
    let said = run("dump.exfat", "exfatprogs", &[&path(&exfat)]);
    let used = number(&said, "Total Clusters:") - number(&said, "Free Clusters:");
    let heap = number(&said, "Cluster Heap Offset (sector offset):") * 512;
    assert_eq!(counted(&exfat), heap + used * number(&said, "Cluster size:"));
    let f2fs = made_by("mkfs.f2fs", "f2fs-tools", 128 * MIB, &["-q"]);
    assert_eq!(counted(&f2fs), 2 * 4096, "the root folder's node and data");
    for (size, kind) in [(32 * MIB, "16"), (64 * MIB, "32")] {
        let fat = made_by("mkfs.vfat", "dosfstools", size, &["-F", kind, "-s", "1"]);
        let empty = counted(&fat);
        let content = tempfile::NamedTempFile::new().unwrap();
        content.as_file().write_all_at(&[1; 100_000], 0).unwrap();
        run("mcopy", "mtools", &["-i", &path(&fat), &path(&content), "::x"]);
        assert_eq!(counted(&fat) - empty, 100_000u64.next_multiple_of(512), "FAT{kind}");
    }
}

#[test]
fn a_label_that_windows_changed_is_read_where_windows_writes_it() {
    for (size, kind) in [(4 * MIB, "12"), (32 * MIB, "16"), (64 * MIB, "32")] {
        let fat = made_by("mkfs.vfat", "dosfstools", size, &["-F", kind, "-n", "OLD"]);
        // mlabel writes into the root folder; the boot sector's copy is made old again.
        run("mlabel", "mtools", &["-i", fat.path().to_str().unwrap(), "::NEU"]);
        let at = if kind == "32" { 71 } else { 43 };
        fat.as_file().write_all_at(b"OLD        ", at).unwrap();
        assert_eq!(inspected(&fat).label.as_deref(), Some("NEU"), "FAT{kind}");
    }
}

#[test]
fn folders_of_fat_are_listed_by_the_names_that_people_see() {
    for (size, kind) in [(MIB, "12"), (32 * MIB, "16"), (64 * MIB, "32")] {
        let fat = made_by("mkfs.vfat", "dosfstools", size, &["-F", kind, "-s", "1", "-n", "ESP"]);
        let path = |file: &tempfile::NamedTempFile| file.path().to_str().unwrap().to_owned();
        let image = path(&fat);
        run("mmd", "mtools", &["-i", &image, "::EFI", "::EFI/Boot"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        // A name too long for FAT takes three entries: the folder outgrows its first clusters of 512 bytes.
        for n in 0..30 {
            run(
                "mcopy",
                "mtools",
                &["-i", &image, &path(&file), &format!("::EFI/Boot/some long name, number {n}")],
            );
        }
        run("mcopy", "mtools", &["-i", &image, &path(&file), "::EFI/Boot/BootX64.efi"]);
        run("mdel", "mtools", &["-i", &image, "::EFI/Boot/some long name, number 7"]);
        let list = |path: &[&str]| fat_folder(fat.as_file(), 0, path).unwrap();
        assert_eq!(list(&[]), ["EFI"], "FAT{kind}");
        assert_eq!(list(&["EFI"]), [".", "..", "Boot"], "FAT{kind}");
        let names = list(&["EFI", "BOOT"]);
        assert_eq!((names.len(), names.last().unwrap().as_str()), (2 + 29 + 1, "BootX64.efi"), "FAT{kind}");
        let long = |n: u32| names.contains(&format!("some long name, number {n}"));
        assert!(long(0) && !long(7) && long(29), "FAT{kind}: {names:?}");
        assert!(list(&["EFI", "DEBIAN"]).is_empty() && list(&["NONE", "BOOT"]).is_empty());
    }
    let ext4 = made_by("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q"]);
    assert!(fat_folder(ext4.as_file(), 0, &[]).unwrap().is_empty());
}

#[test]
fn what_was_not_unmounted_says_so() {
    for (program, package, size, arguments, at, byte) in [
        ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q"][..], 1024 + 0x3a, 0u8),
        ("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q"], 1024 + 0x3a, 3),
        ("mkfs.btrfs", "btrfs-progs", 160 * MIB, &["-q"], (64 << 10) + 0x61, 1),
        ("mkfs.btrfs", "btrfs-progs", 160 * MIB, &["-q"], (64 << 10) + 0x88, 2),
        ("mkfs.exfat", "exfatprogs", 16 * MIB, &[], 106, 2),
        ("mkfs.vfat", "dosfstools", 32 * MIB, &["-F", "16"], 37, 1),
        ("mkfs.vfat", "dosfstools", 64 * MIB, &["-F", "32"], 65, 1),
        ("mkfs.jfs", "jfsutils", 16 * MIB, &["-q"], (32 << 10) + 40, 1),
    ] {
        let made = made_by(program, package, size, arguments);
        assert_eq!(inspected(&made).unclean, None, "{program}");
        made.as_file().write_all_at(&[byte], at).unwrap();
        assert!(inspected(&made).unclean.is_some(), "{program} {at:#x}");
    }
}

/// Debian has no program that makes HFS+: a header by TN1150.
#[test]
fn hfs_plus_is_read_and_says_whether_it_was_unmounted() {
    let volume = |attributes: u32| {
        let mut disk = vec![0u8; 4096];
        disk[1024..1026].copy_from_slice(b"H+");
        disk[1028..1032].copy_from_slice(&attributes.to_be_bytes());
        for (at, number) in [(40, 4096u32), (44, 1000), (48, 900)] {
            disk[1024 + at..1028 + at].copy_from_slice(&number.to_be_bytes());
        }
        disk
    };
    let clean = inspect(&volume(0x8000_0100), 0).unwrap().unwrap();
    assert_eq!((clean.size, clean.unclean), (4_096_000, None));
    assert_eq!(bytes_in_use(&volume(0x100), 0).unwrap(), Some(409_600));
    for mounted in [0x8000_0000, 0x900] {
        assert!(inspect(&volume(mounted), 0).unwrap().unwrap().unclean.is_some(), "{mounted:#x}");
    }
}

#[test]
fn what_is_no_file_system_is_none() {
    for disk in [vec![0; 1 << 20], vec![0xff; 1 << 20], vec![0; 100], vec![]] {
        assert_eq!(inspect(&disk, 0).unwrap(), None);
        assert_eq!(bytes_in_use(&disk, 0).unwrap(), None);
        assert_eq!(inspect(&disk, u64::MAX).unwrap(), None);
    }
}

proptest::proptest! {
    #[test]
    fn no_superblock_makes_it_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 1024),
        fill in proptest::prelude::any::<u8>(),
        kind in 0usize..9,
    ) {
        let mut disk = vec![fill; 1 << 17];
        let (base, at, magic): (usize, usize, &[u8]) = [
            (0, 3, b"NTFS    ".as_slice()),
            (0, 3, b"EXFAT   "),
            (0, 82, b"FAT32"),
            (0, 54, b"FAT16"),
            (1024, 0x38, b"\x53\xef"),
            (0, 0, b"XFSB"),
            (1024, 0, b"\x10\x20\xf5\xf2"),
            (32 << 10, 0, b"JFS1"),
            (1024, 0, b"H+"),
        ][kind];
        disk[base..base + 1024].copy_from_slice(&bytes);
        disk[base + at..base + at + magic.len()].copy_from_slice(magic);
        if base == 0 {
            disk[510..512].copy_from_slice(b"\x55\xaa");
            for at in (4096..disk.len() - 4).step_by(512) {
                disk[at..at + 4].copy_from_slice(b"FILE");
            }
        }
        let _ = inspect(&disk, 0);
        let _ = bytes_in_use(&disk, 0);
    }
}

/// Both boot sectors say so, by the field that the specification names.
fn hidden_sectors(file: &File, copy: u64) -> [u32; 2] {
    [0, copy].map(|at| {
        let mut word = [0; 4];
        FileExt::read_exact_at(file, &mut word, at + 0x1c).unwrap();
        u32::from_le_bytes(word)
    })
}

fn relocate(file: &File, size: u64, start: u64) -> Moved {
    let found = moved(file, &(0..size), start).unwrap().unwrap();
    found.changes.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    assert_eq!(moved(file, &(0..size), start).unwrap(), None, "says so now");
    found
}

#[test]
fn boot_sectors_say_where_their_volume_lies() {
    let made = |program, package, size, arguments| made_by(program, package, size, arguments).into_file();
    let ntfs = made("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F", "-p", "2048"]);
    let copy = 16 * MIB - 512;
    assert_eq!(hidden_sectors(&ntfs, copy), [2048; 2]);
    let found = relocate(&ntfs, 16 * MIB, 5 * MIB);
    assert_eq!((found.was, found.is, hidden_sectors(&ntfs, copy)), (2048, 10240, [10240; 2]));
    // A torrent may hold less than the volume: then there is no copy.
    assert_eq!(moved(&ntfs, &(0..8 * MIB), 6 * MIB).unwrap().unwrap().changes.len(), 1);
    // What begins behind 2 TiB cannot say so.
    assert_eq!(moved(&ntfs, &(0..16 * MIB), 3 << 40).unwrap(), None);

    let fat32 = made("mkfs.vfat", "dosfstools", 64 * MIB, &["-F", "32", "-h", "63"]);
    relocate(&fat32, 64 * MIB, MIB);
    assert_eq!(hidden_sectors(&fat32, 6 * 512), [2048; 2]);
    let fat16 = made("mkfs.vfat", "dosfstools", 32 * MIB, &["-F", "16"]);
    relocate(&fat16, 32 * MIB, 8 * MIB);
    assert_eq!(hidden_sectors(&fat16, 0), [16384; 2]);

    let exfat = made_by("mkfs.exfat", "exfatprogs", 16 * MIB, &[]);
    let found = relocate(exfat.as_file(), 16 * MIB, 7 * MIB);
    assert_eq!(found.is, 14336);
    // It recomputes the checksum of the boot region.
    run("fsck.exfat", "exfatprogs", &["-n", exfat.path().to_str().unwrap()]);
    let ext = made("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q"]);
    assert_eq!(moved(&ext, &(0..8 * MIB), MIB).unwrap(), None);
}

/// blkid says so, and each file system's own checker has nothing against it.
#[test]
fn a_volume_gets_an_id_that_others_read() {
    let fresh = uuid::Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
    let whole = "01234567-89ab-4def-8123-456789abcdef";
    for (program, package, size, arguments, id, check) in [
        ("mkfs.vfat", "dosfstools", 32 * MIB, &["-F", "16"][..], "6745-2301", &["fsck.fat", "-n"][..]),
        ("mkfs.vfat", "dosfstools", 64 * MIB, &["-F", "32"], "6745-2301", &["fsck.fat", "-n"]),
        ("mkfs.exfat", "exfatprogs", 16 * MIB, &[], "6745-2301", &["fsck.exfat", "-n"]),
        ("mkntfs", "ntfs-3g", 16 * MIB, &["-q", "-Q", "-F"], "EF4DAB8967452301", &["ntfsfix", "-n"]),
        ("mkswap", "util-linux", 8 * MIB, &[], whole, &["swaplabel"]),
        ("mkfs.btrfs", "btrfs-progs", 160 * MIB, &["-q"], whole, &["btrfs", "check", "--readonly"]),
        ("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q", "-s", "size=512"], whole, &["xfs_repair", "-n"]),
        ("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q", "-s", "size=4096"], whole, &["xfs_repair", "-n"]),
    ] {
        let made = made_by(program, package, size, arguments);
        let path = made.path().to_str().unwrap();
        let blkid =
            || run("blkid", "util-linux", &["-p", "-o", "value", "-s", "UUID", path]).trim().to_owned();
        let found = new_volume_id(made.as_file(), size, fresh).unwrap().unwrap();
        assert_eq!((found.was, found.is.as_str()), (blkid(), id), "{program}");
        let patches = match found.renewal {
            Renewal::Written(patches) => patches,
            // Nothing has been written to it: its log is clean.
            Renewal::Replayed(fresh) => replayed_id(made.as_file(), fresh).unwrap().unwrap(),
            other => panic!("{program}: {other:?}"),
        };
        for Patch { offset, content } in patches {
            let PatchContent::Bytes(bytes) = content else { panic!("{program}") };
            made.as_file().write_all_at(&bytes, offset).unwrap();
        }
        assert_eq!(blkid(), id, "{program}");
        run(check[0], package, &[&check[1..], &[path]].concat());
        let again = new_volume_id(made.as_file(), size, fresh).unwrap().unwrap();
        assert_eq!(again.was, id, "{program}");
    }
    let ext = |features: &str| {
        let made = made_by("mkfs.ext4", "e2fsprogs", 8 * MIB, &["-q", "-O", features]);
        new_volume_id(made.as_file(), 8 * MIB, fresh).unwrap().unwrap().renewal
    };
    for free in ["metadata_csum,metadata_csum_seed", "^metadata_csum,^uninit_bg"] {
        assert_eq!(ext(free), Renewal::Mounted(fresh.into_bytes()), "{free}");
    }
    let bound = |program, package, size, arguments: &[&str]| {
        let made = made_by(program, package, size, arguments);
        let found = new_volume_id(made.as_file(), size, fresh).unwrap().unwrap();
        assert!(matches!(found.renewal, Renewal::Refused(_)), "{program} {arguments:?}");
    };
    bound("mkfs.xfs", "xfsprogs", 320 * MIB, &["-q", "-m", "crc=0"]);
    bound("mkfs.btrfs", "btrfs-progs", 160 * MIB, &["-q", "--csum", "sha256"]);
    for bound in ["metadata_csum,^metadata_csum_seed", "^metadata_csum,uninit_bg", "stable_inodes"] {
        assert!(matches!(ext(bound), Renewal::Refused(_)), "{bound}");
    }
}
