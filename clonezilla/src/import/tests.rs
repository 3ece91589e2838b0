//! Directories of Clonezilla that are made here: what is unusual about them, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use ezio_image::conf::Bus;
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::manifest::{Content, Manifest, SourceKind};
use ezio_imagedir::Keep;

use super::{Orders, Plan, choices, import};
use crate::Directory;

const TABLE: &str = "label: dos\nlabel-id: 0x12345678\ndevice: /dev/sda\nunit: sectors\nsector-size: 512\n\n\
    /dev/sda1 : start=2048, size=2048, type=83, bootable\n/dev/sda2 : start=4096, size=2048, type=83\n";
const PARTED: &str =
    "Model: ATA Disk (scsi)\nDisk /dev/sda: 10000s\nSector size (logical/physical): 512B/512B\n";

/// A directory with one disk, of which two partitions were saved.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.source()).unwrap();
        bench.disk("sda", TABLE);
        bench.put("disk", "sda\n");
        bench.put("parts", "sda1 sda2\n");
        bench
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("saved")
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.source().join(name), bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.source().join(name)).unwrap();
    }

    fn disk(&self, name: &str, table: &str) {
        self.put(&format!("{name}-pt.sf"), table.replace("sda", name));
        self.put(&format!("{name}-pt.parted"), PARTED.replace("sda", name));
        let runs = vec![Extent { offset: 0, length: 4096 }, Extent { offset: 65536, length: 1 << 19 }];
        let mut stream = Vec::new();
        let fill = |_, bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        crate::partclone::write(&mut stream, "EXTFS", 1 << 20, &ExtentMap::new(runs).unwrap(), fill).unwrap();
        self.put(&format!("{name}1.ext4-ptcl-img.uncomp.aa"), stream);
        self.put(&format!("{name}2.dd-ptcl-img.uncomp"), vec![9; 1 << 20]);
    }

    /// Imports everything, to OUT, or below it where there are several disks.
    fn import(&self) -> anyhow::Result<Vec<(PathBuf, Manifest)>> {
        let directory = Directory::open(&self.source())?;
        let mut made = Vec::new();
        let found = choices(&directory)?;
        for which in &found {
            let mut output = self.folder.path().join("out");
            if found.len() > 1 {
                fs::create_dir_all(&output)?;
                output.push(which.in_set().name);
            }
            let plan = Plan::make(&directory, which)?;
            let (name, builder) = ("out", "a test");
            let orders = Orders {
                name,
                output: &output,
                replace: false,
                keep: Keep::Files,
                piece_length: None,
                arch: None,
                builder,
            };
            made.push((output.clone(), import(&plan, &orders, &mut |_, _| Ok(()))?.0));
        }
        Ok(made)
    }

    fn refused(&self, words: &str) {
        let error = format!("{:#}", self.import().unwrap_err());
        assert!(error.contains(words), "{words}: {error}");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1, "nothing is left");
    }

    fn only(&self) -> Manifest {
        let [(_, manifest)] = <[_; 1]>::try_from(self.import().unwrap()).unwrap();
        manifest
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn a_disk_becomes_an_image() {
    let bench = Bench::new();
    let manifest = bench.only();
    let disk = manifest.disk.clone().unwrap();
    assert_eq!(
        (disk.size, disk.minimum_size, manifest.source.model.as_deref()),
        (5_120_000, 6144 * 512, Some("ATA Disk"))
    );
    let out = bench.folder.path().join("out");
    assert_eq!(length(&out.join("sda1/00000000000000000000000000010000")), 1 << 19);
    assert_eq!(length(&out.join("sda2")), 1 << 20);
    assert!(matches!(manifest.partitions[0].content, Content::Blocks { used: 528_384, .. }));
    assert!(matches!(manifest.partitions[1].content, Content::Raw { .. }));
    let whole = "sda2: Clonezilla saved every byte of it (what nobody knows): copied whole";
    assert_eq!(manifest.notes, [whole]);
}

#[test]
fn ntfs_gets_the_copy_of_its_boot_sector() {
    let bench = Bench::new();
    bench.remove("sda1.ext4-ptcl-img.uncomp.aa");
    let runs = ExtentMap::new(vec![Extent { offset: 0, length: 8192 }]).unwrap();
    let mut stream = Vec::new();
    let fill = |offset: u64, bytes: &mut [u8]| {
        bytes.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = at as u8);
        if offset == 0 {
            // Bytes a sector, and sectors.
            bytes[3..11].copy_from_slice(b"NTFS    ");
            bytes[11..13].copy_from_slice(&512u16.to_le_bytes());
            bytes[40..48].copy_from_slice(&2047u64.to_le_bytes());
        }
        Ok(())
    };
    crate::partclone::write(&mut stream, "NTFS", 1 << 20, &runs, fill).unwrap();
    bench.put("sda1.ntfs-ptcl-img.uncomp.aa", stream);
    assert!(matches!(bench.only().partitions[0].content, Content::Blocks { used: 8704, .. }));
    let read = |name: &str| fs::read(bench.folder.path().join("out/sda1").join(name)).unwrap();
    let (first, copy) = (read("00000000000000000000000000000000"), read("000000000000000000000000000ffe00"));
    assert_eq!(first[..512], copy);
}

