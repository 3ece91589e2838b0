//! What a disk holds, before it is overwritten: nothing at all, or what people would miss, and by which id it is known again.

use ezio_contract::Arch;
use ezio_contract::inventory::{Holds, MAX_LINE, MAX_LINES, Mark};
use ezio_contract::text::one_line;
use uuid::Uuid;

use crate::filesystem::volume_id;
use crate::layout::{Entry, Layout, LayoutError, Partition, ReadAt, Table};
use crate::uefi::{WINDOWS, find_loaders};
use blank::is_blank;
use volume::Volume;

pub mod begun;
mod blank;
#[cfg(test)]
mod tests;
mod volume;

/// Looks at a disk, or at a partition, of `size` bytes.
///
/// What cannot be read is said, and is not blank.
#[must_use]
pub fn look_at(device: &impl ReadAt, size: u64, sector_size: u32) -> Holds {
    match is_blank(device, size) {
        Ok(true) => Holds { blank: true, ..Holds::default() },
        Ok(false) => look_closer(device, size, sector_size),
        Err(error) => Holds::only(&format!("it cannot be read: {error}")),
    }
}

fn look_closer(device: &impl ReadAt, size: u64, sector_size: u32) -> Holds {
    if let Some(run) = begun::run(device) {
        let lines = vec!["what a deployment left that did not end".to_owned()];
        return Holds { blank: false, mark: Some(Mark::Begun(run)), lines };
    }
    match Layout::read_from_disk(device, size, sector_size, "disk") {
        Ok(layout) => look_at_table(device, &layout),
        // A boot sector may pass for the remains of a table.
        Err(error) => match (Volume::find(device, 0..size), error) {
            (Some(volume), _) => {
                let mark = volume_id(device, size).ok().flatten().map(Mark::Volume);
                Holds { blank: false, mark, lines: vec![line(&volume.to_string())] }
            }
            (None, LayoutError::NoTable) => {
                Holds::only("something that is not known, without a partition table")
            }
            (None, error) => Holds::only(&format!("a partition table that cannot be read ({error})")),
        },
    }
}

fn look_at_table(device: &impl ReadAt, layout: &Layout) -> Holds {
    let partitions: Vec<&Partition> =
        layout.partitions().iter().filter(|partition| !partition.is_extended()).collect();
    let volumes: Vec<(&Partition, Volume)> = partitions
        .iter()
        .filter_map(|partition| Some((*partition, Volume::find(device, layout.byte_range(partition))?)))
        .collect();
    let kind = match layout.table() {
        Table::Gpt { .. } => "GPT",
        Table::Dos { .. } => "MBR",
    };
    let mut lines = systems(device, layout, &volumes);
    lines.extend(volumes.iter().map(|(_, volume)| volume.to_string()));
    if lines.is_empty() {
        lines.push(format!("{kind} with {} partitions that hold nothing which is known", partitions.len()));
    }
    let surplus = lines.len().saturating_sub(MAX_LINES - 1);
    if surplus > 1 {
        lines.truncate(MAX_LINES - 1);
        lines.push(format!("and {surplus} more"));
    }
    Holds { blank: false, mark: mark_of(layout), lines: lines.iter().map(|text| line(text)).collect() }
}

/// What a table is known again by; none where its id was never set.
#[must_use]
pub fn mark_of(layout: &Layout) -> Option<Mark> {
    match *layout.table() {
        Table::Gpt { disk_guid, .. } => (disk_guid != Uuid::nil()).then_some(Mark::Gpt(disk_guid)),
        Table::Dos { disk_id } => (disk_id != 0).then_some(Mark::Mbr(disk_id)),
    }
}

/// Systems that start from the disk, as far as that shows: in loaders for UEFI, in what is started by a BIOS, in where a
/// file system was mounted last.
fn systems(device: &impl ReadAt, layout: &Layout, volumes: &[(&Partition, Volume)]) -> Vec<String> {
    let loaders = Arch::ALL.into_iter().filter_map(|arch| find_loaders(device, layout, arch).ok());
    let mut names: Vec<String> = loaders
        .flat_map(|loaders| loaders.systems)
        .map(|system| match system.description.as_str() {
            WINDOWS => "Windows".to_owned(),
            name => format!("Linux ({name})"),
        })
        .collect();
    let is_active = |partition: &Partition| matches!(partition.entry, Entry::Dos { bootable: true, .. });
    if volumes.iter().any(|(partition, volume)| volume.is_ntfs() && is_active(partition)) {
        names.push("Windows".to_owned());
    }
    if volumes.iter().any(|(_, volume)| volume.is_root) && !names.iter().any(|name| name.starts_with("Linux"))
    {
        names.push("Linux".to_owned());
    }
    names.sort();
    names.dedup();
    names
}

fn line(text: &str) -> String {
    one_line(text, MAX_LINE)
}
