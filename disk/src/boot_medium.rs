//! The medium that a machine was started from, told by the id in its GPT: never a target, whatever the rules say.

use std::fs::File;

use ezio_image::layout::{Layout, Table};
use uuid::Uuid;

use crate::discover::Disk;

/// Marks every disk with this id: copies of one stick are alike, and none of them is meant to be written.
pub fn mark_boot_medium(disks: &mut [Disk], disk_guid: Uuid) {
    for disk in disks {
        disk.is_boot_medium = guid(disk) == Some(disk_guid);
    }
}

/// The id of a disk; none where there is no GPT, or it cannot be read.
fn guid(disk: &Disk) -> Option<Uuid> {
    let file = File::open(&disk.path).ok()?;
    let layout = Layout::read_from_disk(&file, disk.size, disk.sector_size, &disk.name).ok()?;
    match *layout.table() {
        Table::Gpt { disk_guid, .. } => Some(disk_guid),
        Table::Dos { .. } => None,
    }
}
