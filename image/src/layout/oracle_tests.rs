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

/// The kernel reads chains as libblkid does, which `partx` shows: it was taken from there.
fn partx_shows(path: &Path) -> Vec<(u32, u64, u64)> {
    let mut partx = tool("partx", "util-linux");
    let out = partx.args(["--raw", "--noheadings", "--output", "NR,START,SECTORS"]).arg(path).output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    let numbers = |line: &str| line.split_whitespace().map(|w| w.parse().unwrap()).collect::<Vec<u64>>();
    text.lines().map(numbers).map(|n| (n[0] as u32, n[1], n[2])).collect()
}

/// What sfdisk lists, even where it makes no sense.
fn sfdisk_lists(path: &Path) -> Vec<(u32, u64, u64)> {
    let prefix = format!("{}", path.display());
    let dump = sfdisk_dump(path);
    let lines = dump.lines().filter_map(|line| line.strip_prefix(&prefix)?.split_once(" : "));
    let field = |fields: &str, name: &str| -> u64 {
        let value = fields.split(',').find_map(|f| f.trim().strip_prefix(name)).unwrap();
        value.trim().parse().unwrap()
    };
    let all = lines.map(|(n, f)| (n.trim().parse().unwrap(), field(f, "start="), field(f, "size=")));
    // Of a chain in which no EBR has data it lists one, with no sectors.
    all.filter(|(_, _, size)| *size > 0).collect()
}

/// Start and size of the extended partition, in sectors.
const CONTAINER: (u32, u32) = (2048, 60_000);

/// Where it lies, and its entries: type, start, size.
type Ebr = (u32, [(u8, u32, u32); 4]);

/// An MBR with an extended partition, and a chain of EBRs: each a list of four entries (type, start, size), the
/// link's start counted from the extended partition and the data's from the EBR.
fn write_chain(file: &File, ebrs: &[Ebr]) {
    let record = |at: u64, slots: &[(u8, u32, u32)]| {
        let mut sector = [0u8; 512];
        for (i, (type_id, start, size)) in slots.iter().enumerate() {
            let entry = &mut sector[446 + 16 * i..462 + 16 * i];
            entry[4] = *type_id;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..16].copy_from_slice(&size.to_le_bytes());
        }
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        file.write_all_at(&sector, at * 512).unwrap();
    };
    record(0, &[(0x05, CONTAINER.0, CONTAINER.1)]);
    for (at, slots) in ebrs {
        record(u64::from(*at), slots);
    }
}

/// A chain of a few EBRs, each with its data and link in entries of its own choice, and now and then odd: no data,
/// two, a type of 0, garbage in the last entries.
fn odd_chain() -> impl proptest::strategy::Strategy<Value = Vec<Ebr>> {
    use proptest::prelude::*;
    let ebr = (
        Just([0usize, 1, 2, 3]).prop_shuffle(),
        prop::sample::select(vec![0x83u8, 0x07, 0x82, 0x00]),
        prop::sample::select(vec![0x05u8, 0x0f, 0x85]),
        0u8..10,
        1u32..900,
    );
    prop::collection::vec(ebr, 1..6).prop_map(|ebrs| {
        let count = ebrs.len();
        let place = |i: usize| CONTAINER.0 + 5000 * i as u32;
        let mut chain = Vec::new();
        for (i, (order, data_type, link_type, oddity, size)) in ebrs.into_iter().enumerate() {
            let mut slots = [(0u8, 0u32, 0u32); 4];
            if oddity != 0 {
                slots[order[0]] = (data_type, 63, size);
            }
            if i + 1 < count {
                slots[order[1]] = (link_type, 5000 * (i as u32 + 1), 5000);
            }
            match oddity {
                1 => slots[order[2]] = (0x83, 63 + size, 100),
                2 => {
                    slots[3] = if slots[3] == (0, 0, 0) { (0x83, 0x7000_0000, 0x7000_0000) } else { slots[3] }
                }
                _ => {}
            }
            chain.push((place(i), slots));
        }
        chain
    })
}

