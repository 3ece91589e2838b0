use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A fake machine: sysfs as Linux lays it out, with devices below `devices/` and links in `block/`.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["sys/block", "dev/disk/by-id", "dev/disk/by-path"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    fn disk(&self, name: &str, controller: &str, attributes: &[(&str, &str)]) -> &Self {
        let dir = self.root.path().join("sys/devices").join(controller).join(name);
        for (attribute, value) in attributes {
            let path = dir.join(attribute);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        symlink(&dir, self.root.path().join("sys/block").join(name)).unwrap();
        fs::write(self.root.path().join("dev").join(name), "").unwrap();
        self
    }

    fn link(&self, family: &str, link: &str, name: &str) -> &Self {
        symlink(format!("../../{name}"), self.root.path().join("dev/disk").join(family).join(link)).unwrap();
        self
    }

    fn dev(&self, name: &str) -> PathBuf {
        self.root.path().join("dev").join(name)
    }

    fn discover(&self, mounts: &str) -> Vec<Disk> {
        let mounts = mounts.replace("/dev/", &format!("{}/", self.dev("").display()).replace("//", "/"));
        let usage = Usage::parse(&mounts, "");
        discover(&self.root.path().join("sys"), &self.root.path().join("dev"), &usage).unwrap()
    }
}

const SATA: &str = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block";
const USB: &str = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block";

fn classroom_machine() -> Machine {
    let machine = Machine::new();
    machine
        .disk(
            "sda",
            SATA,
            &[
                ("size", "1000215216"),
                ("removable", "0"),
                ("ro", "0"),
                ("queue/logical_block_size", "512"),
                ("device/model", "Samsung SSD 870 "),
                ("device/wwid", "naa.5002538f4243434b"),
                ("device/vpd_pg80", "\0\u{0}\0\u{0}"),
                ("sda1/partition", "1"),
                ("sda1/start", "2048"),
                ("sda1/size", "204800"),
                ("sda1/uevent", "MAJOR=8\nDEVNAME=sda1\nPARTNAME=EFI system partition"),
                ("sda2/partition", "2"),
                ("sda2/start", "206848"),
                ("sda2/size", "999000000"),
                ("sda2/holders/dm-0/dev", "254:0"),
            ],
        )
        .disk(
            "nvme0n1",
            "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0",
            &[
                ("size", "2000409264"),
                ("queue/logical_block_size", "4096"),
                ("device/model", "WD Black"),
                ("device/serial", "S1"),
                ("wwid", "eui.e8238fa6bf530001001b448b4"),
            ],
        )
        .disk("nvme0c0n1", "virtual/nvme-subsystem/nvme-subsys0", &[("size", "8"), ("hidden", "1")])
        .disk("sdb", USB, &[("size", "60062500"), ("removable", "1"), ("device/model", "Cruzer Blade")])
        .disk(
            "vda",
            "pci0000:00/0000:00:05.0/virtio2/block",
            &[("size", "16777216"), ("serial", "golden"), ("ro", "1")],
        )
        .disk(
            "mmcblk0",
            "platform/80860F14:00/mmc_host/mmc0/mmc0:0001/block",
            &[("size", "30777344"), ("device/type", "MMC"), ("device/name", "DF4032")],
        )
        .disk(
            "mmcblk1",
            "platform/80860F14:01/mmc_host/mmc1/mmc1:0001/block",
            &[("size", "30777344"), ("device/type", "SD"), ("device/name", "SL32G")],
        )
        .disk(
            "mmcblk0boot0",
            "platform/80860F14:00/mmc_host/mmc0/mmc0:0001/block/mmcblk0",
            &[("size", "8192")],
        )
        .disk("sr0", "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block", &[("size", "8")])
        .disk("loop0", "virtual/block", &[("size", "1024")])
        .disk("dm-0", "virtual/block", &[("size", "99999")])
        .disk("zram0", "virtual/block", &[("size", "1024")])
        .disk(
            "sdc",
            "pci0000:00/0000:00:03.0/0000:01:00.0/host2/port-2:0/end_device-2:0/target2:0:0/2:0:0:0/block",
            &[("size", "0")],
        );
    machine
        .link("by-id", "ata-Samsung_SSD_870", "sda")
        .link("by-id", "ata-Samsung_SSD_870-part1", "sda1")
        .link("by-path", "pci-0000:00:1f.2-ata-1", "sda");
    machine
}

#[test]
fn a_machine_shows_its_disks() {
    let machine = classroom_machine();
    let disks = machine.discover("");
    let names: Vec<_> = disks.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["sda", "sdb", "sdc", "vda", "dm-0", "loop0", "mmcblk0", "mmcblk1", "nvme0n1"]);
    let disk = |name: &str| disks.iter().find(|d| d.name == name).unwrap();
    for (name, bus, removable, is_virtual, read_only) in [
        ("sda", Some(Bus::Ata), false, false, false),
        ("sdb", Some(Bus::Usb), true, false, false),
        ("sdc", Some(Bus::Scsi), false, false, false),
        ("vda", Some(Bus::Virtio), false, false, true),
        ("mmcblk0", Some(Bus::Mmc), false, false, false),
        ("mmcblk1", Some(Bus::Mmc), true, false, false),
        ("nvme0n1", Some(Bus::Nvme), false, false, false),
        ("loop0", None, false, true, false),
        ("dm-0", None, false, true, false),
    ] {
        let d = disk(name);
        assert_eq!(
            (d.bus, d.removable, d.is_virtual, d.read_only),
            (bus, removable, is_virtual, read_only),
            "{name}"
        );
    }
    let sda = disk("sda");
    assert_eq!((sda.size, sda.sector_size), (512_110_190_592, 512));
    assert_eq!(sda.model.as_deref(), Some("Samsung SSD 870"));
    assert_eq!(sda.wwn.as_deref(), Some("naa.5002538f4243434b"));
    assert_eq!(
        sda.links,
        [machine.dev("disk/by-id/ata-Samsung_SSD_870"), machine.dev("disk/by-path/pci-0000:00:1f.2-ata-1")]
    );
    assert_eq!(disk("nvme0n1").sector_size, 4096);
    assert_eq!(disk("nvme0n1").size, 2_000_409_264 * 512);
    assert_eq!(disk("nvme0n1").serial.as_deref(), Some("S1"));
    assert_eq!(disk("vda").serial.as_deref(), Some("golden"));
    assert_eq!(disk("mmcblk0").model.as_deref(), Some("DF4032"));
}

