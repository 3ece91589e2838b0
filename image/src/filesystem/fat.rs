//! FAT12, FAT16 and FAT32 (Microsoft's FAT specification). The label is an entry of the root folder; the boot sector has
//! one too, which Windows does not keep up to date.

use std::io;

use super::beginning::BootSectors;
use super::fat_clusters::{Clusters, ENTRY};
use super::fat_names::names;
use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

/// Of a table that is read at once, in bytes.
const CHUNK: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fat12,
    Fat16,
    Fat32,
}

/// The boot sector, and what follows from it. Bytes.
struct Boot {
    fields: Fields,
    kind: Kind,
    table: u64,
    table_length: u64,
    root: u64,
    clusters: Clusters,
    size: u64,
}

impl Boot {
    fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Self>> {
        let Some(fields) = volume.superblock(0, 512, 510, &[0x55, 0xaa])? else { return Ok(None) };
        let magic = [fields.bytes(82, 3), fields.bytes(54, 3)];
        Ok(if magic.contains(&b"FAT".as_slice()) { Self::parse(fields) } else { None })
    }

    /// `None` where it makes no sense.
    fn parse(fields: Fields) -> Option<Self> {
        let either = |short: u64, long: u64| if short == 0 { long } else { short };
        let (sector, cluster, reserved) = (fields.le(11, 2), fields.le(13, 1), fields.le(14, 2));
        let (tables, entries) = (fields.le(16, 1), fields.le(17, 2));
        let sectors = either(fields.le(19, 2), fields.le(32, 4));
        let table_sectors = either(fields.le(22, 2), fields.le(36, 4));
        if !sector.is_power_of_two() || !(512..=4096).contains(&sector) || !cluster.is_power_of_two() {
            return None;
        }
        let root = reserved + tables * table_sectors;
        let heap = root + (entries * ENTRY as u64).div_ceil(sector);
        let count = sectors.checked_sub(heap)? / cluster;
        // As Linux tells them apart: FAT32 may have fewer clusters than the specification asks for (section 3.5).
        let kind = match (fields.le(22, 2), count) {
            (0, _) => Kind::Fat32,
            (_, 0..4085) => Kind::Fat12,
            _ => Kind::Fat16,
        };
        let (table, table_length) = (reserved * sector, table_sectors * sector);
        let clusters = Clusters {
            table,
            entry_bits: match kind {
                Kind::Fat12 => 12,
                Kind::Fat16 => 16,
                Kind::Fat32 => 32,
            },
            heap: heap * sector,
            length: cluster * sector,
            count,
        };
        Some(Self {
            kind,
            table,
            table_length,
            root: root * sector,
            clusters,
            size: sectors * sector,
            fields,
        })
    }

    /// The root folder: FAT32's is a chain of clusters, that of the others has a place of its own.
    fn root_folder(&self, volume: &Volume<'_, impl ReadAt>) -> io::Result<Vec<u8>> {
        match self.kind {
            Kind::Fat32 => self.clusters.chain(self.fields.le(44, 4), volume),
            Kind::Fat12 | Kind::Fat16 => volume.read(self.root, self.fields.le(17, 2) as usize * ENTRY),
        }
    }

    fn label(&self, volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<String>> {
        let at = if self.kind == Kind::Fat32 { 71 } else { 43 };
        let own = || self.fields.text(at, 11).filter(|label| label != "NO NAME");
        Ok(label_entry(&self.root_folder(volume)?).or_else(own))
    }

    /// Linux sets bit 0 of a byte in the boot sector while it is mounted. Windows clears the highest bit (FAT32: bit 27) of
    /// the table's second entry; FAT12 has no room for it.
    fn is_dirty(&self, volume: &Volume<'_, impl ReadAt>) -> io::Result<bool> {
        let linux = self.fields.le(if self.kind == Kind::Fat32 { 65 } else { 37 }, 1) & 1 != 0;
        let entries = Fields(volume.read(self.table, 8)?);
        let windows = match self.kind {
            Kind::Fat32 => entries.le(7, 1) & 0x08 == 0,
            Kind::Fat16 => entries.le(3, 1) & 0x80 == 0,
            Kind::Fat12 => false,
        };
        Ok(linux || windows)
    }
}

/// Attribute byte at 11: bit 3 is a volume's label; all of the low four bits are a part of a long name.
fn label_entry(entries: &[u8]) -> Option<String> {
    let used = entries.as_chunks::<ENTRY>().0.iter().take_while(|e| e[0] != 0).filter(|e| e[0] != 0xe5);
    let mut labels = used.filter(|e| e[11] & 0x18 == 0x08 && e[11] & 0x0f != 0x0f);
    let mut name = labels.next()?[..11].to_vec();
    // 0xe5 in the first place marks what is deleted, so that character is written as 5.
    if name[0] == 5 {
        name[0] = 0xe5;
    }
    Fields(name).text(0, 11)
}

/// The names in a folder, which is named from the root on, whatever the case; none where there is no such folder.
pub(super) fn list(volume: &Volume<'_, impl ReadAt>, path: &[&str]) -> io::Result<Option<Vec<String>>> {
    let Some(boot) = Boot::read(volume)? else { return Ok(None) };
    let mut folder = boot.root_folder(volume)?;
    for wanted in path {
        let found = names(&folder).into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let first = found.map(|(_, cluster)| cluster).unwrap_or_default();
        folder = boot.clusters.chain(first, volume)?;
    }
    Ok(Some(names(&folder).into_iter().map(|(name, _)| name).collect()))
}

/// FAT32 names the sector of a copy.
pub(super) fn boot_sectors(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<BootSectors>> {
    let Some(boot) = Boot::read(volume)? else { return Ok(None) };
    let (sector, reserved) = (boot.fields.le(11, 2), boot.fields.le(14, 2));
    let copy =
        Some(boot.fields.le(50, 2)).filter(|at| boot.kind == Kind::Fat32 && (1..reserved).contains(at));
    let serial = if boot.kind == Kind::Fat32 { (0x43, 4) } else { (0x27, 4) };
    Ok(Some(BootSectors { sector, copy: copy.map(|at| at * sector), serial }))
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(boot) = Boot::read(volume)? else { return Ok(None) };
    let dirty = boot.is_dirty(volume)?;
    Ok(Some(FileSystem {
        label: boot.label(volume)?,
        size: boot.size,
        block: boot.fields.le(11, 2),
        unclean: dirty.then(|| "was not cleanly unmounted: run fsck.fat -a on it".to_owned()),
        unmappable: (boot.kind == Kind::Fat12).then_some("partclone's map of FAT12 is wrong"),
    }))
}

/// Clusters by the first table, and all that lies before them. FAT12 is not counted: it is copied whole.
pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let Some(boot) = Boot::read(volume)?.filter(|boot| boot.kind != Kind::Fat12) else { return Ok(None) };
    let width = if boot.kind == Kind::Fat32 { 4 } else { 2 };
    let length = ((boot.clusters.count + 2) * width).min(boot.table_length);
    let (mut at, mut used) = (0, 0u64);
    while at < length {
        let table = Fields(volume.read(boot.table + at, CHUNK.min(length - at) as usize)?);
        let entries = (0..table.0.len()).step_by(width as usize);
        used += entries.filter(|entry| table.le(*entry, width as usize) & 0x0fff_ffff != 0).count() as u64;
        at += CHUNK;
    }
    // The first two entries are no clusters.
    Ok(Some(boot.clusters.heap + used.saturating_sub(2) * boot.clusters.length))
}
