//! MBR tables, with the chain of extended boot records (EBR) that holds the logical partitions.

use std::collections::HashSet;

use super::{Entry, Layout, LayoutError, Partition, ReadAt, Table};

const DISK_ID: usize = 440;
const ENTRIES: usize = 446;
const ENTRY_LENGTH: usize = 16;
/// Bytes of an MBR or EBR, however long its sector is.
const RECORD_LENGTH: usize = 512;
const MAGIC: [u8; 2] = [0x55, 0xaa];
const PROTECTIVE: u8 = 0xee;
/// Type that links from one EBR to the next.
const LINK: u8 = 0x05;
/// Longest chain that we follow.
const MAX_LOGICAL: usize = 256;
/// Usual gap before a logical partition, for alignment, in bytes.
const ALIGNMENT: u64 = 1 << 20;

/// CHS, extended with LBA, and Linux's own.
pub(super) fn is_extended_type(type_id: u8) -> bool {
    matches!(type_id, 0x05 | 0x0f | 0x85)
}

/// A raw entry of an MBR or EBR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    bootable: bool,
    type_id: u8,
    start: u32,
    size: u32,
}

impl Slot {
    fn decode(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { bootable: bytes[0] == 0x80, type_id: bytes[4], start: word(8), size: word(12) }
    }

    /// The kernel and sfdisk go by the size alone: a partition may have the type 0.
    fn is_empty(self) -> bool {
        self.size == 0
    }

    fn is_link(self) -> bool {
        !self.is_empty() && is_extended_type(self.type_id)
    }

    fn is_data(self) -> bool {
        !self.is_empty() && !is_extended_type(self.type_id)
    }

    /// `base` is what `start` counts from, for the old cylinder addresses.
    fn encode(self, base: u64) -> [u8; ENTRY_LENGTH] {
        let first = base + u64::from(self.start);
        let mut bytes = [0; ENTRY_LENGTH];
        bytes[0] = if self.bootable { 0x80 } else { 0 };
        bytes[1..4].copy_from_slice(&cylinder_address(first));
        bytes[4] = self.type_id;
        bytes[5..8].copy_from_slice(&cylinder_address(first + u64::from(self.size) - 1));
        bytes[8..12].copy_from_slice(&self.start.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.size.to_le_bytes());
        bytes
    }
}

/// Cylinder, head, sector with 255 heads and 63 sectors; what is too far is (1023, 254, 63).
fn cylinder_address(sector: u64) -> [u8; 3] {
    let (cylinder, head, sector) = match sector / (255 * 63) {
        cylinder @ 0..=1023 => (cylinder, sector / 63 % 255, sector % 63 + 1),
        _ => (1023, 254, 63),
    };
    [head as u8, (sector | (cylinder >> 8 << 6)) as u8, cylinder as u8]
}

fn entry(sector: &[u8], index: usize) -> &[u8] {
    &sector[ENTRIES + index * ENTRY_LENGTH..ENTRIES + (index + 1) * ENTRY_LENGTH]
}

/// The four entries of an MBR, if this is one.
fn slots(sector: &[u8]) -> Option<[Slot; 4]> {
    // Where the first byte is anything else, this is a file system's boot sector.
    let sane = sector.get(510..512)? == MAGIC && (0..4).all(|i| matches!(entry(sector, i)[0], 0 | 0x80));
    sane.then(|| std::array::from_fn(|i| Slot::decode(entry(sector, i))))
}

/// The four entries of an EBR, if this is one. Only an MBR's may not be odd in their first byte.
fn slots_of_ebr(sector: &[u8]) -> Option<[Slot; 4]> {
    (sector.get(510..512)? == MAGIC).then(|| std::array::from_fn(|i| Slot::decode(entry(sector, i))))
}

/// Does sector 0 say that there is a GPT?
pub(super) fn is_protective(sector: &[u8]) -> bool {
    slots(sector).is_some_and(|slots| slots.iter().any(|s| s.type_id == PROTECTIVE))
}

/// The sector 0 of a GPT disk whose last sector is `last`.
pub(super) fn protective(sector_size: u32, last: u64) -> Vec<u8> {
    let mut bytes = vec![0; sector_size as usize];
    let slot = Slot {
        bootable: false,
        type_id: PROTECTIVE,
        start: 1,
        size: u32::try_from(last).unwrap_or(u32::MAX),
    };
    bytes[ENTRIES..ENTRIES + ENTRY_LENGTH].copy_from_slice(&slot.encode(0));
    // UEFI wants the end as 0xFFFFFF where it does not fit; every tool writes that always.
    bytes[ENTRIES + 5..ENTRIES + 8].fill(0xff);
    bytes[510..512].copy_from_slice(&MAGIC);
    bytes
}

