//! The same table for a disk that counts in sectors of another length.

use super::{Layout, LayoutError, Table, gpt};

impl Layout {
    /// The same partitions at the same bytes, in sectors of `sector_size` bytes. Of a partition that ends within such a
    /// sector this part is left out, if the `needed` bytes of it (by its number) are still there.
    ///
    /// # Errors
    /// A partition cannot be there, or the table cannot say it.
    pub fn in_sectors_of(&self, sector_size: u32, needed: impl Fn(u32) -> u64) -> Result<Self, LayoutError> {
        let length = u64::from(sector_size);
        let mut partitions = self.partitions.clone();
        for p in &mut partitions {
            let range = self.byte_range(p);
            let refuse = |what| LayoutError::Partition { number: p.number, what };
            // An extended partition begins with a record that may lie anywhere before the first logical one.
            if !range.start.is_multiple_of(length) && !p.is_extended() {
                return Err(refuse(format!("begins at byte {}, within such a sector", range.start)));
            }
            let (start, end) = (range.start / length, range.end / length);
            if (end - start) * length < needed(p.number) {
                return Err(refuse(format!(
                    "ends at byte {}, within such a sector, which it needs",
                    range.end
                )));
            }
            (p.start, p.size) = (start, end - start);
        }
        let mut table = self.table;
        if let Table::Gpt { first_lba, last_lba, entries, .. } = &mut table {
            let here = |sector: u64| sector.saturating_mul(u64::from(self.sector_size)).div_ceil(length);
            *first_lba = here(*first_lba).max(2 + gpt::entry_sectors(*entries, sector_size));
            *last_lba = here(*last_lba).max(*first_lba);
        }
        Self::new(table, &self.device, sector_size, partitions)
    }
}
