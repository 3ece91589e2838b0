//! Partition tables: read from a disk, kept as an `sfdisk` dump, and encoded for a target disk.
//!
//! [`Layout`] is checked when it is made: no partition overlaps another or lies where the table
//! itself lies. [`Layout::encode`] adds the target's size and gives the bytes to write, a
//! [`TableImage`]; there is no other way to one.
//!
//! GPT is read and written here rather than by the crate `gpt`, which renumbers partitions on
//! writing and panics on entries that are not 128 bytes long.

use std::ops::Range;

use thiserror::Error;
use uuid::Uuid;

use crate::extents::free_parts;

mod check;
mod gpt;
mod grow;
mod mbr;
mod read;
mod renew;
mod sectors;
mod sfdisk;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

pub use read::ReadAt;
pub use renew::NewIds;

/// Boot code at the head of sector 0, in bytes; the disk id and the MBR's entries follow.
pub const BOOT_CODE_LENGTH: usize = 440;

/// What an image keeps of sector 0 (512 bytes) beside the table: boot code, and all of a protective MBR that has a boot
/// flag or is a hybrid one. `None` where there is neither.
#[must_use]
pub fn boot_code(sector_zero: &[u8]) -> Option<&[u8]> {
    if mbr::is_more_than_protective(sector_zero) {
        return Some(sector_zero);
    }
    let code = &sector_zero[..BOOT_CODE_LENGTH.min(sector_zero.len())];
    code.iter().any(|byte| *byte != 0).then_some(code)
}

/// Is what an image keeps of sector 0 that of a hybrid MBR, which names partitions of a GPT by their places?
#[must_use]
pub fn is_hybrid(sector_zero: &[u8]) -> bool {
    mbr::is_hybrid(sector_zero)
}

/// A checked partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    table: Table,
    device: String,
    sector_size: u32,
    partitions: Vec<Partition>,
}

/// Kind of table, and what belongs to the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// GUID partition table.
    Gpt {
        /// Id of the disk.
        disk_guid: Uuid,
        /// First sector that a partition may use.
        first_lba: u64,
        /// Last sector that a partition may use on the source; computed anew for a target.
        last_lba: u64,
        /// Room for so many entries, usually 128.
        entries: u32,
    },
    /// MBR.
    Dos {
        /// Id of the disk, "disk signature".
        disk_id: u32,
    },
}

/// One partition. Sectors are logical sectors of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number, from 1; of an MBR's logical partitions from 5.
    pub number: u32,
    /// First sector.
    pub start: u64,
    /// Sectors.
    pub size: u64,
    /// What the kind of table says about it.
    pub entry: Entry,
}

/// What a table says about a partition besides its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// In a GPT.
    Gpt {
        /// Type.
        type_guid: Uuid,
        /// Unique id, PARTUUID.
        uuid: Uuid,
        /// Name, PARTLABEL; at most 36 UTF-16 units.
        name: String,
        /// Attribute bits.
        attributes: u64,
    },
    /// In an MBR.
    Dos {
        /// Type, "system id".
        type_id: u8,
        /// Active.
        bootable: bool,
    },
}

impl Partition {
    /// Sector behind the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Is it an MBR's extended partition, the container of the logical ones?
    #[must_use]
    pub fn is_extended(&self) -> bool {
        matches!(self.entry, Entry::Dos { type_id, .. } if mbr::is_extended_type(type_id))
    }

    /// Is it one of the logical partitions inside the extended one?
    #[must_use]
    pub fn is_logical(&self) -> bool {
        matches!(self.entry, Entry::Dos { .. }) && self.number > 4
    }
}

