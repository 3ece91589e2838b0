//! A table for another disk: one partition takes the room or gives it up, what lies behind it moves.

use super::{Layout, LayoutError, Partition, Table, gpt};

/// Partitions move by multiples of this, so that what was aligned stays aligned (the disk's own blocks and erase blocks
/// are powers of two below it), and what was not is no worse. Bytes.
const ALIGNMENT: u64 = 1 << 20;

impl Layout {
    /// The same table on a disk of `size` bytes, with partition `number` grown by all the room that there is. The others
    /// keep their sizes; those behind it move. Without room all stays as it is.
    ///
    /// # Errors
    /// There is no such partition, or the table cannot say where it would end.
    pub fn grown(&self, number: u32, size: u64) -> Result<Self, LayoutError> {
        let missing = || LayoutError::Partition { number, what: "is not in the table".to_owned() };
        let grown = self.partition(number).ok_or_else(missing)?;
        let aligned = ALIGNMENT / u64::from(self.sector_size);
        let limit = self.limit(size);
        // What a logical partition lies in grows with it.
        let container = self.partitions.iter().find(|p| p.is_extended() && grown.is_logical());
        let is_behind = |p: &Partition| p.start > grown.start;
        let something_is_behind = self.partitions.iter().any(is_behind);
        let by = if something_is_behind {
            let last_end = self.partitions.iter().map(Partition::end).max().unwrap_or_default();
            limit.saturating_sub(last_end) / aligned * aligned
        } else {
            (limit / aligned * aligned).saturating_sub(grown.end())
        };
        let mut partitions = self.partitions.clone();
        for p in &mut partitions {
            if is_behind(p) {
                p.start += by;
            } else if p.number == number {
                p.size += by;
            } else if container.is_some_and(|c| c.number == p.number) {
                let least = if something_is_behind { p.end() + by } else { grown.end() + by };
                p.size = least.max(p.end()) - p.start;
            }
        }
        Self::new(self.table, &self.device, self.sector_size, partitions)
    }

    /// The same table with partition `number` made smaller, to `length` bytes or a little more. What lies behind it moves up
    /// by as much.
    ///
    /// # Errors
    /// There is no such partition.
    pub fn shrunk(&self, number: u32, length: u64) -> Result<Self, LayoutError> {
        let missing = || LayoutError::Partition { number, what: "is not in the table".to_owned() };
        let shrunk = self.partition(number).ok_or_else(missing)?;
        let aligned = ALIGNMENT / u64::from(self.sector_size);
        let by = shrunk.size.saturating_sub(length.div_ceil(u64::from(self.sector_size))) / aligned * aligned;
        let container = self.partitions.iter().find(|p| p.is_extended() && shrunk.is_logical());
        let mut partitions = self.partitions.clone();
        for p in &mut partitions {
            if p.start > shrunk.start {
                p.start -= by;
            } else if p.number == number || container.is_some_and(|c| c.number == p.number) {
                p.size -= by;
            }
        }
        Self::new(self.table, &self.device, self.sector_size, partitions)
    }

    /// The same table with partition `number` as long as `length` bytes need, to the sector. Nothing else moves.
    ///
    /// # Errors
    /// There is no such partition, or there is something else.
    pub fn with_length(&self, number: u32, length: u64) -> Result<Self, LayoutError> {
        let missing = || LayoutError::Partition { number, what: "is not in the table".to_owned() };
        let mut partitions = self.partitions.clone();
        let partition = partitions.iter_mut().find(|p| p.number == number).ok_or_else(missing)?;
        partition.size = length.div_ceil(u64::from(self.sector_size));
        Self::new(self.table, &self.device, self.sector_size, partitions)
    }

    /// First sector of a disk of `size` bytes that no partition may take.
    fn limit(&self, size: u64) -> u64 {
        let sectors = size / u64::from(self.sector_size);
        match self.table {
            Table::Gpt { entries, .. } => {
                sectors.saturating_sub(gpt::entry_sectors(entries, self.sector_size) + 1)
            }
            // Starts and lengths have 32 bits.
            Table::Dos { .. } => sectors.min(u64::from(u32::MAX)),
        }
    }
}
