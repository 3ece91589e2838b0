//! exFAT (Microsoft's exFAT file system specification): boot sector in section 3.1, folder entries in section 7.

use std::io;

use super::fat_clusters::{Clusters, ENTRY};
use super::{Fields, FileSystem, Volume, power};
use crate::layout::ReadAt;

/// Flag of the volume.
const DIRTY: u64 = 2;
/// Types of entries.
const BITMAP: u8 = 0x81;
const LABEL: u8 = 0x83;

struct Boot(Fields);

impl Boot {
    fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Self>> {
        Ok(volume.superblock(0, 512, 3, b"EXFAT   ")?.map(Self))
    }

    fn sectors(&self, count: u64) -> u64 {
        count.saturating_mul(power(self.0.le(108, 1)))
    }

    fn clusters(&self) -> Clusters {
        Clusters {
            table: self.sectors(self.0.le(80, 4)),
            entry_bits: 32,
            heap: self.sectors(self.0.le(88, 4)),
            length: self.sectors(power(self.0.le(109, 1))),
            count: self.0.le(92, 4),
        }
    }

    /// An entry of the root folder.
    fn entry(&self, volume: &Volume<'_, impl ReadAt>, kind: u8) -> io::Result<Option<Fields>> {
        let root = self.clusters().chain(self.0.le(96, 4), volume)?;
        let mut entries = root.as_chunks::<ENTRY>().0.iter().take_while(|entry| entry[0] != 0);
        Ok(entries.find(|entry| entry[0] == kind).map(|entry| Fields(entry.to_vec())))
    }
}

/// The boot region: eleven sectors and one of their checksum. Its copy follows.
pub(super) const REGION: u64 = 12;

/// Both boot regions with these bytes at `at` of their boot sectors, by their byte offsets on the device; `sector` is the
/// size of a sector.
pub(super) fn regions_with(
    volume: &Volume<'_, impl ReadAt>,
    sector: u64,
    at: usize,
    bytes: &[u8],
) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let region_with = |region: u64| {
        let mut whole = volume.read(region, (REGION * sector) as usize)?;
        whole[at..at + bytes.len()].copy_from_slice(bytes);
        let (summed, sums) = whole.split_at_mut(((REGION - 1) * sector) as usize);
        let sum = checksum(summed).to_le_bytes();
        sums.as_chunks_mut().0.iter_mut().for_each(|word| *word = sum);
        Ok((volume.offset + region, whole))
    };
    [0, REGION * sector].into_iter().map(region_with).collect()
}

/// Of a boot region (section 3.4): all bytes but flags and percentage of the boot sector, which change while it is mounted.
fn checksum(region: &[u8]) -> u32 {
    let counted = region.iter().enumerate().filter(|(at, _)| !matches!(at, 106 | 107 | 112));
    counted.fold(0u32, |sum, (_, byte)| sum.rotate_right(1).wrapping_add(u32::from(*byte)))
}

pub(super) fn boot_sector(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<Fields>> {
    Ok(Boot::read(volume)?.map(|boot| boot.0))
}

pub(super) fn read(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<FileSystem>> {
    let Some(boot) = Boot::read(volume)? else { return Ok(None) };
    let label = boot.entry(volume, LABEL)?;
    let dirty = boot.0.le(106, 2) & DIRTY != 0;
    Ok(Some(FileSystem {
        // Eleven characters at most.
        label: label.and_then(|entry| entry.utf16(2, 2 * (entry.le(1, 1) as usize).min(11))),
        size: boot.sectors(boot.0.le(72, 8)),
        block: boot.sectors(1),
        unclean: dirty.then(|| "was not cleanly unmounted: run fsck.exfat on it".to_owned()),
        unmappable: None,
    }))
}

/// Clusters by the allocation bitmap, and all that lies before them.
pub(super) fn in_use(volume: &Volume<'_, impl ReadAt>) -> io::Result<Option<u64>> {
    let Some(boot) = Boot::read(volume)? else { return Ok(None) };
    let Some(bitmap) = boot.entry(volume, BITMAP)? else { return Ok(None) };
    let clusters = boot.clusters();
    let bits = clusters.chain(bitmap.le(20, 4), volume)?;
    let whole = usize::try_from(clusters.count / 8).unwrap_or(usize::MAX).min(bits.len());
    let rest = bits.get(whole).map_or(0, |byte| byte & (power(clusters.count % 8) - 1) as u8);
    let used: u64 = bits[..whole].iter().chain([&rest]).map(|byte| u64::from(byte.count_ones())).sum();
    Ok(Some(clusters.heap.saturating_add(used.saturating_mul(clusters.length))))
}
