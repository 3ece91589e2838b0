//! The same table with ids of its own, for a clone that is to be told from its original by them.

use uuid::Uuid;

use super::{Entry, Layout, Table};

/// Ids of partitions as the kernel prints them (`PARTUUID`): what it was, what it is.
pub type NewIds = Vec<(String, String)>;

impl Layout {
    /// The table with new ids of the disk and of each partition; `fresh` makes them.
    #[must_use]
    pub fn renewed(&self, mut fresh: impl FnMut() -> Uuid) -> (Self, NewIds) {
        let mut layout = self.clone();
        let mut ids = NewIds::new();
        match &mut layout.table {
            Table::Gpt { disk_guid, .. } => {
                *disk_guid = fresh();
                for partition in &mut layout.partitions {
                    if let Entry::Gpt { uuid, .. } = &mut partition.entry {
                        let old = std::mem::replace(uuid, fresh());
                        ids.push((old.to_string(), uuid.to_string()));
                    }
                }
            }
            Table::Dos { disk_id } => {
                let [a, b, c, d, ..] = *fresh().as_bytes();
                // Zero stands for a disk without an id.
                let old = std::mem::replace(disk_id, u32::from_be_bytes([a, b, c, d]).max(1));
                let id = |disk: u32, number: u32| format!("{disk:08x}-{number:02x}");
                ids.extend(layout.partitions.iter().map(|p| (id(old, p.number), id(*disk_id, p.number))));
            }
        }
        (layout, ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed(dump: &str) -> (String, NewIds) {
        let mut count = 0x1111_1111_0000_4000_8000_0000_0000_0000_u128;
        let fresh = || {
            count += 1;
            Uuid::from_u128(count)
        };
        let (layout, ids) = Layout::parse_sfdisk(dump).unwrap().renewed(fresh);
        (layout.to_sfdisk(), ids)
    }

    #[test]
    fn only_the_ids_change() {
        let gpt = "label: gpt\nlabel-id: AAAAAAAA-0000-4000-8000-000000000000\ndevice: /dev/sda\nunit: sectors\n\
                   first-lba: 34\nlast-lba: 131038\nsector-size: 512\n\n\
                   /dev/sda1 : start=        2048, size=        4096, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, \
                   uuid=BBBBBBBB-0000-4000-8000-000000000000, name=\"root\"\n";
        let (dump, ids) = renewed(gpt);
        let expected = gpt
            .replace("AAAAAAAA-0000-4000-8000-000000000000", "11111111-0000-4000-8000-000000000001")
            .replace("BBBBBBBB-0000-4000-8000-000000000000", "11111111-0000-4000-8000-000000000002");
        assert_eq!(dump, expected);
        let ids: Vec<_> = ids.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        assert_eq!(
            ids,
            [("bbbbbbbb-0000-4000-8000-000000000000", "11111111-0000-4000-8000-000000000002")],
            "as the kernel prints them"
        );
        let dos = "label: dos\nlabel-id: 0xdeadbeef\ndevice: /dev/sda\nunit: sectors\nsector-size: 512\n\n\
                   /dev/sda1 : start=        2048, size=        4096, type=83, bootable\n";
        let (dump, ids) = renewed(dos);
        assert_eq!(dump, dos.replace("0xdeadbeef", "0x11111111"));
        assert_eq!(ids, [("deadbeef-01".to_owned(), "11111111-01".to_owned())]);
    }
}
