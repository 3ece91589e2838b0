//! One disk: its partition table, boot code, and what lies between them.

use anyhow::{Context, Result};
use ezio_image::layout::{BOOT_CODE_LENGTH, Layout, Table};

use super::Directory;

/// A disk as it was when it was saved.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The partition table.
    pub(crate) layout: Layout,
    /// Bytes.
    pub(crate) size: u64,
    /// Its model, where it is told.
    pub(crate) model: Option<String>,
    /// Boot code of its first sector, where there is any.
    pub(crate) boot_code: Option<Vec<u8>>,
    /// What lies behind its first sector, up to the first partition.
    pub(crate) hidden: Option<Vec<u8>>,
}

impl Disk {
    /// Reads what is told of the disk with this name.
    pub(crate) fn read(directory: &Directory, name: &str) -> Result<Self> {
        let parted = match directory.text(&format!("{name}-pt.parted")) {
            Ok(text) => Parted::parse(&text),
            Err(_) => Parted::default(),
        };
        let layout = read_layout(directory, name, &parted)?;
        let boot_code = read_boot_code(directory, name)?;
        let hidden = read_hidden(directory, name, &layout)?;
        let size = parted.size.unwrap_or(0).max(layout.minimum_size());
        Ok(Self { layout, size, model: parted.model, boot_code, hidden })
    }
}

fn read_layout(directory: &Directory, name: &str, parted: &Parted) -> Result<Layout> {
    let file = format!("{name}-pt.sf");
    let text = directory.text(&file)?;
    let understand = || format!("cannot understand {}", directory.path().join(&file).display());
    let mut layout = Layout::parse_sfdisk(&text).with_context(understand)?;
    // Old versions of sfdisk do not tell the size of a sector.
    let told = text.lines().any(|line| line.starts_with("sector-size:"));
    let sector_size = parted.sector_size.filter(|_| !told).unwrap_or(layout.sector_size());
    // The dump names the disk too, wrongly where the image was given another disk's name.
    let device = format!("/dev/{name}");
    layout = Layout::new(*layout.table(), &device, sector_size, layout.partitions().to_vec())
        .with_context(understand)?;
    Ok(layout)
}

fn read_boot_code(directory: &Directory, name: &str) -> Result<Option<Vec<u8>>> {
    let file = format!("{name}-mbr");
    if !directory.has(&file) {
        return Ok(None);
    }
    let mut code = directory.bytes(&file)?;
    code.truncate(BOOT_CODE_LENGTH);
    Ok(code.iter().any(|&b| b != 0).then_some(code))
}

fn read_hidden(directory: &Directory, name: &str, layout: &Layout) -> Result<Option<Vec<u8>>> {
    let file = format!("{name}-hidden-data-after-mbr");
    if !directory.has(&file) || !matches!(layout.table(), Table::Dos { .. }) {
        return Ok(None);
    }
    let mut hidden = directory.bytes(&file)?;
    let sector = u64::from(layout.sector_size());
    let room = layout.first_partition_offset().unwrap_or(sector).saturating_sub(sector);
    hidden.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    let used = hidden.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    hidden.truncate(used.next_multiple_of(layout.sector_size() as usize).min(hidden.len()));
    Ok((!hidden.is_empty()).then_some(hidden))
}

/// What `parted` printed of a disk.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parted {
    size: Option<u64>,
    sector_size: Option<u32>,
    model: Option<String>,
}

impl Parted {
    fn parse(text: &str) -> Self {
        let mut parted = Self::default();
        let mut sectors = None;
        for (key, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            match key {
                // "ATA QEMU HARDDISK (scsi)": the bus is not part of it.
                "Model" => {
                    let model = value.rsplit_once(" (").map_or(value, |(model, _)| model).trim();
                    parted.model = (!model.is_empty() && model != "Unknown").then(|| model.to_owned());
                }
                // "512B/512B": logical, physical.
                "Sector size (logical/physical)" => {
                    parted.sector_size = value.split_once('B').and_then(|(logical, _)| logical.parse().ok());
                }
                _ if key.starts_with("Disk /dev/") => {
                    sectors = value.strip_suffix('s').and_then(|sectors| sectors.parse::<u64>().ok());
                }
                _ => {}
            }
        }
        parted.size = sectors.and_then(|n| n.checked_mul(u64::from(parted.sector_size?)));
        parted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parted_printed_is_read() {
        let text = "Model: ATA QEMU HARDDISK (scsi)\nDisk /dev/sda: 131072s\n\
            Sector size (logical/physical): 4096B/4096B\nPartition Table: gpt\nDisk Flags: \n";
        let parted = Parted::parse(text);
        assert_eq!(parted.size, Some(131_072 * 4096));
        assert_eq!(parted.sector_size, Some(4096));
        assert_eq!(parted.model.as_deref(), Some("ATA QEMU HARDDISK"));
        assert_eq!(Parted::parse("Disk /dev/sda: 67.1MB\n"), Parted::default());
    }
}
