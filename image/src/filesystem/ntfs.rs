//! NTFS: the boot sector, and out of the master file table the record `$Volume` with label and flags.

use std::io;

use super::beginning::BootSectors;
use super::ntfs_record::Record;
use super::{Fields, FileSystem, Volume};
use crate::layout::ReadAt;

/// Number of the `$Volume` record.
const VOLUME_RECORD: u64 = 3;
/// Number of the `$Bitmap` record: which clusters are in use.
const BITMAP_RECORD: u64 = 6;
const DATA: u32 = 0x80;
/// Bytes of it that are read at a time.
const CHUNK: u64 = 1 << 20;
/// Attributes; the last one of a record is followed by `END`.
const VOLUME_NAME: u64 = 0x60;
const VOLUME_INFORMATION: u64 = 0x70;
const END: u64 = 0xffff_ffff;
/// Of the flags in `VOLUME_INFORMATION`, 10 bytes into it.
const DIRTY: u8 = 1;

/// The boot sector; `None` where there is no NTFS.
pub(super) fn boot_sector(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    volume.superblock(0, 512, 3, b"NTFS    ")
}

/// The copy lies behind the sectors that the boot sector counts.
pub(super) fn boot_sectors(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<BootSectors>> {
    let Some(boot) = boot_sector(volume)? else { return Ok(None) };
    let sector = boot.le(11, 2);
    Ok(Some(BootSectors { sector, copy: boot.le(0x28, 8).checked_mul(sector), serial: (0x48, 8) }))
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(boot) = boot_sector(volume)? else { return Ok(None) };
    // Behind the sectors that it counts lies the copy of the boot sector.
    let size = boot.le(0x28, 8).saturating_add(1).saturating_mul(boot.le(11, 2));
    let record = match Geometry::of(&boot) {
        Some(geometry) => Fields(volume.read(geometry.place_of(VOLUME_RECORD), geometry.record)?),
        None => Fields(Vec::new()),
    };
    let dirty =
        attribute(&record, VOLUME_INFORMATION).and_then(|(at, _)| record.bytes(at + 10, 1).first().copied());
    let unclean = "was not cleanly unmounted: start Windows and shut it down, or run chkdsk /f";
    Ok(Some(FileSystem {
        label: attribute(&record, VOLUME_NAME).and_then(|(at, length)| record.utf16(at, length)),
        size,
        block: boot.le(11, 2),
        unclean: dirty.filter(|flags| flags & DIRTY != 0).map(|_| unclean.to_owned()),
        unmappable: None,
    }))
}

/// Clusters by the map of clusters. What of it lies behind the last cluster counts for nothing.
pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let Some(geometry) = boot_sector(volume)?.as_ref().and_then(Geometry::of) else { return Ok(None) };
    let record = volume.read(geometry.place_of(BITMAP_RECORD), geometry.record)?;
    let map = Record::decode(record, BITMAP_RECORD)?.attribute(DATA, "")?;
    let (mut left, mut used) = (geometry.clusters(), 0u64);
    for run in map.runs()? {
        let Some(first) = run.first else { continue };
        let place = |cluster: u64| cluster.checked_mul(geometry.cluster).ok_or(io::ErrorKind::InvalidData);
        let (mut at, length) = (place(first)?, place(run.length)?.min(left.div_ceil(8)));
        let end = at.saturating_add(length);
        while at < end {
            let bytes = volume.read(at, CHUNK.min(end - at) as usize)?;
            at += bytes.len() as u64;
            for byte in bytes {
                let counted = left.min(8);
                used += u64::from((u16::from(byte) & ((1u16 << counted) - 1)).count_ones());
                left -= counted;
            }
        }
    }
    Ok(Some(used.saturating_mul(geometry.cluster)))
}

/// What the boot sector says of the volume, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) sector: u64,
    pub(super) cluster: u64,
    /// Length of a record in the master file table.
    pub(super) record: usize,
    /// Where the copy of the table's first records begins.
    pub(super) mirror: u64,
    table: u64,
    sectors: u64,
}

impl Geometry {
    /// `None` where the boot sector makes no sense: bytes a sector at 0x0b, sectors a cluster at 0x0d, sectors at 0x28, first
    /// clusters of the table and of its mirror at 0x30 and 0x38, clusters a record at 0x40; counts of clusters and records
    /// may be powers of two instead, as negative numbers.
    pub(super) fn of(boot: &Fields) -> Option<Self> {
        let negated = |byte: u64| 256 - u32::try_from(byte).unwrap_or(256);
        let sector = Some(boot.le(11, 2)).filter(|sector| (256..=4096).contains(sector))?;
        let cluster = match boot.le(0x0d, 1) {
            count @ 0..=0x80 => sector * count,
            power => sector << negated(power).min(31),
        };
        let record = match boot.le(0x40, 1) {
            clusters @ 1..=0x7f => cluster.checked_mul(clusters)?,
            power => 1u64.checked_shl(negated(power))?,
        };
        let record = usize::try_from(record).ok().filter(|length| (256..=64 << 10).contains(length))?;
        let place = |at| boot.le(at, 8).checked_mul(cluster).filter(|at| *at < i64::MAX as u64);
        let sectors = Some(boot.le(0x28, 8)).filter(|count| *count <= i64::MAX as u64 / sector)?;
        (cluster > 0).then_some(Self {
            sector,
            cluster,
            record,
            mirror: place(0x38)?,
            table: place(0x30)?,
            sectors,
        })
    }

    /// Whole clusters of the volume.
    pub(super) fn clusters(&self) -> u64 {
        self.sectors * self.sector / self.cluster
    }

    /// Byte at which a record of the table begins. Good for the first sixteen, which are never apart.
    pub(super) fn place_of(&self, record: u64) -> u64 {
        self.table + record * self.record as u64
    }
}

/// Where the value of an attribute lies in a record, and its length.
fn attribute(record: &Fields, wanted: u64) -> Option<(usize, usize)> {
    if record.bytes(0, 4) != b"FILE" {
        return None;
    }
    let mut at = usize::try_from(record.le(20, 2)).ok()?;
    // Attributes are at least 16 bytes long: the loop ends with the record.
    while at < record.0.len() {
        let (kind, length) = (record.le(at, 4), usize::try_from(record.le(at + 4, 4)).ok()?);
        if kind == END || length < 16 {
            return None;
        }
        if kind == wanted {
            let (value, from) = (record.le(at + 16, 4), record.le(at + 20, 2));
            return Some((at + usize::try_from(from).ok()?, usize::try_from(value).ok()?));
        }
        at += length;
    }
    None
}
