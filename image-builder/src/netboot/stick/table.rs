//! The tables of a stick: a GPT, and entries in the MBR beside it for those who read no GPT. Some BIOSes start only what
//! has an active partition, and old systems show no partition of a removable disk but the MBR's first.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use ezio_image::layout::{Entry, Layout, Partition, Table};
use uuid::{Uuid, uuid};

use super::{FAT_START, SECTOR};

/// Where GRUB's core image lies: what a GPT leaves free before 1 MiB.
pub(super) const BIOS: (u64, u64) = (34, FAT_START - 34);

/// BIOS boot partition, as GRUB names it.
const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// Microsoft's "basic data": firmware starts from any FAT of a removable disk, and Windows gives no letter to one of the
/// type "EFI system partition", so that nobody could open `ezio.txt`.
const BASIC_DATA: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");

/// The MBR's entries begin here, of 16 bytes each; before them, the disk's id.
const MBR_ENTRIES: u64 = 446;
const MBR_ID: u64 = 440;
/// FAT32 with block addresses.
const MBR_FAT32: u8 = 0x0c;
/// Says that there is a GPT.
const MBR_PROTECTIVE: u8 = 0xee;
const ACTIVE: u8 = 0x80;

/// Ids of a stick, made from what it holds: the same content, the same stick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids([u8; 32]);

impl Ids {
    /// From the hash of all that it holds.
    pub(super) fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// Of the disk, in the GPT.
    pub(super) fn disk(self) -> Uuid {
        self.guid(0)
    }

    /// Of the file system, and of the disk in the MBR.
    pub(super) fn short(self) -> u32 {
        u32::from_le_bytes([self.0[16], self.0[17], self.0[18], self.0[19]])
    }

    fn guid(self, last: u8) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[..16]);
        bytes[15] ^= last;
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Writes the tables and the boot code to the image of a whole stick, whose file system has `fat` sectors.
pub(super) fn write(image: &File, ids: Ids, fat: u64, boot_code: &[u8]) -> Result<()> {
    let partition = |number: u32, (start, size): (u64, u64), type_guid: Uuid, name: &str| Partition {
        number,
        start,
        size,
        entry: Entry::Gpt { type_guid, uuid: ids.guid(number as u8), name: name.into(), attributes: 0 },
    };
    let last_lba = FAT_START + fat - 1;
    let table = Table::Gpt { disk_guid: ids.disk(), first_lba: BIOS.0, last_lba, entries: 128 };
    let partitions =
        vec![partition(1, BIOS, BIOS_BOOT, "bios"), partition(2, (FAT_START, fat), BASIC_DATA, "ezio")];
    let layout = Layout::new(table, "stick", SECTOR as u32, partitions)?;
    let tables = layout.encode(image.metadata()?.len(), SECTOR as u32)?.with_boot_code(boot_code);
    for (offset, bytes) in tables.writes() {
        image.write_all_at(bytes, *offset)?;
    }
    image.write_all_at(&ids.short().to_le_bytes(), MBR_ID)?;
    let fat_entry = mbr_entry(ACTIVE, MBR_FAT32, FAT_START, fat)?;
    let gpt_entry = mbr_entry(0, MBR_PROTECTIVE, 1, FAT_START - 1)?;
    image.write_all_at(&[fat_entry, gpt_entry].concat(), MBR_ENTRIES)?;
    Ok(())
}

/// An entry of the MBR. Cylinders are out of reach, and so they say.
fn mbr_entry(active: u8, kind: u8, start: u64, size: u64) -> Result<[u8; 16]> {
    let number = |value: u64| u32::try_from(value).context("the files are too large for a stick");
    let mut entry = [0; 16];
    entry[0] = active;
    entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[4] = kind;
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&number(start)?.to_le_bytes());
    entry[12..16].copy_from_slice(&number(size)?.to_le_bytes());
    Ok(entry)
}