#[test]
fn a_chain_without_data_has_no_logical_partition() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = sparse(&dir, "disk", SIZE);
    let link = |start: u32| [(0, 0, 0), (5, start, 5000), (0, 0, 0), (0, 0, 0)];
    let chain = [(2048, link(5000)), (7048, link(10_000)), (12_048, [(0, 0, 0); 4])];
    write_chain(&file, &chain);
    assert!(sfdisk_dump(&path).contains("size=           0"), "{}", sfdisk_dump(&path));
    assert_eq!(sfdisk_lists(&path), [(1, 2048, 60_000)]);
    let ours = Layout::read_from_disk(&file, SIZE, 512, "/dev/sda").unwrap();
    assert_eq!(ours.partitions().len(), 1);
}

#[test]
fn odd_chains_are_read_as_the_kernel_and_sfdisk_read_them() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = sparse(&dir, "disk", SIZE);
    let (read, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let config =
        proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&odd_chain(), |chain| {
        file.set_len(0).unwrap();
        file.set_len(SIZE).unwrap();
        write_chain(&file, &chain);
        let (kernel, sfdisk) = (partx_shows(&path), sfdisk_lists(&path));
        match Layout::read_from_disk(&file, SIZE, 512, "/dev/sda") {
            Ok(ours) => {
                read.set(read.get() + 1);
                let ours: Vec<_> = ours.partitions().iter().map(|p| (p.number, p.start, p.size)).collect();
                proptest::prop_assert_eq!(&ours, &sfdisk);
                // partx gives the extended partition the size of its first EBR, as the kernel does.
                let logical =
                    |all: &[(u32, u64, u64)]| all.iter().filter(|p| p.0 > 4).copied().collect::<Vec<_>>();
                proptest::prop_assert_eq!(logical(&ours), logical(&kernel));
            }
            Err(error) => {
                refused.set(refused.get() + 1);
                let lists =
                    |all: &[(u32, u64, u64)]| all.iter().filter(|p| p.0 > 4).copied().collect::<Vec<_>>();
                proptest::prop_assert!(lists(&kernel) != lists(&sfdisk), "{error}: {kernel:?}");
            }
        }
        Ok(())
    });
    result.unwrap();
    assert!(read.get() > 100 && refused.get() > 10, "{} read, {} refused", read.get(), refused.get());
}

/// Does a partition lie in this one?
fn holds(inner: &Partition, outer: &Partition) -> bool {
    inner.is_logical() && outer.is_extended()
}

