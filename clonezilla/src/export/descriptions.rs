//! The small files of Clonezilla's directory: the table in all its forms, boot code, and what it lists of partitions.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use ezio_image::layout::{Layout, TableImage};
use ezio_image::manifest::{Content, PartitionInfo};

use super::{DiskImage, EBR_CODE, is_gpt, saved};

/// Sectors from the disk's first one to the end of a GPT's usual 128 entries.
const GPT_HEAD: u64 = 34;
/// Sectors of a GPT's backup.
const GPT_TAIL: u64 = 33;

/// Names and bytes of all of them.
pub(super) fn all(images: &[DiskImage<'_>]) -> Result<Vec<(String, Vec<u8>)>> {
    let disks: Vec<&str> = images.iter().map(DiskImage::disk).collect();
    let saved: Vec<&str> =
        images.iter().flat_map(|image| saved(image)).map(|part| part.name.as_str()).collect();
    let names: Vec<&str> = images.iter().map(|image| image.manifest.name.as_str()).collect();
    let note = format!("Exported from the image {} of ezio.\n", names.join(", "));
    let mut files = vec![
        ("disk".to_owned(), format!("{}\n", disks.join(" ")).into()),
        ("parts".to_owned(), format!("{}\n", saved.join(" ")).into()),
        ("clonezilla-img".to_owned(), note.into()),
    ];
    let (mut blkid, mut filesystems) = (String::new(), String::new());
    for image in images {
        add_disk(image, &mut files)?;
        for part in &image.manifest.partitions {
            let (uuid, label) =
                (part.uuid.as_deref().unwrap_or_default(), part.label.as_deref().unwrap_or_default());
            if part.content == Content::Swap {
                let info = format!("UUID=\"{uuid}\"\nLABEL=\"{label}\"\n");
                files.push((format!("swappt-{}.info", part.name), info.into()));
            }
            let Some(filesystem) = &part.filesystem else { continue };
            // Writing to a String cannot fail.
            let _ = write!(blkid, "/dev/{}:", part.name);
            let values = [("LABEL", label), ("UUID", uuid), ("TYPE", filesystem.as_str())];
            for (key, value) in values.into_iter().filter(|(_, value)| !value.is_empty()) {
                let _ = write!(blkid, " {key}=\"{value}\"");
            }
            blkid.push('\n');
            let _ = writeln!(filesystems, "/dev/{} {filesystem} {}", part.name, megabytes(part.size));
        }
    }
    files.push(("blkid.list".to_owned(), blkid.into()));
    let list = format!("# <Device name>   <File system>   <Size>\n{filesystems}");
    files.push(("dev-fs.list".to_owned(), list.into()));
    Ok(files)
}

/// Those of one disk.
fn add_disk(image: &DiskImage<'_>, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let (layout, disk, size) = (image.layout, image.disk(), image.size);
    let sector = layout.sector_size();
    let table =
        layout.encode(size, sector).context("the partition table does not fit the image's own disk")?;
    let table = table.with_boot_code(image.boot_code.as_deref().unwrap_or_default());
    let mut add = |name: String, bytes: Vec<u8>| files.push((name, bytes));
    add(format!("{disk}-pt.sf"), layout.to_sfdisk().into());
    let printed = parted(image, size);
    add(format!("{disk}-pt.parted"), printed.clone().into());
    add(format!("{disk}-pt.parted.compact"), printed.into());
    add(format!("{disk}-chs.sf"), chs(size / u64::from(sector)).into());
    add(format!("{disk}-mbr"), bytes_of(&table, 0, 512));
    if is_gpt(layout) {
        let sector = u64::from(sector);
        add(format!("{disk}-gpt-1st"), bytes_of(&table, 0, GPT_HEAD * sector));
        add(
            format!("{disk}-gpt-2nd"),
            bytes_of(&table, size / sector * sector - GPT_TAIL * sector, GPT_TAIL * sector),
        );
    }
    for part in image.manifest.partitions.iter().filter(|part| is_extended(layout, part)) {
        let mut record = bytes_of(&table, part.offset, 512);
        let code = image.outside(part.offset..part.offset + EBR_CODE)?;
        record[..code.len()].copy_from_slice(&code);
        add(format!("{}-ebr", part.name), record);
    }
    if let Some(hidden) = image.after_mbr()? {
        add(format!("{disk}-hidden-data-after-mbr"), hidden);
    }
    Ok(())
}

/// What partclone calls a file system that blkid calls by this name.
pub(super) fn partclone_name(filesystem: &str) -> &'static str {
    match filesystem {
        "ext2" | "ext3" | "ext4" => "EXTFS",
        "xfs" => "XFS",
        "btrfs" => "BTRFS",
        "ntfs" => "NTFS",
        "vfat" => "FAT",
        "exfat" => "EXFAT",
        "f2fs" => "F2FS",
        "hfsplus" => "HFS Plus",
        "jfs" => "JFS",
        "nilfs2" => "NILFS",
        "reiserfs" => "REISERFS",
        "minix" => "MINIX",
        "ufs" => "UFS",
        _ => "raw",
    }
}

fn is_extended(layout: &Layout, part: &PartitionInfo) -> bool {
    layout.partition(part.number).is_some_and(ezio_image::layout::Partition::is_extended)
}

/// What the table has there; zeros where it has nothing.
fn bytes_of(table: &TableImage, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    for (start, written) in table.writes() {
        for (at, byte) in (*start..).zip(written) {
            if let Some(place) = at.checked_sub(offset).and_then(|at| bytes.get_mut(at as usize)) {
                *place = *byte;
            }
        }
    }
    bytes
}

/// As `parted` prints a table in sectors; Clonezilla reads the size of the disk, the kind of table, and which partitions are
/// swap.
fn parted(image: &DiskImage<'_>, size: u64) -> String {
    let (layout, sector) = (image.layout, image.layout.sector_size());
    let model = image.manifest.source.model.as_deref().unwrap_or("Unknown");
    let label = if is_gpt(layout) { "gpt" } else { "msdos" };
    let mut text = format!(
        "Model: {model} (scsi)\nDisk {}: {}s\nSector size (logical/physical): {sector}B/{sector}B\n\
         Partition Table: {label}\nDisk Flags: \n\nNumber  Start  End  Size  File system  Name  Flags\n",
        layout.device(),
        size / u64::from(sector)
    );
    for p in layout.partitions() {
        let info = image.manifest.partitions.iter().find(|info| info.number == p.number);
        let filesystem = match info {
            Some(info) if info.content == Content::Swap => "linux-swap(v1)",
            _ => info.and_then(|info| info.filesystem.as_deref()).unwrap_or_default(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, " {}  {}s  {}s  {}s  {filesystem}", p.number, p.start, p.end() - 1, p.size);
    }
    text
}

/// The geometry that every BIOS of the last decades tells of a large disk.
fn chs(sectors: u64) -> String {
    format!("cylinders={}\nheads=255\nsectors=63\n", sectors / (255 * 63))
}

fn megabytes(bytes: u64) -> String {
    format!("{}M", bytes >> 20)
}
