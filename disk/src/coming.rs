//! Whether there may be disks still that the kernel does not show yet.
//!
//! Once all modules are loaded, disks behind most controllers are there: loading a module ends when the kernel has ended
//! all probing that is under way (`async_synchronize_full` in `do_init_module`, since Linux 5.17), such as that of SATA
//! ports, SCSI buses and NVMe namespaces. This is about the disks that other parts of the kernel find in their own time.

use std::fs;
use std::path::{Path, PathBuf};

/// Disks that may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coming {
    /// All are there.
    Nothing,
    /// Perhaps some: something can find disks at any time, and never says that it has found all.
    Perhaps,
    /// At least one, that its driver is looking at now.
    Surely,
}

/// Folders of sysfs: where there is something in one, disks may come without a word beforehand.
const FINDERS: &[&str] = &[
    // Hypervisors offer their devices one by one.
    "bus/vmbus/devices",
    "bus/xen/devices",
    // Disks behind these are found by talking to others: switches, expanders, servers.
    "class/fc_host",
    "class/iscsi_host",
    "class/sas_host",
    "class/srp_host",
];
/// Hubs ask their ports, and disks (which get a second to start) their units, one after the other.
const USB: &str = "bus/usb/devices";
/// Slots of memory cards and eMMC; each has one card or none, and tells only of a card.
const CARD_SLOTS: &str = "class/mmc_host";
const SCSI: &str = "bus/scsi/devices";
/// SCSI types that the driver for disks takes: disk, optical memory, reduced block commands, zoned disk.
const DISK_TYPES: [&str; 4] = ["0", "7", "14", "20"];

/// What `sys`, where sysfs is mounted, says of disks that are not there yet. Without `usb` those on USB do not count.
pub fn coming(sys: &Path, usb: bool) -> Coming {
    let finders = FINDERS.iter().copied().chain(usb.then_some(USB));
    let any = finders.map(|folder| sys.join(folder)).any(|folder| !entries(&folder).is_empty());
    let slots = entries(&sys.join(CARD_SLOTS)).into_iter().map(|slot| in_slot(&slot));
    let units = entries(&sys.join(SCSI)).into_iter().filter(|unit| usb || !is_on_usb(unit));
    let first = if any { Coming::Perhaps } else { Coming::Nothing };
    slots.chain(units.map(|unit| of_scsi(&unit))).fold(first, Coming::max)
}

fn in_slot(slot: &Path) -> Coming {
    let has_disk = entries(slot).iter().any(|card| has_disk(card));
    if has_disk { Coming::Nothing } else { Coming::Perhaps }
}

/// Members of a RAID are disks too, but no driver ever takes them.
fn of_scsi(unit: &Path) -> Coming {
    let kind = fs::read_to_string(unit.join("type")).unwrap_or_default();
    let is_disk = DISK_TYPES.contains(&kind.trim());
    match is_disk && !has_disk(unit) {
        false => Coming::Nothing,
        true if unit.join("driver").exists() => Coming::Surely,
        true => Coming::Perhaps,
    }
}

fn has_disk(device: &Path) -> bool {
    !entries(&device.join("block")).is_empty()
}

fn is_on_usb(device: &Path) -> bool {
    let real = device.canonicalize().unwrap_or_default();
    let is_bus = |name: &str| {
        name.strip_prefix("usb").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    real.iter().filter_map(|part| part.to_str()).any(is_bus)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A fake sysfs.
    struct Sys(tempfile::TempDir);

    impl Sys {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn make(&self, folders: &[&str]) -> &Self {
            for folder in folders {
                fs::create_dir_all(self.0.path().join(folder)).unwrap();
            }
            self
        }

        /// A SCSI unit behind `host`, as Linux lays it out; gives its folder.
        fn unit(&self, host: &str, name: &str, kind: &str) -> PathBuf {
            let unit = self.0.path().join("devices").join(host).join(name);
            fs::create_dir_all(&unit).unwrap();
            fs::write(unit.join("type"), format!("{kind}\n")).unwrap();
            self.make(&[SCSI]);
            symlink(&unit, self.0.path().join(SCSI).join(name)).unwrap();
            unit
        }

        fn coming(&self) -> Coming {
            coming(self.0.path(), false)
        }
    }

    const SATA: &str = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0";
    const ON_USB: &str = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0";

    #[test]
    fn where_all_is_probed_nothing_comes() {
        let sys = Sys::new();
        assert_eq!(sys.coming(), Coming::Nothing);
        fs::create_dir_all(sys.unit(SATA, "0:0:0:0", "0").join("block/sda")).unwrap();
        // A DVD drive has no driver here.
        sys.unit("pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0", "1:0:0:0", "5");
        sys.make(&["bus/scsi/devices/host0", "bus/scsi/devices/target0:0:0", "bus/usb/devices/usb1"]);
        sys.make(&["bus/xen/devices", "class/mmc_host/mmc0/mmc0:0001/block/mmcblk0"]);
        assert_eq!(sys.coming(), Coming::Nothing);
    }

    #[test]
    fn a_disk_that_its_driver_looks_at_comes_surely() {
        let sys = Sys::new();
        let unit = sys.unit(SATA, "0:0:0:0", "0");
        assert_eq!(sys.coming(), Coming::Perhaps, "nobody has taken it yet, as with a member of a RAID");
        fs::create_dir(unit.join("driver")).unwrap();
        assert_eq!(sys.coming(), Coming::Surely);
        fs::create_dir_all(unit.join("block/sda")).unwrap();
        assert_eq!(sys.coming(), Coming::Nothing);
    }

    #[test]
    fn usb_counts_where_its_disks_do() {
        let sys = Sys::new();
        sys.make(&["bus/usb/devices/usb2"]);
        assert_eq!((sys.coming(), coming(sys.0.path(), true)), (Coming::Nothing, Coming::Perhaps));
        fs::create_dir(sys.unit(ON_USB, "6:0:0:0", "0").join("driver")).unwrap();
        assert_eq!((sys.coming(), coming(sys.0.path(), true)), (Coming::Nothing, Coming::Surely));
    }

    #[test]
    fn what_finds_disks_in_its_own_time_is_waited_for() {
        for folder in ["bus/vmbus/devices/x", "bus/xen/devices/vbd-51712", "class/sas_host/host0"] {
            assert_eq!(Sys::new().make(&[folder]).coming(), Coming::Perhaps, "{folder}");
        }
        let slot = Sys::new();
        assert_eq!(slot.make(&["class/mmc_host/mmc0"]).coming(), Coming::Perhaps);
        // A card that is no disk (a network card for such a slot).
        assert_eq!(slot.make(&["class/mmc_host/mmc0/mmc0:0001"]).coming(), Coming::Perhaps);
    }
}
