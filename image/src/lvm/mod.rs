//! A physical volume of LVM2: what its label and the metadata of its volume group say (lvm2, `lib/format_text/layout.h`
//! and `lib/label/label.h`). Nothing is activated. Offsets and lengths are bytes on the volume.

use std::io;
use std::ops::Range;

use crate::layout::ReadAt;

mod text;

use text::{Section, Value};

/// The label lies in one of the first four sectors.
const LABEL_SECTORS: u64 = 4;
const SECTOR: u64 = 512;
/// Header of a metadata area.
const AREA_HEADER: u64 = 512;
const AREA_MAGIC: &[u8; 16] = b" LVM2 x[5A%r0N*>";
/// Largest text that is believed, in bytes; a metadata area has 1 MiB by default.
const MOST_TEXT: u64 = 64 << 20;
/// What LVM's checksums begin with.
const FIRST_CHECKSUM: u32 = 0xf597_a6cf;

/// A physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// Name of its volume group.
    pub group: String,
    /// Physical volumes of the group, this one among them.
    pub volumes: usize,
    /// Label and metadata: all before the first extent, and a second area behind the last.
    pub metadata: Vec<Range<u64>>,
    /// What logical volumes have of it.
    pub pieces: Vec<Piece>,
}

/// What one logical volume has of a physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Name of the logical volume.
    pub name: String,
    /// Where its extents lie, in the order of the logical volume; those that touch are one.
    pub places: Vec<Range<u64>>,
    /// Are these all of the logical volume, as it is seen by who uses it?
    pub whole: bool,
}

impl PhysicalVolume {
    /// Reads a physical volume; `None` where there is none, or none of a group whose metadata make sense.
    ///
    /// # Errors
    /// What the device says.
    pub fn read(device: &impl ReadAt) -> io::Result<Option<Self>> {
        let Some(label) = Label::read(device)? else { return Ok(None) };
        for area in &label.metadata {
            if let Some(text) = read_area(device, area)?
                && let Some(volume) = label.volume(&text)
            {
                return Ok(Some(volume));
            }
        }
        Ok(None)
    }
}

/// What the label says.
struct Label {
    /// Without hyphens.
    uuid: String,
    metadata: Vec<Range<u64>>,
}

impl Label {
    fn read(device: &impl ReadAt) -> io::Result<Option<Self>> {
        let sectors = device.read_vec(0, (LABEL_SECTORS * SECTOR) as usize)?;
        let is_label = |sector: &&[u8]| sector.starts_with(b"LABELONE") && sector[24..32] == *b"LVM2 001";
        let Some(sector) = sectors.chunks(SECTOR as usize).find(is_label) else { return Ok(None) };
        let at = u32::from_le_bytes([sector[20], sector[21], sector[22], sector[23]]) as usize;
        if checksum(&sector[20..]).to_le_bytes() != sector[16..20] {
            return Ok(None);
        }
        Ok(sector.get(at..).and_then(Self::parse))
    }

    /// UUID, size, places of extents, places of metadata; both lists end with zeros.
    fn parse(header: &[u8]) -> Option<Self> {
        let uuid = String::from_utf8(header.get(..32)?.to_vec()).ok()?;
        let pairs = header.get(40..)?.as_chunks::<16>().0.iter().map(|pair| (word(pair, 0), word(pair, 8)));
        let metadata = pairs.skip_while(|pair| *pair != (0, 0)).skip(1).take_while(|pair| *pair != (0, 0));
        let metadata = metadata.filter_map(|(start, length)| Some(start..start.checked_add(length)?));
        Some(Self { uuid, metadata: metadata.collect() })
    }

