//! Devices on PCI that keep to themselves what is behind them: what to say where a disk or a network card is missing.

use std::fs;
use std::path::{Path, PathBuf};

/// What is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Missing {
    Disk,
    NetworkCard,
}

impl Missing {
    /// How the class codes of its controllers begin (PCI Code and ID Assignment Specification): all mass storage; of
    /// networks Ethernet, not the wireless ones.
    fn class(self) -> &'static str {
        match self {
            Self::Disk => "0x01",
            Self::NetworkCard => "0x0200",
        }
    }

    /// Where its driver may come from.
    fn remedy(self) -> &'static str {
        match self {
            Self::Disk => "image-builder netboot --modules adds one, --firmware what it may need",
            Self::NetworkCard => {
                "at the next start the server gives those of all cards; else image-builder netboot --modules adds one, \
                 --firmware what it may need"
            }
        }
    }
}

/// The error, and before it what on PCI may be its reason.
pub(crate) fn explain(error: anyhow::Error, sys: &Path, missing: Missing) -> anyhow::Error {
    let reasons = reasons(sys, missing);
    if reasons.is_empty() { error } else { error.context(reasons.join("; ")) }
}

fn reasons(sys: &Path, missing: Missing) -> Vec<String> {
    let entries = fs::read_dir(sys.join("bus/pci/devices")).into_iter().flatten().flatten();
    let mut devices: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    devices.retain(|device| attribute(device, "class").starts_with(missing.class()));
    devices.sort();
    devices.iter().filter_map(|device| reason(device, missing)).collect()
}

fn reason(device: &Path, missing: Missing) -> Option<String> {
    let address = device.file_name().unwrap_or_default().to_string_lossy();
    let id = |name: &str| attribute(device, name).trim_start_matches("0x").to_owned();
    let name = format!("PCI device {address} ({}:{})", id("vendor"), id("device"));
    // Intel's RST: the kernel's driver for SATA tells how many NVMe disks the controller has taken over.
    match attribute(device, "remapped_nvme").parse().unwrap_or(0) {
        0 if device.join("driver").exists() => None,
        0 => Some(format!("{name} has no driver here: {}", missing.remedy())),
        hidden => Some(format!(
            "{name} hides NVMe disks in its RAID mode ({hidden} of them): set storage to AHCI in the firmware's setup"
        )),
    }
}

/// Empty where there is none.
fn attribute(device: &Path, name: &str) -> String {
    fs::read_to_string(device.join(name)).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree like sysfs: a SATA controller that hides a disk, a RAID controller and two network cards without drivers.
    fn sysfs() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (address, attributes) in [
            (
                "0000:00:17.0",
                &[
                    ("class", "0x010400"),
                    ("vendor", "0x8086"),
                    ("device", "0x282a"),
                    ("remapped_nvme", "1"),
                    ("driver", ""),
                ][..],
            ),
            ("0000:00:1f.2", &[("class", "0x010601"), ("remapped_nvme", "0"), ("driver", "")]),
            ("0000:01:00.0", &[("class", "0x010400"), ("vendor", "0x1000"), ("device", "0x005d")]),
            ("0000:02:00.0", &[("class", "0x020000"), ("vendor", "0x14e4"), ("device", "0x164c")]),
            ("0000:03:00.0", &[("class", "0x028000"), ("vendor", "0x8086"), ("device", "0x2723")]),
        ] {
            let device = root.path().join("bus/pci/devices").join(address);
            fs::create_dir_all(&device).unwrap();
            for (name, value) in attributes {
                fs::write(device.join(name), format!("{value}\n")).unwrap();
            }
        }
        root
    }

    #[test]
    fn names_controllers_that_hide_disks_or_have_no_driver() {
        let root = sysfs();
        let error = explain(anyhow::anyhow!("no disk fits"), root.path(), Missing::Disk);
        assert_eq!(
            format!("{error:#}"),
            "PCI device 0000:00:17.0 (8086:282a) hides NVMe disks in its RAID mode (1 of them): set storage to AHCI in \
             the firmware's setup; PCI device 0000:01:00.0 (1000:005d) has no driver here: image-builder netboot \
             --modules adds one, --firmware what it may need: no disk fits"
        );
    }

    #[test]
    fn names_wired_cards_without_a_driver() {
        let root = sysfs();
        let error = explain(anyhow::anyhow!("no link"), root.path(), Missing::NetworkCard);
        let text = format!("{error:#}");
        assert!(text.starts_with("PCI device 0000:02:00.0 (14e4:164c) has no driver here"), "{text}");
        assert!(!text.contains("0000:03:00.0"), "{text}");
    }

    #[test]
    fn adds_nothing_where_all_is_driven() {
        let root = tempfile::tempdir().unwrap();
        let error = explain(anyhow::anyhow!("no disk fits"), root.path(), Missing::Disk);
        assert_eq!(format!("{error:#}"), "no disk fits");
    }
}