#[test]
fn grown_tables_are_sound_and_only_what_lies_behind_moves() {
    let dir = tempfile::tempdir().unwrap();
    // Last partitions that grow, and ones with others behind; a logical one takes the extended one with it.
    let cases = [("gpt", GPT, vec![1, 7, 3]), ("dos", MBR, vec![1, 5, 6, 7, 3])];
    for (name, script, numbers) in cases {
        let (source, _file) = sparse(&dir, &format!("{name}.source"), SIZE);
        sfdisk_writes(&source, script);
        let before = read(&source);
        for (number, size) in
            numbers.into_iter().flat_map(|n| [(n, SIZE + 512), (n, 200 << 20), (n, 3 << 40)])
        {
            let grown = before.grown(number, size).unwrap();
            let (target, file) = sparse(&dir, &format!("{name}.grown"), size);
            write(&file, &grown.encode(size, 512).unwrap());
            let said = run(tool("sfdisk", "fdisk").arg("--verify").arg(&target), "");
            assert!(said.contains("No errors detected"), "{name} {number} {size}:\n{said}");
            if name == "gpt" {
                run(tool("sgdisk", "gdisk").arg("--verify").arg(&target), "");
            }
            assert_eq!(read(&target).partitions(), grown.partitions());
            let old = before.partition(number).unwrap();
            let gain = grown.partition(number).unwrap().size - old.size;
            for (was, is) in before.partitions().iter().zip(grown.partitions()) {
                let behind = was.start > old.start;
                let holds_it = holds(old, was);
                assert_eq!(
                    is.start - was.start,
                    if behind { gain } else { 0 },
                    "{name} {number} {}",
                    was.number
                );
                assert!(
                    is.size == was.size || was.number == number || holds_it,
                    "{name} {number} {}",
                    was.number
                );
            }
            // And back again: what had no room to grow, has none to lose.
            let back = grown.shrunk(number, old.size * 512).unwrap();
            let by = (1 << 20) / 512;
            for (was, is) in before.partitions().iter().zip(back.partitions()) {
                assert_eq!((is.start, is.number), (was.start, was.number), "{name} {number}");
                assert!(is.size - was.size < by || holds(old, was), "{name} {number} {}", was.number);
            }
            // All of it but the backup of the GPT and what alignment costs; an MBR says up to 2 TiB.
            let end = grown.partitions().iter().map(|p| grown.byte_range(p).end).max().unwrap();
            let most = if name == "gpt" { size } else { size.min(2 << 40) };
            assert!(size < 100 << 20 || most - end <= 2 << 20, "{name} {number} {size}: {end}");
        }
    }
}

/// Sector 0 of a disk.
fn sector_zero(path: &Path) -> [u8; 512] {
    let mut sector = [0; 512];
    FileExt::read_exact_at(&File::open(path).unwrap(), &mut sector, 0).unwrap();
    sector
}

#[test]
fn boot_flags_and_hybrid_mbrs_of_gpt_disks_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let sgdisk = |path: &Path, arguments: &[&str]| run(tool("sgdisk", "gdisk").args(arguments).arg(path), "");
    let (plain, _file) = sparse(&dir, "plain", SIZE);
    sfdisk_writes(&plain, GPT);
    assert_eq!(boot_code(&sector_zero(&plain)), None, "what every tool writes");
    // The flag that some BIOSes need (parted: pmbr_boot), and what Apple's Boot Camp made.
    for name in ["flag", "hybrid", "hybrid and more"] {
        let (source, _file) = sparse(&dir, name, SIZE);
        sfdisk_writes(&source, GPT);
        match name {
            "flag" => drop(run(tool("sfdisk", "fdisk").arg("--activate").arg(&source).arg("1"), "")),
            "hybrid" => drop(sgdisk(&source, &["-h", "1:3"])),
            _ => drop(sgdisk(&source, &["-h", "1:3:EE"])),
        }
        let sector = sector_zero(&source);
        let kept = boot_code(&sector).unwrap_or_else(|| panic!("{name} is nothing special"));
        let layout = read(&source);
        for size in [SIZE, SIZE + (1 << 20), 3 << 40] {
            let (target, file) = sparse(&dir, "target", size);
            write(&file, &layout.encode(size, 512).unwrap().with_boot_code(kept));
            assert_eq!(read(&target).partitions(), layout.partitions());
            let said = sgdisk(&target, &["-v"]);
            assert!(said.contains("No problems found"), "{name} {size}:\n{said}");
            let entries = |path: &Path| {
                let said = sgdisk(path, &["-O"]);
                said.split_once("Number").unwrap().1.to_owned()
            };
            if size == SIZE {
                assert_eq!(sector_zero(&target), sector_zero(&source), "{name}");
            } else if name == "flag" {
                let end = u32::from_le_bytes(sector_zero(&target)[458..462].try_into().unwrap());
                assert_eq!(
                    u64::from(end),
                    (size / 512 - 1).min(u32::MAX.into()),
                    "it protects all of the disk"
                );
            } else {
                assert_eq!(entries(&target), entries(&source), "{name} {size}");
            }
        }
    }
}
