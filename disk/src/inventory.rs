//! A machine's disks as its reports have them.

use std::fs::File;
use std::path::{Path, PathBuf};

use ezio_contract::health::Health;
use ezio_contract::inventory::{DiskId, Holds, InventoryDisk};
use ezio_image::conf::Bus;
use ezio_image::contents;

use crate::discover::Disk;

const BUSES: [Bus; 6] = [Bus::Nvme, Bus::Ata, Bus::Usb, Bus::Virtio, Bus::Scsi, Bus::Mmc];

impl Disk {
    /// Which disk it is, whatever the kernel calls it.
    #[must_use]
    pub fn id(&self) -> DiskId {
        let Self { model, serial, wwn, size, .. } = self;
        DiskId { model: model.clone(), serial: serial.clone(), wwn: wwn.clone(), size: *size, start: None }
    }

    /// Which disk a path leads to, or which partition of it; `None` where that is none of this disk.
    #[must_use]
    pub fn id_of(&self, path: &Path) -> Option<DiskId> {
        if self.path == path {
            return Some(self.id());
        }
        let partition = self.partitions.iter().find(|partition| partition.path == path)?;
        Some(DiskId { size: partition.size, start: Some(partition.start), ..self.id() })
    }

    /// The disk, what it holds, and how it is.
    #[must_use]
    pub fn inventory(&self, holds: Holds, health: Option<Health>) -> InventoryDisk {
        InventoryDisk {
            path: self.path.display().to_string(),
            id: self.id(),
            sector_size: self.sector_size,
            bus: self.bus.map(|bus| bus.to_string()),
            removable: self.removable,
            read_only: self.read_only,
            boot_medium: self.is_boot_medium,
            in_use: self.in_use.clone(),
            holds,
            health,
        }
    }
}

/// Without what only the machine itself knows: partitions and links.
impl From<&InventoryDisk> for Disk {
    fn from(listed: &InventoryDisk) -> Self {
        let path = PathBuf::from(&listed.path);
        let DiskId { model, serial, wwn, size, .. } = listed.id.clone();
        Self {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            path,
            size,
            sector_size: listed.sector_size,
            model,
            serial,
            wwn,
            bus: BUSES.into_iter().find(|bus| listed.bus.as_deref() == Some(&bus.to_string())),
            removable: listed.removable,
            read_only: listed.read_only,
            is_virtual: false,
            is_boot_medium: listed.boot_medium,
            in_use: listed.in_use.clone(),
            partitions: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// What a disk or a partition holds. It is read only.
#[must_use]
pub fn holds(path: &Path, size: u64, sector_size: u32) -> Holds {
    match File::open(path) {
        Ok(device) => contents::look_at(&device, size, sector_size),
        Err(error) => Holds::only(&format!("it cannot be opened: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_chosen_by_its_inventory_as_by_itself() {
        let listed = |bus: Option<&str>| InventoryDisk {
            path: "/dev/nvme0n1".into(),
            id: DiskId { serial: Some("S1".into()), size: 1 << 30, ..DiskId::default() },
            sector_size: 4096,
            bus: bus.map(str::to_owned),
            removable: true,
            holds: Holds::only("Windows"),
            ..InventoryDisk::default()
        };
        for bus in BUSES.map(|bus| Some(bus.to_string())).into_iter().chain([None]) {
            let listed = listed(bus.as_deref());
            let disk = Disk::from(&listed);
            assert_eq!(disk.inventory(listed.holds.clone(), None), listed);
            assert_eq!(disk.id_of(Path::new("/dev/nvme0n1")), Some(listed.id));
        }
        assert_eq!(Disk::from(&listed(None)).id_of(Path::new("/dev/sda")), None);
    }
}
