//! A machine's disks as its reports have them.

use std::fs::File;
use std::path::Path;

use ezio_contract::inventory::{DiskId, Holds, InventoryDisk};
use ezio_image::contents;

use crate::discover::Disk;

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

    /// The disk, and what it holds.
    #[must_use]
    pub fn inventory(&self, holds: Holds) -> InventoryDisk {
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
