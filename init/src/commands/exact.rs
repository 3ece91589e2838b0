//! A partition that is just as long as what is written to it, while it is written; then it is again what it was. Of the
//! partition table only the bytes change that say its length.

use std::fmt;
use std::path::Path;

use anyhow::{Context, ensure};
use ezio_disk::{BlockTarget, PartitionSpan};
use ezio_image::conf::units::human_size;
use ezio_image::layout::{Layout, ReadAt, TableImage};

use crate::machine::SystemPaths;
use crate::run::list_disks;

/// A partition, and how its table is changed and changed back.
pub(crate) struct Exact {
    name: String,
    disk: BlockTarget,
    was: PartitionSpan,
    /// Bytes that it has meanwhile.
    length: u64,
    changes: Vec<Change>,
}

/// Bytes of a table.
struct Change {
    offset: u64,
    before: Vec<u8>,
    meanwhile: Vec<u8>,
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, disk, was, length, .. } = self;
        write!(
            f,
            "{name} is made {} long ({length} bytes) in the table of {}, and is what it was, {} ({} bytes), when all is \
             written",
            human_size(*length),
            disk.path().display(),
            human_size(was.length),
            was.length
        )
    }
}

impl Exact {
    /// Finds the partition; changes nothing.
    pub(crate) fn find(target: &Path, needed: u64) -> anyhow::Result<Self> {
        let name = target.display().to_string();
        let node = target.canonicalize().with_context(|| name.clone())?;
        let disks = list_disks(&SystemPaths::below(Path::new("/")), &[])?;
        let found = disks.iter().find_map(|disk| {
            disk.partitions.iter().find(|p| p.path == node).map(|partition| (disk, partition))
        });
        let (disk, partition) =
            found.with_context(|| format!("{name} is no partition of a disk: --exact is for those"))?;
        let was = PartitionSpan { number: partition.number, start: partition.start, length: partition.size };
        // Other partitions of the disk may be in use: they stay as they are.
        let disk = BlockTarget::open_shared(&disk.path)?;
        let device = disk.path().display().to_string();
        let layout = Layout::read_from_disk(&disk, disk.size(), disk.sector_size(), &device)
            .with_context(|| device.clone())?;
        let in_table = PartitionSpan::of(&layout).into_iter().find(|span| span.number == was.number);
        ensure!(
            in_table == Some(was),
            "the kernel knows {name} otherwise than the table of {device} has it: make it read the table again (partprobe)"
        );
        let smaller = layout.with_length(was.number, needed)?;
        let length = needed.next_multiple_of(u64::from(disk.sector_size()));
        let encode = |layout: &Layout| layout.encode(disk.size(), disk.sector_size());
        let changes = changes(&disk, &encode(&layout)?, &encode(&smaller)?).with_context(|| {
            format!("--exact cannot be used on {name}, whose table is not as common tools write it")
        })?;
        Ok(Self { name, disk, was, length, changes })
    }

    /// Makes the partition as long as what is written to it.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        let length = self.length;
        let begun = self.write(length, |change| &change.meanwhile);
        // Half of a change is none.
        begun.or_else(|error| self.end().and(Err(error)))
    }

    /// Makes it what it was.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        self.write(self.was.length, |change| &change.before)
    }

    fn write(&self, length: u64, bytes: impl Fn(&Change) -> &Vec<u8>) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> {
            for change in &self.changes {
                self.disk.write_all_at(change.offset, bytes(change))?;
            }
            self.disk.sync()?;
            Ok(self.disk.resize_partition(PartitionSpan { length, ..self.was })?)
        };
        write().with_context(|| format!("making {} {length} bytes long", self.name))
    }
}

/// What differs between two tables, on a disk that has the first of them. Bytes that we do not write are kept.
fn changes(disk: &impl ReadAt, old: &TableImage, new: &TableImage) -> anyhow::Result<Vec<Change>> {
    ensure!(old.writes().len() == new.writes().len(), "its records would lie elsewhere");
    let mut changes = Vec::new();
    for ((offset, old), (new_offset, new)) in old.writes().iter().zip(new.writes()) {
        ensure!(offset == new_offset && old.len() == new.len(), "its records would lie elsewhere");
        let before = disk.read_vec(*offset, old.len())?;
        let mut meanwhile = before.clone();
        for (index, (was, is)) in old.iter().zip(new).enumerate().filter(|(_, (was, is))| was != is) {
            ensure!(before[index] == *was, "byte {} is another one", offset + index as u64);
            meanwhile[index] = *is;
        }
        if meanwhile != before {
            changes.push(Change { offset: *offset, before, meanwhile });
        }
    }
    Ok(changes)
}