#[test]
fn several_disks_become_an_image_each() {
    let bench = Bench::new();
    bench.disk("nvme0n1p", TABLE);
    for suffix in ["-pt.sf", "-pt.parted"] {
        fs::rename(
            bench.source().join(format!("nvme0n1p{suffix}")),
            bench.source().join(format!("nvme0n1{suffix}")),
        )
        .unwrap();
    }
    bench.put("disk", "sda nvme0n1\n");
    bench.put("parts", "sda1 sda2 nvme0n1p1 nvme0n1p2\n");
    let made = bench.import().unwrap();
    let names: Vec<_> = made.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["sda", "nvme0n1"]);
    assert_eq!(made[1].1.partitions[0].name, "nvme0n1p1");
    assert_eq!(made[1].1.arch, None, "either may be the one that starts");
    let directory = Directory::open(&bench.source()).unwrap();
    let buses: Vec<_> = choices(&directory).unwrap().iter().map(|which| which.in_set().bus).collect();
    assert_eq!(buses, [None, Some(Bus::Nvme)]);
}

#[test]
fn partitions_that_were_saved_alone_are_known() {
    let bench = Bench::new();
    bench.remove("disk");
    bench.remove("sda2.dd-ptcl-img.uncomp");
    bench.put("parts", "sda1\n");
    let manifest = bench.only();
    assert_eq!((manifest.source.kind, manifest.disk.is_none()), (SourceKind::Partition, true));
    assert_eq!((manifest.partitions[0].number, manifest.partitions[0].size), (0, 1 << 20));

    // Of a whole disk, of which one was not saved.
    let bench = Bench::new();
    bench.remove("sda2.dd-ptcl-img.uncomp");
    bench.put("parts", "sda1\n");
    let manifest = bench.only();
    assert_eq!(manifest.notes, ["sda2 was not saved: it is empty in this image, whatever was on it"]);
    assert_eq!(manifest.partitions[1].content, Content::Empty);
}

#[test]
fn tables_of_old_versions_and_renamed_disks_are_understood() {
    let bench = Bench::new();
    let old = "# partition table of /dev/sda\nunit: sectors\n\n/dev/sda1 : start= 2048, size= 2048, Id=83, bootable\n\
        /dev/sda2 : start= 4096, size= 2048, Id=83\n/dev/sda3 : start= 0, size= 0, Id= 0\n";
    bench.put("sda-pt.sf", old);
    assert_eq!(bench.only().partitions.len(), 2);

    let bench = Bench::new();
    bench.put(
        "sda-pt.sf",
        TABLE.replace("sector-size: 512\n", "").replace("=2048", "=256").replace("=4096", "=512"),
    );
    bench.put("sda-pt.parted", PARTED.replace("512B/512B", "4096B/4096B"));
    let manifest = bench.only();
    assert_eq!((manifest.disk.unwrap().sector_size, manifest.partitions[1].offset), (4096, 2 << 20));

    let bench = Bench::new();
    bench.disk("nvme0n1p", TABLE);
    fs::rename(bench.source().join("nvme0n1p-pt.sf"), bench.source().join("nvme0n1-pt.sf")).unwrap();
    bench.put("disk", "nvme0n1\n");
    bench.put("parts", "nvme0n1p1 nvme0n1p2\n");
    assert_eq!(bench.only().partitions[1].name, "nvme0n1p2");
    let dump = fs::read_to_string(bench.folder.path().join("out/layout.sfdisk")).unwrap();
    assert!(dump.contains("\ndevice: /dev/nvme0n1\n"), "{dump}");
}

#[test]
fn what_is_not_understood_is_refused_with_a_word() {
    let missing = |name: &str, text: &str| {
        let bench = Bench::new();
        bench.remove("sda1.ext4-ptcl-img.uncomp.aa");
        if !name.is_empty() {
            bench.put(name, text);
        }
        bench
    };
    missing("", "").refused("is incomplete: sda1 was saved, and no file of it is there");
    missing("lvm_vg_dev.list", "vg /dev/sda1 UUID\n").refused("cannot read");
    missing("luks-dev.list", "/dev/sda1 UUID ocs_luks_sda1\n").refused("(LUKS)");
    missing("sda1.ntfs-img.gz.aa", "").refused("sda1.ntfs-img.gz.aa of");
    missing("sda1.ext4-ptcl-img.lrz.aa", "LRZI").refused("sda1.ext4-ptcl-img.lrz.aa, before byte 0: lrzip");
    missing("sda1.ext4-ptcl-img.uncomp.aa", "partimage")
        .refused("sda1.ext4-ptcl-img.uncomp.aa, before byte 9: this is no");
    let bench = Bench::new();
    bench.put("ecryptfs.info", "");
    bench.refused("is encrypted");
    let bench = Bench::new();
    bench.put("sda2.dd-ptcl-img.uncomp", vec![9; (1 << 20) + 1]);
    bench.refused("sda2.dd-ptcl-img.uncomp, before byte 1048577: something follows");
    let bench = Bench::new();
    bench.put("sda2.dd-ptcl-img.uncomp", vec![9; (1 << 20) - 1]);
    bench.refused("sda2.dd-ptcl-img.uncomp, before byte 1048575: it is cut short");
    let bench = Bench::new();
    bench.put("sda-pt.sf", TABLE.replace("start=2048, size=2048", "start=2048, size=2000"));
    bench.refused("a file system of 1048576 bytes, and the partition has 1024000");
    let bench = Bench::new();
    bench.remove("parts");
    bench.refused("is no image of Clonezilla");
}