#[test]
fn a_machine_shows_its_partitions_and_what_uses_them() {
    let machine = classroom_machine();
    let disks = machine.discover("/dev/sdb / ext4 rw 0 0\n");
    let sda = &disks[0];
    assert_eq!(sda.partitions.len(), 2);
    let first = &sda.partitions[0];
    assert_eq!((first.number, first.start, first.size), (1, 1 << 20, 100 << 20));
    assert_eq!(first.partition_label.as_deref(), Some("EFI system partition"));
    assert_eq!(first.links, [machine.dev("disk/by-id/ata-Samsung_SSD_870-part1")]);
    let path = machine.dev("sda2");
    assert_eq!(sda.in_use, Some(format!("{} is held by dm-0", path.display())));
    assert_eq!(disks[1].in_use, Some(format!("{} is mounted at /", machine.dev("sdb").display())));
    fs::write(machine.dev("sda1"), "").unwrap();
    let by_link = machine.discover("/dev/disk/by-id/ata-Samsung_SSD_870-part1 /boot/efi vfat rw 0 0\n");
    assert_eq!(by_link[0].partitions[0].in_use.as_deref(), Some("mounted at /boot/efi"));
}

#[test]
fn serial_numbers_come_from_vital_product_data() {
    let machine = Machine::new();
    machine.disk("sda", SATA, &[("size", "8"), ("device/vpd_pg80", "")]);
    let page = machine.root.path().join("sys/block/sda/device/vpd_pg80");
    fs::write(&page, b"\x00\x80\x00\x0b  S4X6NJ0N0").unwrap();
    assert_eq!(machine.discover("")[0].serial.as_deref(), Some("S4X6NJ0N0"));
    fs::write(&page, b"\x00\x80\xff\xff").unwrap();
    assert_eq!(machine.discover("")[0].serial, None);
    fs::write(&page, b"\x00").unwrap();
    assert_eq!(machine.discover("")[0].serial, None);
}

#[test]
fn a_machine_without_sysfs_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = discover(dir.path(), dir.path(), &Usage::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot list the disks in "), "{error}");
}

#[test]
fn an_ata_disk_has_its_whole_model() {
    let mut page = vec![b' '; 572];
    for (pair, at) in b"Samsung SSD 870 EVO 1TB ".as_chunks::<2>().0.iter().zip((114..).step_by(2)) {
        page[at..at + 2].copy_from_slice(&[pair[1], pair[0]]);
    }
    let machine = classroom_machine();
    let device = machine.root.path().join("sys/devices").join(SATA).join("sda/device");
    fs::write(device.join("vpd_pg89"), &page).unwrap();
    let disks = machine.discover("");
    let sda = disks.iter().find(|d| d.name == "sda").unwrap();
    assert_eq!(sda.model.as_deref(), Some("Samsung SSD 870 EVO 1TB"));
    fs::write(device.join("vpd_pg89"), &page[..100]).unwrap();
    let disks = machine.discover("");
    let sda = disks.iter().find(|d| d.name == "sda").unwrap();
    assert_eq!(sda.model.as_deref(), Some("Samsung SSD 870"));
}