    /// This volume in the metadata of its group.
    fn volume(&self, text: &str) -> Option<PhysicalVolume> {
        let all = text::parse(text)?;
        let (group, section) = all.sections().next()?;
        let extent = section.number("extent_size")?.checked_mul(SECTOR)?;
        let volumes = section.section("physical_volumes")?;
        let is_this = |volume: &Section| volume.text("id").is_some_and(|id| id.replace('-', "") == self.uuid);
        let (own, volume) = volumes.sections().find(|(_, volume)| is_this(volume))?;
        let first = volume.number("pe_start")?.checked_mul(SECTOR)?;
        let end = volume.number("pe_count")?.checked_mul(extent)?.checked_add(first)?;
        let behind = self.metadata.iter().filter(|area| area.start >= end).cloned();
        let metadata = std::iter::once(0..first).chain(behind).collect();
        let extents = Extents { own, first, length: extent, end };
        let mut pieces = Vec::new();
        // A group without logical volumes has no such section.
        for (name, volume) in section.section("logical_volumes").into_iter().flat_map(Section::sections) {
            pieces.extend(extents.piece(name, volume)?);
        }
        Some(PhysicalVolume {
            group: group.to_owned(),
            volumes: volumes.sections().count(),
            metadata,
            pieces,
        })
    }
}

/// The extents of a physical volume.
struct Extents<'a> {
    /// Name of the volume in the metadata ("pv0").
    own: &'a str,
    first: u64,
    length: u64,
    end: u64,
}

impl Extents<'_> {
    /// What a logical volume has here: `Some(None)` for nothing, `None` where its segments make no sense.
    fn piece(&self, name: &str, volume: &Section) -> Option<Option<Piece>> {
        let visible =
            volume.list("status")?.iter().any(|s| matches!(s, Value::Text(text) if text == "VISIBLE"));
        let mut segments: Vec<&Section> = volume.sections().map(|(_, segment)| segment).collect();
        segments.sort_by_key(|segment| segment.number("start_extent"));
        let (mut places, mut whole) = (Vec::<Range<u64>>::new(), visible);
        for segment in segments {
            // Others lie on logical volumes that are hidden, and have segments of their own.
            let striped = segment.text("type") == Some("striped");
            let stripes = if striped { segment.list("stripes")?.as_chunks::<2>().0 } else { &[] };
            whole &= stripes.len() == 1;
            let count = segment.number("extent_count")? / (stripes.len() as u64).max(1);
            for [volume, start] in stripes {
                let (Value::Text(volume), Value::Number(start)) = (volume, start) else { return None };
                if volume == self.own {
                    self.add(&mut places, *start, count)?;
                } else {
                    whole = false;
                }
            }
        }
        Some((!places.is_empty()).then(|| Piece { name: name.to_owned(), places, whole }))
    }

    fn add(&self, places: &mut Vec<Range<u64>>, start: u64, count: u64) -> Option<()> {
        let start = start.checked_mul(self.length)?.checked_add(self.first)?;
        let end = count.checked_mul(self.length)?.checked_add(start).filter(|end| *end <= self.end)?;
        match places.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => places.push(start..end),
        }
        Some(())
    }
}

/// The text in a metadata area, a ring behind its header.
fn read_area(device: &impl ReadAt, area: &Range<u64>) -> io::Result<Option<String>> {
    let header = device.read_vec(area.start, AREA_HEADER as usize)?;
    let length = area.end - area.start;
    let (offset, size) = (word(&header, 40), word(&header, 48));
    let sane = header[4..20] == *AREA_MAGIC
        && checksum(&header[4..]).to_le_bytes() == header[..4]
        && (AREA_HEADER..length).contains(&offset)
        && (1..=MOST_TEXT.min(length - AREA_HEADER)).contains(&size);
    if !sane {
        return Ok(None);
    }
    let unbroken = size.min(length - offset);
    let mut bytes = device.read_vec(area.start + offset, unbroken as usize)?;
    bytes.extend(device.read_vec(area.start + AREA_HEADER, (size - unbroken) as usize)?);
    let good = checksum(&bytes).to_le_bytes() == header[56..60];
    Ok(String::from_utf8(bytes).ok().filter(|_| good))
}

/// Little-endian number of eight bytes.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

/// LVM's: CRC-32 from another beginning, and not inverted.
fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(!FIRST_CHECKSUM);
    hasher.update(bytes);
    !hasher.finalize()
}