/// Is it a protective MBR with more in it than the one entry that every tool writes: a boot flag, or the partitions of a
/// hybrid MBR?
pub(super) fn is_more_than_protective(sector: &[u8]) -> bool {
    let Some([first, rest @ ..]) = slots(sector).filter(|_| is_protective(sector)) else { return false };
    let plain = first.type_id == PROTECTIVE && first.start == 1 && !first.bootable;
    !plain || rest.iter().any(|slot| !slot.is_empty()) || sector[DISK_ID..ENTRIES].iter().any(|b| *b != 0)
}

/// Is it the MBR of a GPT that names partitions too, by their places?
pub(super) fn is_hybrid(sector: &[u8]) -> bool {
    let named = |slot: &Slot| !slot.is_empty() && slot.type_id != PROTECTIVE;
    is_protective(sector) && slots(sector).is_some_and(|slots| slots.iter().any(named))
}

/// Puts into `ours`, a plain protective MBR, what such a one has. Its protective entry ends where the disk does, if it is
/// the only one; others end there at the latest.
pub(super) fn put_protective(ours: &mut [u8], theirs: &[u8]) {
    let Some(entries) = slots(theirs) else { return };
    let whole = Slot::decode(entry(ours, 0));
    let end = u64::from(whole.start) + u64::from(whole.size);
    ours[DISK_ID..RECORD_LENGTH].copy_from_slice(&theirs[DISK_ID..RECORD_LENGTH]);
    let alone = entries.iter().filter(|slot| !slot.is_empty()).count() == 1;
    for (index, slot) in entries.into_iter().enumerate().filter(|(_, slot)| slot.type_id == PROTECTIVE) {
        let room = u32::try_from(end.saturating_sub(slot.start.into())).unwrap_or(u32::MAX);
        let size = if alone { room } else { slot.size.min(room) };
        let at = ENTRIES + index * ENTRY_LENGTH + 12;
        ours[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
}

/// Reads the table, given sector 0.
pub(super) fn read(
    disk: &impl ReadAt,
    sector_zero: &[u8],
    size: u64,
    sector_size: u32,
    device: &str,
) -> Result<Layout, LayoutError> {
    let slots = slots(sector_zero).ok_or(LayoutError::NoTable)?;
    let mut partitions: Vec<Partition> = Vec::new();
    for (number, slot) in (1..).zip(slots).filter(|(_, slot)| !slot.is_empty()) {
        partitions.push(partition(number, u64::from(slot.start), slot));
    }
    if partitions.is_empty() {
        return Err(LayoutError::NoTable);
    }
    if let Some(container) = partitions.iter().find(|p| p.is_extended()).cloned() {
        read_chain(disk, &container, size, sector_size, &mut partitions)?;
    }
    let id = &sector_zero[DISK_ID..DISK_ID + 4];
    let disk_id = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
    Layout::new(Table::Dos { disk_id }, device, sector_size, partitions)
}

fn partition(number: u32, start: u64, slot: Slot) -> Partition {
    let entry = Entry::Dos { type_id: slot.type_id, bootable: slot.bootable };
    Partition { number, start, size: u64::from(slot.size), entry }
}

/// One EBR of the chain, and how far the part of the extended partition reaches that it describes.
#[derive(Clone, Copy)]
struct Link {
    /// Sector of the EBR.
    at: u64,
    /// Sectors, counted from the EBR.
    size: u64,
}

/// Follows the chain as the kernel (`block/partitions/msdos.c`) and sfdisk (`libfdisk/src/dos.c`) do. Data and link
/// stand in any of the four entries; an EBR without data has no number. Where the two programs would see different
/// partitions, the chain is refused.
fn read_chain(
    disk: &impl ReadAt,
    container: &Partition,
    size: u64,
    sector_size: u32,
    partitions: &mut Vec<Partition>,
) -> Result<(), LayoutError> {
    let mut seen = HashSet::new();
    let mut next = Some(Link { at: container.start, size: container.size });
    let mut number = 5;
    while let Some(link) = next {
        let damaged = |what: &str| LayoutError::DamagedChain { sector: link.at, what: what.to_owned() };
        if !seen.insert(link.at) || seen.len() > MAX_LOGICAL {
            return Err(damaged("it does not end"));
        }
        let offset = link.at * u64::from(sector_size);
        if link.at >= container.end() || offset >= size {
            return Err(damaged("it leads out of the extended partition"));
        }
        let bytes =
            disk.read_vec(offset, 512).map_err(|e| LayoutError::Read { offset, message: e.to_string() })?;
        let slots = slots_of_ebr(&bytes).ok_or_else(|| damaged("there is no boot record"))?;
        if let Some(data) = data_of(&slots, link, container).map_err(damaged)? {
            partitions.push(partition(number, link.at + u64::from(data.start), data));
            number += 1;
        }
        next = slots
            .iter()
            .find(|s| s.is_link())
            .map(|s| Link { at: container.start + u64::from(s.start), size: u64::from(s.size) });
    }
    Ok(())
}

/// The partition that an EBR describes, if it does.
fn data_of(slots: &[Slot; 4], link: Link, container: &Partition) -> Result<Option<Slot>, &'static str> {
    let sane = |slot: &Slot| {
        let end = u64::from(slot.start) + u64::from(slot.size);
        end <= link.size && link.at + end <= container.end()
    };
    // The kernel takes the third and fourth entry for garbage where they lead out.
    let kernel: Vec<&Slot> =
        (0..).zip(slots).filter(|(i, s)| s.is_data() && (*i < 2 || sane(s))).map(|(_, s)| s).collect();
    // sfdisk takes the first that has a type, else the first entry, or the second where that is the link.
    let untyped = if slots[0].is_link() { &slots[1] } else { &slots[0] };
    let typed = slots.iter().find(|s| s.is_data() && s.type_id != 0);
    let sfdisk = typed.or(Some(untyped).filter(|s| s.is_data()));
    match (kernel.as_slice(), sfdisk) {
        ([], None) => Ok(None),
        ([one], Some(first)) if *one == first => Ok(Some(**one)),
        _ => Err("it describes several partitions, of which the kernel and sfdisk take different ones"),
    }
}

/// Where the EBR of each logical partition lies. The first is the first sector of the extended
/// partition; the others lie as far before their partition as is usual, or as there is room.
pub(super) fn places_of_ebrs(container: &Partition, logical: &[&Partition]) -> Result<Vec<u64>, LayoutError> {
    let mut places = Vec::with_capacity(logical.len());
    for (index, p) in logical.iter().enumerate() {
        if index == 0 {
            places.push(container.start);
            continue;
        }
        // What lies below it: the first EBR, other logical partitions, and EBRs placed already.
        let below = logical.iter().filter(|o| o.start < p.start).map(|o| o.end());
        let placed = places.iter().filter(|at| **at < p.start).map(|at| at + 1);
        let free_from = below.chain(placed).max().unwrap_or(container.start + 1);
        // Sectors of 4096 bytes: a smaller gap is as good, nothing reads an EBR by its alignment.
        let place = free_from.max(p.start.saturating_sub(ALIGNMENT / 512));
        if place >= p.start {
            let what = "there is no free sector before it for the record that describes it".to_owned();
            return Err(LayoutError::Partition { number: p.number, what });
        }
        places.push(place);
    }
    Ok(places)
}

/// Bytes of the EBRs (their entries alone), then of sector 0.
pub(super) fn encode(layout: &Layout, disk_id: u32) -> Result<Vec<(u64, Vec<u8>)>, LayoutError> {
    let sector = u64::from(layout.sector_size);
    let record = |slots: &[(usize, Slot, u64)]| {
        let mut bytes = vec![0; layout.sector_size as usize];
        for (index, slot, base) in slots {
            let at = ENTRIES + index * ENTRY_LENGTH;
            bytes[at..at + ENTRY_LENGTH].copy_from_slice(&slot.encode(*base));
        }
        bytes[510..512].copy_from_slice(&MAGIC);
        bytes
    };
    let mut writes = Vec::new();
    let logical: Vec<_> = layout.partitions.iter().filter(|p| p.is_logical()).collect();
    if let Some(container) = layout.partitions.iter().find(|p| p.is_extended()) {
        let places = places_of_ebrs(container, &logical)?;
        // The code at the head of an EBR is no part of the table.
        let mut write = |place: u64, record: &[u8]| {
            writes.push((place * sector + ENTRIES as u64, record[ENTRIES..RECORD_LENGTH].to_vec()));
        };
        if logical.is_empty() {
            write(container.start, &record(&[]));
        }
        for (index, p) in logical.iter().enumerate() {
            let place = places[index];
            let mut slots = vec![(0, slot(p, place)?, place)];
            if let Some(next) = logical.get(index + 1) {
                let link = Partition {
                    start: places[index + 1],
                    size: next.end() - places[index + 1],
                    entry: Entry::Dos { type_id: LINK, bootable: false },
                    number: next.number,
                };
                slots.push((1, slot(&link, container.start)?, container.start));
            }
            write(place, &record(&slots));
        }
    }
    let mut slots = Vec::new();
    for p in layout.partitions.iter().filter(|p| !p.is_logical()) {
        slots.push((p.number as usize - 1, slot(p, 0)?, 0));
    }
    let mut sector_zero = record(&slots);
    sector_zero[DISK_ID..DISK_ID + 4].copy_from_slice(&disk_id.to_le_bytes());
    writes.push((0, sector_zero));
    Ok(writes)
}

/// The entry of a partition in a record from which its start is counted.
fn slot(p: &Partition, base: u64) -> Result<Slot, LayoutError> {
    let beyond =
        || LayoutError::Partition { number: p.number, what: "lies beyond what an MBR can say".to_owned() };
    let start = p.start.checked_sub(base).and_then(|s| u32::try_from(s).ok()).ok_or_else(beyond)?;
    let size = u32::try_from(p.size).map_err(|_| beyond())?;
    match p.entry {
        Entry::Dos { type_id, bootable } => Ok(Slot { bootable, type_id, start, size }),
        Entry::Gpt { .. } => Err(beyond()),
    }
}
