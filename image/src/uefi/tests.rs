//! Entries are held against those that efibootmgr wrote, and read by it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use ezio_contract::Arch;
use proptest::prelude::*;

use super::boot_entry::Starts;
use super::*;
use crate::layout::Layout;

/// Where efibootmgr looks for `Boot0000` and the like; vendor GUID of UEFI's own variables.
const VENDOR: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const GPT: &str = "label: gpt\nstart=2048, size=8192, type=linux\n\
    start=10240, size=81920, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=5E2C0D5A-7A1B-4D0E-9A56-3F0B52E21023\n";
const DOS: &str = "label: dos\nlabel-id: 0x1234abcd\nstart=10240, size=81920, type=ef\n";
const ESP: u64 = 10240 * 512;

fn run(program: &str, package: &str, arguments: &[&str], variables: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").env("LC_ALL", "C");
    // efibootmgr wants the slash.
    command.env("LIBEFIVAR_OPS", "efivarfs").env("EFIVARFS_PATH", format!("{}/", variables.display()));
    let out = command.output().unwrap_or_else(|_| panic!("{program} is missing: apt-get install {package}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A disk with such a table, and files on its EFI system partition.
struct TestDisk {
    folder: tempfile::TempDir,
}

impl TestDisk {
    fn new(table: &str, files: &[&str]) -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        File::create(disk.path()).unwrap().set_len(64 << 20).unwrap();
        fs::create_dir(disk.variables()).unwrap();
        let script = disk.folder.path().join("table");
        fs::write(&script, table).unwrap();
        disk.run(
            "sh",
            "dash",
            &["-ec", "sfdisk --quiet \"$1\" <\"$2\"", "sh", &disk.name(), script.to_str().unwrap()],
        );
        disk.run("mkfs.vfat", "dosfstools", &["-F", "16", "--offset", "10240", &disk.name(), "40960"]);
        let at = format!("{}@@{ESP}", disk.name());
        let parents = |file: &&str| {
            let file = file.to_string();
            file.match_indices('/').map(|(end, _)| file[..end].to_owned()).collect::<Vec<_>>()
        };
        for folder in files.iter().flat_map(parents).collect::<BTreeSet<_>>() {
            disk.run("mmd", "mtools", &["-i", &at, &format!("::{folder}")]);
        }
        for file in files {
            disk.run("mcopy", "mtools", &["-i", &at, "/dev/null", &format!("::{file}")]);
        }
        disk
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("disk")
    }

    fn variables(&self) -> std::path::PathBuf {
        self.folder.path().join("variables")
    }

    fn name(&self) -> String {
        self.path().display().to_string()
    }

    fn run(&self, program: &str, package: &str, arguments: &[&str]) -> String {
        run(program, package, arguments, &self.variables())
    }

    fn loaders(&self, arch: Arch) -> Loaders {
        let file = File::open(self.path()).unwrap();
        let layout = Layout::read_from_disk(&file, 64 << 20, 512, "/dev/sda").unwrap();
        find_loaders(&file, &layout, arch).unwrap()
    }
}

/// What `efibootmgr -c -d DISK -p NUMBER -L debian -l \EFI\debian\shimx64.efi` (version 17) wrote for these two tables, the
/// disk being a loop device.
const OF_EFIBOOTMGR: [(&str, &str); 2] = [
    (
        GPT,
        "010000006200640065006200690061006e00000004012a0002000000002800000000000000400100000000005a0d2c5e1b7a0e4d9a563f\
    0b52e210230202040434005c004500460049005c00640065006200690061006e005c007300680069006d007800360034002e0065006600\
    690000007fff0400",
    ),
    (
        DOS,
        "010000006200640065006200690061006e00000004012a000100000000280000000000000040010000000000cdab341200000000000000\
    00000000000101040434005c004500460049005c00640065006200690061006e005c007300680069006d007800360034002e0065006600\
    690000007fff0400",
    ),
];

#[test]
fn an_entry_is_what_efibootmgr_writes() {
    for (table, written) in OF_EFIBOOTMGR {
        let disk = TestDisk::new(table, &["EFI/debian/shimx64.efi"]);
        let entry = disk.loaders(Arch::Amd64).systems.remove(0);
        assert_eq!(entry.loader, "\\EFI\\debian\\shimx64.efi");
        let ours: String = entry.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ours, written, "{table}");
        assert_eq!(Starts::of(&entry.to_bytes()), Starts::Partition(entry.partition));
    }
}

#[test]
fn loaders_of_systems_come_before_windows_and_the_removable_path_is_for_want_of_others() {
    let files = [
        "EFI/Microsoft/Boot/bootmgfw.efi",
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/BOOT/BOOTAA64.EFI",
        "EFI/debian/grubx64.efi",
        "EFI/debian/shimx64.efi",
        "EFI/Somebody's Linux/grubx64.efi",
        "EFI/tools/memtest.efi",
    ];
    let disk = TestDisk::new(GPT, &files);
    let found = disk.loaders(Arch::Amd64);
    let systems: Vec<(&str, &str)> =
        found.systems.iter().map(|entry| (entry.description.as_str(), entry.loader.as_str())).collect();
    assert_eq!(
        systems,
        [
            ("Somebody's Linux", "\\EFI\\Somebody's Linux\\grubx64.efi"),
            ("debian", "\\EFI\\debian\\shimx64.efi"),
            ("Windows Boot Manager", "\\EFI\\Microsoft\\Boot\\bootmgfw.efi"),
        ]
    );
    assert_eq!(found.removable.unwrap().loader, "\\EFI\\BOOT\\BOOTX64.EFI");
    let bare = TestDisk::new(GPT, &["EFI/BOOT/BOOTAA64.EFI"]);
    assert_eq!(bare.loaders(Arch::Arm64).removable.unwrap().loader, "\\EFI\\BOOT\\BOOTAA64.EFI");
    assert_eq!(bare.loaders(Arch::Amd64), Loaders::default());
}

fn on(partition: u32) -> BootEntry {
    BootEntry {
        description: format!("system {partition}"),
        partition: PartitionId::Dos(partition, 1),
        number: 1,
        start: 2048,
        size: 8192,
        loader: "\\EFI\\debian\\shimx64.efi".into(),
    }
}

/// ACPI's PciRoot, a function of PCI, a card, IPv4: with the nodes and lengths of what OVMF writes.
fn network() -> Vec<u8> {
    other(&[(2, 1, 12), (1, 1, 6), (3, 11, 37), (3, 12, 27)])
}

/// A drive at SATA.
fn drive() -> Vec<u8> {
    other(&[(2, 1, 12), (1, 1, 6), (3, 18, 10)])
}

fn other(nodes: &[(u8, u8, u8)]) -> Vec<u8> {
    let node = |(kind, subtype, length): (u8, u8, u8)| {
        [vec![kind, subtype, length, 0], vec![0xaa; usize::from(length) - 4]].concat()
    };
    let path: Vec<u8> = nodes.iter().copied().chain([(0x7f, 0xff, 4)]).flat_map(node).collect();
    [&[1, 0, 0, 0, path.len() as u8, 0, b'x', 0, 0, 0], path.as_slice()].concat()
}

/// A firmware with these entries in this order, numbered from 0.
fn firmware(entries: &[Vec<u8>]) -> BootEntries {
    BootEntries {
        entries: (0..).zip(entries.iter().cloned()).collect(),
        order: (0..entries.len() as u16).collect(),
    }
}

#[test]
fn a_new_system_is_first_but_for_network_that_was_before_every_system() {
    let system = on(1).to_bytes();
    for (has, order) in [
        (vec![], vec![0]),
        (vec![system.clone(), network()], vec![2, 0, 1]),
        (vec![network(), network(), system.clone()], vec![0, 1, 3, 2]),
        (vec![drive(), network(), drive(), system.clone()], vec![0, 1, 4, 2, 3]),
        (vec![drive(), system.clone(), network()], vec![3, 0, 1, 2]),
        (vec![drive(), network()], vec![0, 1, 2]),
        (vec![drive()], vec![1, 0]),
    ] {
        let changes = firmware(&has).with(&[on(7)], &[]);
        assert_eq!(changes.order, Some(order), "{has:?}");
        assert_eq!(changes.write, [(has.len() as u16, on(7).to_bytes())]);
        assert!(changes.remove.is_empty());
    }
}

#[test]
fn entries_of_what_was_there_before_go_and_their_numbers_are_taken() {
    let has = firmware(&[network(), on(5).to_bytes(), on(1).to_bytes(), on(6).to_bytes()]);
    let gone = [PartitionId::Dos(5, 1), PartitionId::Dos(6, 1)];
    let changes = has.with(&[on(7)], &gone);
    assert_eq!(changes.write, [(1, on(7).to_bytes())]);
    assert_eq!(changes.order, Some(vec![0, 1, 2]));
    assert_eq!(changes.remove, [3]);
}

#[test]
fn the_same_deployment_once_more_changes_nothing() {
    let has = firmware(&[network(), on(7).to_bytes(), on(1).to_bytes()]);
    assert_eq!(has.with(&[on(7)], &[PartitionId::Dos(7, 1)]), Changes::default());
    let mut forgotten = has.clone();
    forgotten.order = vec![0, 2];
    assert_eq!(forgotten.with(&[on(7)], &[]).order, Some(vec![0, 1, 2]));
}

#[test]
fn efibootmgr_shows_two_systems_in_their_order() {
    let disk = TestDisk::new(GPT, &["EFI/debian/shimx64.efi", "EFI/Microsoft/Boot/bootmgfw.efi"]);
    let changes =
        firmware(&[on(5).to_bytes()]).with(&disk.loaders(Arch::Amd64).systems, &[PartitionId::Dos(5, 1)]);
    let write = |name: &str, bytes: &[u8]| {
        let path = disk.variables().join(format!("{name}-{VENDOR}"));
        fs::write(path, [&[7, 0, 0, 0], bytes].concat()).unwrap();
    };
    for (number, bytes) in &changes.write {
        write(&format!("Boot{number:04X}"), bytes);
    }
    let order: Vec<u8> = changes.order.unwrap().iter().flat_map(|number| number.to_le_bytes()).collect();
    write("BootOrder", &order);
    let shown = disk.run("efibootmgr", "efibootmgr", &["-v"]);
    assert!(shown.contains("BootOrder: 0000,0001"), "{shown}");
    let drive = "HD(2,GPT,5e2c0d5a-7a1b-4d0e-9a56-3f0b52e21023,0x2800,0x14000)";
    for line in [
        format!("Boot0000* debian\t{drive}/File(\\EFI\\debian\\shimx64.efi)"),
        format!("Boot0001* Windows Boot Manager\t{drive}/File(\\EFI\\Microsoft\\Boot\\bootmgfw.efi)"),
    ] {
        assert!(shown.contains(&line), "{line} is not in {shown}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_some_entry(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let has = firmware(std::slice::from_ref(&bytes));
        let changes = has.with(&[on(7)], &[]);
        prop_assert_eq!(changes.write.len(), 1);
        // What cannot be read is nobody's to remove.
        prop_assert!(changes.remove.is_empty());
    }
}
