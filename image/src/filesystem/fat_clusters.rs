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

/// A heap of clusters, numbered from 2, with a table of entries, each the number of the next cluster. Bytes.
pub(super) struct Clusters {
    pub(super) table: u64,
    /// Bits of an entry: 12, 16 or 32.
    pub(super) entry_bits: u64,
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
            cluster = self.next(cluster, volume)?;
        }
        Ok(bytes)
    }

    /// The entry of a cluster in the heap.
    fn next(&self, cluster: u64, volume: &Volume<'_, impl ReadAt>) -> io::Result<u64> {
        let bit = cluster.saturating_mul(self.entry_bits);
        let word = Fields(volume.read((bit / 8).saturating_add(self.table), 4)?).le(0, 4);
        // FAT32 has 28 bits.
        let bits = self.entry_bits.min(28);
        Ok(word >> (bit % 8) & ((1 << bits) - 1))
    }
}
