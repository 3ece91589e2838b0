//! Clusters of FAT and exFAT, and the chains that they form.

use std::io;

use super::{Fields, Volume};
use crate::layout::ReadAt;

/// Bytes of an entry of a folder.
pub(super) const ENTRY: usize = 32;
/// Clusters of a root folder that are looked at, as blkid does: a table may run in a circle.
const MOST_CLUSTERS: usize = 100;
/// Bytes of a chain that are believed.
const MOST_BYTES: u64 = 32 << 20;

/// A heap of clusters, numbered from 2, with a table of 32-bit entries, each the number of the next cluster. Bytes.
pub(super) struct Clusters {
    pub(super) table: u64,
    pub(super) heap: u64,
    pub(super) length: u64,
    pub(super) count: u64,
}

impl Clusters {
    /// What lies in the clusters from `first` on; nothing where that makes no sense.
    pub(super) fn chain(&self, first: u64, volume: &Volume<'_, impl ReadAt>) -> io::Result<Vec<u8>> {
        let (mut bytes, mut cluster) = (Vec::new(), first);
        for _ in 0..MOST_CLUSTERS {
            let in_heap = (2..self.count.saturating_add(2)).contains(&cluster);
            let longer = self.length.saturating_add(bytes.len() as u64);
            if !in_heap || self.length == 0 || longer > MOST_BYTES {
                break;
            }
            let offset = (cluster - 2).saturating_mul(self.length).saturating_add(self.heap);
            bytes.extend(volume.read(offset, self.length as usize)?);
            let next = volume.read(cluster.saturating_mul(4).saturating_add(self.table), 4)?;
            // FAT32 has 28 bits.
            cluster = Fields(next).le(0, 4) & 0x0fff_ffff;
        }
        Ok(bytes)
    }
}
