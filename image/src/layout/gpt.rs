//! GUID partition tables (UEFI specification, section 5.3).

use uuid::Uuid;

use super::{Entry, Layout, LayoutError, Partition, ReadAt, Table, mbr};

/// Most entries that we read: 128 are usual, some tools make 1024 and more.
pub(super) const MAX_ENTRIES: u32 = 4096;
/// Longest name in UTF-16 units.
pub(super) const MAX_NAME: usize = 36;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const HEADER_LENGTH: usize = 92;
const ENTRY_LENGTH: usize = 128;
const MAX_ENTRY_LENGTH: u32 = 4096;

/// Sectors that the entries take.
pub(super) fn entry_sectors(entries: u32, sector_size: u32) -> u64 {
    (u64::from(entries) * ENTRY_LENGTH as u64).div_ceil(u64::from(sector_size))
}

/// Bytes of both copies and of the protective MBR: backup first, MBR last.
pub(super) fn encode(
    layout: &Layout,
    disk_guid: Uuid,
    first_lba: u64,
    count: u32,
    size: u64,
) -> Result<Vec<(u64, Vec<u8>)>, LayoutError> {
    let sector = u64::from(layout.sector_size);
    let last = size / sector - 1;
    let table_sectors = entry_sectors(count, layout.sector_size);
    let entries = encode_entries(layout, count);
    let checksum = crc32fast::hash(&entries[..count as usize * ENTRY_LENGTH]);
    let header = |own: u64, other: u64, table: u64| {
        let mut bytes = vec![0; layout.sector_size as usize];
        bytes[..8].copy_from_slice(SIGNATURE);
        put(&mut bytes, 8, &0x0001_0000u32.to_le_bytes());
        put(&mut bytes, 12, &(HEADER_LENGTH as u32).to_le_bytes());
        put(&mut bytes, 24, &own.to_le_bytes());
        put(&mut bytes, 32, &other.to_le_bytes());
        put(&mut bytes, 40, &first_lba.to_le_bytes());
        put(&mut bytes, 48, &(last - table_sectors - 1).to_le_bytes());
        put(&mut bytes, 56, &disk_guid.to_bytes_le());
        put(&mut bytes, 72, &table.to_le_bytes());
        put(&mut bytes, 80, &count.to_le_bytes());
        put(&mut bytes, 84, &(ENTRY_LENGTH as u32).to_le_bytes());
        put(&mut bytes, 88, &checksum.to_le_bytes());
        let own_checksum = crc32fast::hash(&bytes[..HEADER_LENGTH]);
        put(&mut bytes, 16, &own_checksum.to_le_bytes());
        bytes
    };
    let backup_table = last - table_sectors;
    Ok(vec![
        (backup_table * sector, entries.clone()),
        (last * sector, header(last, 1, backup_table)),
        (2 * sector, entries),
        (sector, header(1, last, 2)),
        (0, mbr::protective(layout.sector_size, last)),
    ])
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn encode_entries(layout: &Layout, count: u32) -> Vec<u8> {
    let length = entry_sectors(count, layout.sector_size) * u64::from(layout.sector_size);
    let mut bytes = vec![0; length as usize];
    for p in &layout.partitions {
        let Entry::Gpt { type_guid, uuid, name, attributes } = &p.entry else { continue };
        let at = (p.number as usize - 1) * ENTRY_LENGTH;
        let entry = &mut bytes[at..at + ENTRY_LENGTH];
        put(entry, 0, &type_guid.to_bytes_le());
        put(entry, 16, &uuid.to_bytes_le());
        put(entry, 32, &p.start.to_le_bytes());
        put(entry, 40, &(p.end() - 1).to_le_bytes());
        put(entry, 48, &attributes.to_le_bytes());
        for (index, unit) in name.encode_utf16().take(MAX_NAME).enumerate() {
            put(entry, 56 + 2 * index, &unit.to_le_bytes());
        }
    }
    bytes
}

struct Header {
    disk_guid: Uuid,
    first_lba: u64,
    last_lba: u64,
    count: u32,
    entries: Vec<u8>,
    entry_length: usize,
}

/// Reads the primary copy, or else the backup in the last sector.
pub(super) fn read(
    disk: &impl ReadAt,
    size: u64,
    sector_size: u32,
    device: &str,
) -> Result<Layout, LayoutError> {
    let last = (size / u64::from(sector_size)).saturating_sub(1);
    let header = read_copy(disk, sector_size, 1, last).or_else(|primary| {
        read_copy(disk, sector_size, last, last).map_err(|backup| LayoutError::DamagedGpt { primary, backup })
    })?;
    let mut partitions = Vec::new();
    for (index, entry) in header.entries.chunks_exact(header.entry_length).enumerate() {
        let type_guid = guid(entry, 0);
        if !type_guid.is_nil() {
            partitions.push(decode_entry(index as u32 + 1, type_guid, entry)?);
        }
    }
    let table = Table::Gpt {
        disk_guid: header.disk_guid,
        first_lba: header.first_lba,
        last_lba: header.last_lba,
        entries: header.count,
    };
    Layout::new(table, device, sector_size, partitions)
}

fn decode_entry(number: u32, type_guid: Uuid, entry: &[u8]) -> Result<Partition, LayoutError> {
    let (start, last) = (number_at(entry, 32), number_at(entry, 40));
    let size =
        last.checked_sub(start).and_then(|n| n.checked_add(1)).ok_or_else(|| LayoutError::Partition {
            number,
            what: format!("begins at sector {start} and ends before it, at {last}"),
        })?;
    let units: Vec<u16> = entry[56..ENTRY_LENGTH]
        .as_chunks()
        .0
        .iter()
        .map(|pair| u16::from_le_bytes(*pair))
        .take_while(|unit| *unit != 0)
        .collect();
    let name = String::from_utf16_lossy(&units);
    let entry = Entry::Gpt { type_guid, uuid: guid(entry, 16), name, attributes: number_at(entry, 48) };
    Ok(Partition { number, start, size, entry })
}

/// One copy of the table, whose header lies at the sector `at`.
fn read_copy(disk: &impl ReadAt, sector_size: u32, at: u64, last: u64) -> Result<Header, String> {
    let sector = u64::from(sector_size);
    let bytes = disk.read_vec(at * sector, sector_size as usize).map_err(|e| e.to_string())?;
    if &bytes[..8] != SIGNATURE {
        return Err(format!("no header at sector {at}"));
    }
    let header_length = word_at(&bytes, 12) as usize;
    if !(HEADER_LENGTH..=sector_size as usize).contains(&header_length) {
        return Err(format!("a header of {header_length} bytes at sector {at}"));
    }
    let mut unsigned = bytes[..header_length].to_vec();
    unsigned[16..20].fill(0);
    if crc32fast::hash(&unsigned) != word_at(&bytes, 16) {
        return Err(format!("the checksum of the header at sector {at} is wrong"));
    }
    if number_at(&bytes, 24) != at {
        return Err(format!("the header at sector {at} says that it lies at {}", number_at(&bytes, 24)));
    }
    let (table, count, entry_length) = (number_at(&bytes, 72), word_at(&bytes, 80), word_at(&bytes, 84));
    let sane_length = (ENTRY_LENGTH as u32..=MAX_ENTRY_LENGTH).contains(&entry_length);
    if !sane_length || !(1..=MAX_ENTRIES).contains(&count) || table > last {
        return Err(format!("{count} entries of {entry_length} bytes at sector {table}"));
    }
    let entries =
        disk.read_vec(table * sector, count as usize * entry_length as usize).map_err(|e| e.to_string())?;
    if crc32fast::hash(&entries) != word_at(&bytes, 88) {
        return Err(format!("the checksum of the entries at sector {table} is wrong"));
    }
    Ok(Header {
        disk_guid: guid(&bytes, 56),
        first_lba: number_at(&bytes, 40),
        last_lba: number_at(&bytes, 48),
        count,
        entries,
        entry_length: entry_length as usize,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn guid(bytes: &[u8], at: usize) -> Uuid {
    Uuid::from_bytes_le(array(bytes, at))
}
