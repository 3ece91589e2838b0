//! Where a volume lies on its disk, by its own word: FAT and NTFS count "hidden sectors" before it (offset 0x1c of the
//! boot sector, and of its copy), exFAT has a "partition offset". Loaders read on from there: Windows does not start
//! from a volume that lies elsewhere than it says.

use std::io;
use std::ops::Range;

use super::{Fields, Volume, exfat, fat, ntfs, power};
use crate::layout::ReadAt;

/// Offset of the hidden sectors in a boot sector, four bytes.
const HIDDEN: usize = 0x1c;
/// Offset of exFAT's partition offset, eight bytes.
const PARTITION_OFFSET: usize = 64;
/// No volume of these kinds is smaller; here, so that both of exFAT's regions can be read.
const SMALLEST: u64 = 2 * exfat::REGION * 4096;

/// What to write so that a volume says where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The sector that it named before.
    pub was: u64,
    /// The sector at which it begins.
    pub is: u64,
    /// Byte offsets on the device, and what to write there.
    pub changes: Vec<(u64, Vec<u8>)>,
}

/// Boot sectors of FAT or NTFS.
pub(super) struct BootSectors {
    /// Bytes a sector.
    pub(super) sector: u64,
    /// Byte offset of the copy on the volume.
    pub(super) copy: Option<u64>,
    /// Where in it the volume's serial number is, and of how many bytes.
    pub(super) serial: (usize, usize),
}

impl BootSectors {
    /// Both of a volume of so many bytes, by their byte offsets on it: what is there in place of a copy is left out.
    pub(super) fn read(
        &self,
        volume: &Volume<'_, impl ReadAt>,
        length: u64,
    ) -> io::Result<Vec<(u64, Fields)>> {
        let copy = self.copy.filter(|at| at.saturating_add(512) <= length);
        let own = Fields(volume.read(0, 512)?);
        let mut all = Vec::new();
        for at in [Some(0), copy].into_iter().flatten() {
            let sector = Fields(volume.read(at, 512)?);
            if sector.bytes(3, 8) == own.bytes(3, 8) && sector.bytes(510, 2) == [0x55, 0xaa] {
                all.push((at, sector));
            }
        }
        Ok(all)
    }
}

/// What to change on the volume in this range of a device so that it says that it begins at the byte `start` of a disk.
/// `None` where it says so already, or says nothing.
///
/// # Errors
/// What the device says.
pub fn moved(device: &impl ReadAt, range: &Range<u64>, start: u64) -> io::Result<Option<Moved>> {
    let length = range.end.saturating_sub(range.start);
    if length < SMALLEST {
        return Ok(None);
    }
    let volume = Volume { device, offset: range.start };
    let boot = match ntfs::boot_sectors(&volume)? {
        None => fat::boot_sectors(&volume)?,
        found => found,
    };
    match boot {
        Some(boot) => hidden_sectors(&volume, &boot, length, start),
        None => partition_offset(&volume, start),
    }
}

fn hidden_sectors(
    volume: &Volume<'_, impl ReadAt>,
    boot: &BootSectors,
    length: u64,
    start: u64,
) -> io::Result<Option<Moved>> {
    // Four bytes: where a volume begins behind 2 TiB, nothing can be said.
    let Some(is) = start.checked_div(boot.sector).and_then(|sector| u32::try_from(sector).ok()) else {
        return Ok(None);
    };
    let was = Fields(volume.read(0, 512)?).le(HIDDEN, 4);
    let sectors = boot.read(volume, length)?;
    let wrong = sectors.iter().filter(|(_, sector)| sector.le(HIDDEN, 4) != u64::from(is));
    let changes: Vec<_> =
        wrong.map(|(at, _)| (volume.offset + at + HIDDEN as u64, is.to_le_bytes().to_vec())).collect();
    Ok((!changes.is_empty()).then(|| Moved { was, is: is.into(), changes }))
}

fn partition_offset(volume: &Volume<'_, impl ReadAt>, start: u64) -> io::Result<Option<Moved>> {
    let Some(boot) = exfat::boot_sector(volume)? else { return Ok(None) };
    let sector = power(boot.le(108, 1));
    let was = boot.le(PARTITION_OFFSET, 8);
    let Some(is) = start.checked_div(sector).filter(|is| *is != was && (512..=4096).contains(&sector)) else {
        return Ok(None);
    };
    let changes = exfat::regions_with(volume, sector, PARTITION_OFFSET, &is.to_le_bytes())?;
    Ok(Some(Moved { was, is, changes }))
}