/// Why a table is refused. Numbers of sectors are logical sectors.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// There is no partition table on the disk.
    #[error("there is no partition table")]
    NoTable,
    /// Both copies of a GPT are damaged.
    #[error("the GPT is damaged: {primary}; its backup too: {backup}")]
    DamagedGpt {
        /// What is wrong with the copy at the beginning.
        primary: String,
        /// What is wrong with the copy at the end.
        backup: String,
    },
    /// The chain of logical partitions leads nowhere.
    #[error("the chain of logical partitions is damaged at sector {sector}: {what}")]
    DamagedChain {
        /// Where it breaks.
        sector: u64,
        /// What is wrong.
        what: String,
    },
    /// A line of a dump cannot be read.
    #[error("line {line} of the partition table dump: {what}")]
    Dump {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Two partitions claim a sector.
    #[error("partitions {first} and {second} overlap at sector {sector}")]
    Overlap {
        /// Number of one.
        first: u32,
        /// Number of the other.
        second: u32,
        /// First sector that both claim.
        sector: u64,
    },
    /// A partition that cannot be there.
    #[error("partition {number}: {what}")]
    Partition {
        /// Its number.
        number: u32,
        /// What is wrong.
        what: String,
    },
    /// The table itself says something impossible.
    #[error("the partition table {0}")]
    Table(String),
    /// The target is too small.
    #[error("the disk is too small by {missing} bytes: it has {size}, the partition table needs {needed}")]
    TooSmall {
        /// Bytes that are missing.
        missing: u64,
        /// Bytes that the disk has.
        size: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// The target counts in other sectors.
    #[error("the disk has logical sectors of {disk} bytes, the image was taken from one with {image}")]
    SectorSize {
        /// Bytes a sector on the target.
        disk: u32,
        /// Bytes a sector in the image.
        image: u32,
    },
    /// The disk cannot be read.
    #[error("cannot read the partition table at byte {offset}: {message}")]
    Read {
        /// Where, in bytes.
        offset: u64,
        /// What the system says.
        message: String,
    },
}

impl Layout {
    /// Checks a table. `device` is the path that a dump names it by; partitions may come in any order.
    ///
    /// # Errors
    /// What does not fit together.
    pub fn new(
        table: Table,
        device: &str,
        sector_size: u32,
        mut partitions: Vec<Partition>,
    ) -> Result<Self, LayoutError> {
        partitions.sort_by_key(|p| p.number);
        check::check(&table, sector_size, &partitions)?;
        Ok(Self { table, device: device.to_owned(), sector_size, partitions })
    }

    /// Reads a dump as `sfdisk --dump` of any version prints it.
    ///
    /// # Errors
    /// The line that cannot be read, or what does not fit together.
    pub fn parse_sfdisk(text: &str) -> Result<Self, LayoutError> {
        sfdisk::parse(text)
    }

    /// Prints the dump as `sfdisk --dump` does.
    #[must_use]
    pub fn to_sfdisk(&self) -> String {
        sfdisk::print(self)
    }

    /// Reads the table of a disk (or of an image file of one) of `size` bytes.
    ///
    /// # Errors
    /// [`LayoutError::NoTable`], or what is damaged.
    pub fn read_from_disk(
        disk: &impl ReadAt,
        size: u64,
        sector_size: u32,
        device: &str,
    ) -> Result<Self, LayoutError> {
        read::read(disk, size, sector_size, device)
    }

    /// The bytes that put this table on a disk of `size` bytes.
    ///
    /// # Errors
    /// The disk is too small, or counts in other sectors.
    pub fn encode(&self, size: u64, sector_size: u32) -> Result<TableImage, LayoutError> {
        if sector_size != self.sector_size {
            return Err(LayoutError::SectorSize { disk: sector_size, image: self.sector_size });
        }
        let needed = self.minimum_size();
        if size < needed {
            return Err(LayoutError::TooSmall { missing: needed - size, size, needed });
        }
        let writes = match self.table {
            Table::Gpt { disk_guid, first_lba, entries, .. } => {
                gpt::encode(self, disk_guid, first_lba, entries, size)?
            }
            Table::Dos { disk_id } => mbr::encode(self, disk_id)?,
        };
        Ok(TableImage { writes })
    }

    /// Kind of table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Path of the disk that it came from.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Bytes a logical sector: 512 or 4096.
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Partitions in order of their numbers.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|p| p.number == number)
    }

    /// Where a partition lies on the disk, in bytes.
    #[must_use]
    pub fn byte_range(&self, partition: &Partition) -> Range<u64> {
        let bytes = |sector: u64| sector.saturating_mul(u64::from(self.sector_size));
        bytes(partition.start)..bytes(partition.end())
    }

    /// Where no partition lies, on a disk of `size` bytes, in order: the table itself lies there too, and of an
    /// extended partition what is in no logical one.
    #[must_use]
    pub fn gaps(&self, size: u64) -> Vec<Range<u64>> {
        let filled = self.partitions.iter().filter(|p| !p.is_extended());
        free_parts(&(0..size), filled.map(|p| self.byte_range(p)))
    }

    /// Bytes before the first partition; `None` without partitions.
    #[must_use]
    pub fn first_partition_offset(&self) -> Option<u64> {
        self.partitions.iter().map(|p| self.byte_range(p).start).min()
    }

    /// Name of a partition as the kernel and `sfdisk` make it from the disk's ("sda1", "nvme0n1p1").
    #[must_use]
    pub fn partition_name(&self, number: u32) -> String {
        let disk = self.device.rsplit('/').next().unwrap_or_default();
        format!("{disk}{}{number}", sfdisk::separator(&self.device))
    }

    /// Smallest disk that can hold it, in bytes: up to the end of the last partition, and behind it
    /// a GPT's backup.
    #[must_use]
    pub fn minimum_size(&self) -> u64 {
        let end = self.partitions.iter().map(Partition::end).max().unwrap_or(0);
        let sectors = match self.table {
            Table::Gpt { first_lba, entries, .. } => {
                // Without any partition there must still be one sector to use.
                end.max(first_lba + 1) + gpt::entry_sectors(entries, self.sector_size) + 1
            }
            Table::Dos { .. } => end.max(1),
        };
        sectors.saturating_mul(u64::from(self.sector_size))
    }
}

/// The bytes that put a table on a disk, in the order in which to write them: the sector by which
/// firmware and kernel know that there is a table comes last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableImage {
    writes: Vec<(u64, Vec<u8>)>,
}

impl TableImage {
    /// Byte offset on the disk and bytes, in order.
    #[must_use]
    pub fn writes(&self) -> &[(u64, Vec<u8>)] {
        &self.writes
    }

    /// The same with boot code in sector 0. Disk id and entries are the table's; but where [`boot_code`] kept those of a
    /// protective MBR, and this is one, they are put into it.
    #[must_use]
    pub fn with_boot_code(mut self, code: &[u8]) -> Self {
        let length = code.len().min(BOOT_CODE_LENGTH);
        for (_, bytes) in self.writes.iter_mut().filter(|(offset, _)| *offset == 0) {
            bytes[..length].copy_from_slice(&code[..length]);
            if mbr::is_protective(bytes) && mbr::is_more_than_protective(code) {
                mbr::put_protective(bytes, code);
            }
        }
        self
    }

    /// Bytes in all.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.writes.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}
