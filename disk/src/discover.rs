//! Which disks there are, from sysfs.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use ezio_image::conf::Bus;
use ezio_image::conf::units::human_size;
use thiserror::Error;

use crate::usage::Usage;

/// Sysfs counts in these, whatever the disk's sector size.
pub(crate) const SYSFS_SECTOR: u64 = 512;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Device node ("/dev/sda").
    pub path: PathBuf,
    /// Kernel's name ("sda").
    pub name: String,
    /// Size in bytes; 0 without a medium.
    pub size: u64,
    /// Bytes a logical sector.
    pub sector_size: u32,
    /// Model, as the disk says.
    pub model: Option<String>,
    /// Serial number, as the disk says.
    pub serial: Option<String>,
    /// World-wide name or another id that is unique in the world.
    pub wwn: Option<String>,
    /// How it is attached; none for virtual devices and what we do not know.
    pub bus: Option<Bus>,
    /// Can its medium be taken out?
    pub removable: bool,
    /// Does it refuse writes?
    pub read_only: bool,
    /// No disk of its own: loop, device-mapper, RAID, network block device.
    pub is_virtual: bool,
    /// Was the machine started from it?
    pub is_boot_medium: bool,
    /// What uses it or one of its partitions, in words ("/dev/sda1 is mounted at /").
    pub in_use: Option<String>,
    /// Partitions that the kernel knows, by number.
    pub partitions: Vec<PartitionNode>,
    /// Links that lead to it ("/dev/disk/by-path/…").
    pub links: Vec<PathBuf>,
}

/// A partition that the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionNode {
    /// Device node ("/dev/sda1").
    pub path: PathBuf,
    /// Kernel's name ("sda1").
    pub name: String,
    /// Number in the table.
    pub number: u32,
    /// Offset on the disk in bytes.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Name in a GPT, where the kernel says it.
    pub partition_label: Option<String>,
    /// What uses it, in words.
    pub in_use: Option<String>,
    /// Links that lead to it.
    pub links: Vec<PathBuf>,
}

impl fmt::Display for Disk {
    /// As people know it: `/dev/sda QEMU HARDDISK 8.0 GiB ata serial QM00001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        write!(f, " {}", human_size(self.size))?;
        if let Some(bus) = self.bus {
            write!(f, " {bus}")?;
        }
        if let Some(serial) = &self.serial {
            write!(f, " serial {serial}")?;
        }
        Ok(())
    }
}

/// Disks cannot be listed.
#[derive(Debug, Error)]
#[error("cannot list the disks in {}", path.display())]
pub struct DiscoverError {
    /// What cannot be read.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Lists every disk, in order of names. `sys` is where sysfs is mounted, `dev` where the nodes are.
/// Optical drives, floppies and RAM disks are left out.
///
/// # Errors
/// `sys` has no readable list of block devices. What a single disk does not say stays empty.
pub fn discover(sys: &Path, dev: &Path, usage: &Usage) -> Result<Vec<Disk>, DiscoverError> {
    let list = sys.join("block");
    let fail = |source| DiscoverError { path: list.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&list).map_err(fail)? {
        names.extend(entry.map_err(fail)?.file_name().into_string());
    }
    names.retain(|name| !is_never_a_disk(name));
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let links = links_of(dev);
    let mut disks = Vec::new();
    for name in names {
        let dir = list.join(&name);
        // Paths of one NVMe namespace: the namespace itself is listed as well.
        if text(&dir, "hidden").as_deref() != Some("1") {
            disks.push(describe(&dir, &name, dev, usage, &links));
        }
    }
    Ok(disks)
}

fn is_never_a_disk(name: &str) -> bool {
    let kinds = ["ram", "zram", "sr", "fd", "mtdblock", "mtd"];
    let numbered =
        |kind: &&str| name.strip_prefix(kind).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    kinds.iter().any(numbered)
        || (name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb")))
}

fn is_virtual(name: &str) -> bool {
    ["loop", "dm-", "md", "nbd", "zd", "drbd", "rbd"].iter().any(|kind| name.starts_with(kind))
}

fn describe(dir: &Path, name: &str, dev: &Path, usage: &Usage, links: &[(PathBuf, String)]) -> Disk {
    let device = dir.join("device");
    let is_virtual = is_virtual(name);
    let partitions = partitions_of(dir, dev, usage, links);
    let sd_card = name.starts_with("mmcblk") && text(&device, "type").as_deref() == Some("SD");
    let own_use = usage.of(dev, name).or_else(|| holder(dir));
    let path = dev.join(name);
    let in_use = own_use.map(|how| format!("{} is {how}", path.display())).or_else(|| {
        partitions.iter().find_map(|p| Some(format!("{} is {}", p.path.display(), p.in_use.as_ref()?)))
    });
    Disk {
        size: number(dir, "size").saturating_mul(SYSFS_SECTOR),
        sector_size: u32::try_from(number(dir, "queue/logical_block_size"))
            .ok()
            .filter(|s| *s > 0)
            .unwrap_or(512),
        model: ata_model(&device)
            .or_else(|| text(&device, "model"))
            .or_else(|| text(&device, "name").filter(|_| name.starts_with("mmcblk"))),
        serial: serial(dir),
        wwn: text(dir, "wwid").or_else(|| text(&device, "wwid")),
        bus: if is_virtual { None } else { bus(dir, name) },
        removable: sd_card || number(dir, "removable") == 1,
        read_only: number(dir, "ro") == 1,
        is_virtual,
        is_boot_medium: false,
        in_use,
        partitions,
        links: links_to(links, name),
        name: name.to_owned(),
        path,
    }
}

/// Partitions of the disk with this node, in the order of their numbers: where they are, and nothing of who uses them.
#[must_use]
pub fn partitions(sys: &Path, disk: &Path) -> Vec<PartitionNode> {
    let (Some(dev), Some(name)) = (disk.parent(), disk.file_name()) else { return Vec::new() };
    partitions_of(&sys.join("block").join(name), dev, &Usage::default(), &[])
}

fn partitions_of(dir: &Path, dev: &Path, usage: &Usage, links: &[(PathBuf, String)]) -> Vec<PartitionNode> {
    let mut partitions = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (Ok(name), dir) = (entry.file_name().into_string(), entry.path()) else { continue };
        let Ok(number_in_table) = u32::try_from(number(&dir, "partition")) else { continue };
        if number_in_table == 0 {
            continue;
        }
        let uevent = fs::read_to_string(dir.join("uevent")).unwrap_or_default();
        let label = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME="));
        partitions.push(PartitionNode {
            path: dev.join(&name),
            number: number_in_table,
            start: number(&dir, "start").saturating_mul(SYSFS_SECTOR),
            size: number(&dir, "size").saturating_mul(SYSFS_SECTOR),
            partition_label: label.map(str::to_owned),
            in_use: usage.of(dev, &name).or_else(|| holder(&dir)),
            links: links_to(links, &name),
            name,
        });
    }
    partitions.sort_by_key(|p| p.number);
    partitions
}

/// A device-mapper or RAID device that has this one open.
fn holder(dir: &Path) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join("holders"))
        .ok()?
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    (!names.is_empty()).then(|| format!("held by {}", names.join(", ")))
}

