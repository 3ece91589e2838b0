//! All boot entries of a firmware, and where new ones stand among them.

use std::collections::BTreeMap;

use super::boot_entry::{BootEntry, PartitionId, Starts};

/// What a firmware has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootEntries {
    /// `Boot####` by its number.
    pub entries: BTreeMap<u16, Vec<u8>>,
    /// `BootOrder`.
    pub order: Vec<u16>,
}

/// What is to be done to it, in this order: while it is done, the firmware always has one of the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Entries to write.
    pub write: Vec<(u16, Vec<u8>)>,
    /// The new order, if it is another.
    pub order: Option<Vec<u16>>,
    /// Entries to remove.
    pub remove: Vec<u16>,
}

impl BootEntries {
    /// How these entries come in, the first of them first of all that start from a disk. Network keeps its place where it
    /// stands before every entry of a partition: there the operator wants machines to ask the server first. Entries for
    /// partitions that are `gone` go, and so do others for the partitions of the new ones.
    #[must_use]
    pub fn with(&self, new: &[BootEntry], gone: &[PartitionId]) -> Changes {
        let new_bytes: Vec<Vec<u8>> = new.iter().map(BootEntry::to_bytes).collect();
        let is_stale = |entry: &[u8]| match Starts::of(entry) {
            Starts::Partition(id) => gone.contains(&id) || new.iter().any(|e| e.partition == id),
            Starts::Network | Starts::Other => false,
        };
        let stale: Vec<u16> =
            self.entries.iter().filter(|(_, bytes)| is_stale(bytes)).map(|(number, _)| *number).collect();
        let numbers = self.numbers(&new_bytes, &stale);
        let write: Vec<(u16, Vec<u8>)> = (numbers.iter().copied().zip(new_bytes))
            .filter(|(number, bytes)| self.entries.get(number) != Some(bytes))
            .collect();
        let order = self.order_with(&numbers, &stale);
        let remove = stale.into_iter().filter(|number| !numbers.contains(number)).collect();
        Changes { write, order: (order != self.order).then_some(order), remove }
    }

    /// A number for each: that of the same entry, else of one that would go, else one that is free.
    fn numbers(&self, new: &[Vec<u8>], stale: &[u16]) -> Vec<u16> {
        let same = |bytes| stale.iter().copied().find(|number| self.entries.get(number) == Some(bytes));
        let kept: Vec<Option<u16>> = new.iter().map(same).collect();
        let mut others = (stale.iter().copied())
            .chain((0..=u16::MAX).filter(|number| !self.entries.contains_key(number)))
            .filter(|number| !kept.contains(&Some(*number)));
        kept.iter().filter_map(|number| number.or_else(|| others.next())).collect()
    }

    fn order_with(&self, new: &[u16], stale: &[u16]) -> Vec<u16> {
        let starts = |number: &u16| self.entries.get(number).map_or(Starts::Other, |bytes| Starts::of(bytes));
        let systems = self.order.iter().position(|number| matches!(starts(number), Starts::Partition(_)));
        let before = &self.order[..systems.unwrap_or(self.order.len())];
        let network = before.iter().rposition(|number| starts(number) == Starts::Network);
        let (first, last) = self.order.split_at(network.map_or(0, |last| last + 1));
        let stays = |number: &&u16| !new.contains(number) && !stale.contains(number);
        first.iter().filter(stays).chain(new).chain(last.iter().filter(stays)).copied().collect()
    }
}