/// Text of an attribute, without blanks around it; `None` where there is none or it is empty.
fn text(dir: &Path, attribute: &str) -> Option<String> {
    let bytes = fs::read(dir.join(attribute)).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

fn number(dir: &Path, attribute: &str) -> u64 {
    text(dir, attribute).and_then(|t| t.parse().ok()).unwrap_or(0)
}

/// NVMe and MMC say it as text, virtio on the block device itself, SCSI and ATA in page 0x80 of
/// their vital product data: four bytes of header, the last two its length.
fn serial(dir: &Path) -> Option<String> {
    let device = dir.join("device");
    text(&device, "serial").or_else(|| text(dir, "serial")).or_else(|| {
        let page = fs::read(device.join("vpd_pg80")).ok()?;
        let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
        let bytes = page.get(4..)?;
        let serial = String::from_utf8_lossy(&bytes[..length.min(bytes.len())]).trim().to_owned();
        (!serial.is_empty()).then_some(serial)
    })
}

/// The whole model of an ATA disk, as udev and lsblk show it: what SCSI calls model ends after 16 characters. Page 0x89
/// of the vital product data (SAT-4, 12.4.2) has the answer to IDENTIFY DEVICE from byte 60 on, and that the model in
/// its words 27 to 46, the first character of two in the higher byte (ACS-4, 7.13.6).
fn ata_model(device: &Path) -> Option<String> {
    const MODEL: std::ops::Range<usize> = 60 + 2 * 27..60 + 2 * 47;
    let page = fs::read(device.join("vpd_pg89")).ok()?;
    let words = page.get(MODEL)?.as_chunks::<2>().0;
    let bytes: Vec<u8> = words.iter().flat_map(|[low, high]| [*high, *low]).collect();
    let model = String::from_utf8_lossy(&bytes).trim_matches(|c| c == ' ' || c == '\0').to_owned();
    (!model.is_empty()).then_some(model)
}

/// By the path of the device in sysfs, which names every controller on the way.
fn bus(dir: &Path, name: &str) -> Option<Bus> {
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let parts: Vec<String> = real.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    let has = |kind: &str| {
        parts
            .iter()
            .any(|p| p.strip_prefix(kind).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit())))
    };
    if has("usb") {
        Some(Bus::Usb)
    } else if name.starts_with("nvme") {
        Some(Bus::Nvme)
    } else if name.starts_with("mmcblk") {
        Some(Bus::Mmc)
    } else if has("virtio") || name.starts_with("vd") {
        Some(Bus::Virtio)
    } else if has("ata") || name.starts_with("hd") {
        Some(Bus::Ata)
    } else {
        name.starts_with("sd").then_some(Bus::Scsi)
    }
}

/// Every link below `dev/disk`, with the name of the device it leads to.
fn links_of(dev: &Path) -> Vec<(PathBuf, String)> {
    let mut links = Vec::new();
    for family in fs::read_dir(dev.join("disk")).into_iter().flatten().flatten() {
        for link in fs::read_dir(family.path()).into_iter().flatten().flatten() {
            let target = fs::read_link(link.path()).ok();
            if let Some(name) = target.as_deref().and_then(Path::file_name).and_then(|n| n.to_str()) {
                links.push((link.path(), name.to_owned()));
            }
        }
    }
    links.sort();
    links
}

fn links_to(links: &[(PathBuf, String)], name: &str) -> Vec<PathBuf> {
    links.iter().filter(|(_, target)| target == name).map(|(link, _)| link.clone()).collect()
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
