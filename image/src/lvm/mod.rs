//! A physical volume of LVM2: what its label and the metadata of its volume group say (lvm2, `lib/format_text/layout.h`
//! and `lib/label/label.h`). Nothing is activated. Offsets and lengths are bytes on the volume.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use crate::layout::ReadAt;

mod area;
mod backup;
mod grow;
mod label;
mod logical;
mod text;

use logical::Extents;
use text::Section;

pub use grow::{Grown, Moved};
pub use label::Label;
pub use logical::{LogicalVolume, Place, Segment, Stripe};

const SECTOR: u64 = 512;
/// What LVM's checksums begin with.
const FIRST_CHECKSUM: u32 = 0xf597_a6cf;

/// Bytes to be written to a volume, by their places, in order.
pub type Writes = Vec<(u64, Vec<u8>)>;

/// A physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// What it says of itself.
    pub label: Label,
    /// Name of its volume group.
    pub group: String,
    /// Physical volumes of the group, this one among them.
    pub volumes: usize,
    /// Label and metadata: all before the first extent, and a second area behind the last.
    pub metadata: Vec<Range<u64>>,
    /// The logical volumes of the group, wherever they lie.
    pub logical: Vec<LogicalVolume>,
    /// The metadata of the group.
    pub text: String,
}

impl PhysicalVolume {
    /// Reads a physical volume; `None` where there is none, or none of a group whose metadata make sense.
    ///
    /// # Errors
    /// What the device says.
    pub fn read(device: &impl ReadAt) -> io::Result<Option<Self>> {
        let label = match Label::read(device) {
            // What is too short for a label has none.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            label => label?,
        };
        let Some(label) = label else { return Ok(None) };
        for area in &label.areas {
            if let Some(found) = area::read(device, area)?
                && let Some(volume) = Self::parse(&label, found.text)
            {
                return Ok(Some(volume));
            }
        }
        Ok(None)
    }

    /// The volume with this label in the metadata of its group.
    #[must_use]
    pub fn parse(label: &Label, text: String) -> Option<Self> {
        let all = text::parse(&text)?;
        let (group, section) = all.sections().next()?;
        let extent = section.number("extent_size")?.checked_mul(SECTOR)?;
        let volumes = volumes(section, extent)?;
        let own = volumes.values().find(|volume| volume.uuid == label.uuid)?;
        let behind = label.areas.iter().filter(|area| area.start >= own.end).cloned();
        Some(Self {
            label: label.clone(),
            group: group.to_owned(),
            volumes: volumes.len(),
            metadata: std::iter::once(0..own.first).chain(behind).collect(),
            logical: logical::read(section, extent, &volumes)?,
            text,
        })
    }
}

/// The physical volumes of a group, by their names in its metadata ("pv0").
fn volumes(group: &Section, extent: u64) -> Option<BTreeMap<&str, Extents>> {
    let read = |(name, volume)| {
        let volume: &Section = volume;
        let first = volume.number("pe_start")?.checked_mul(SECTOR)?;
        let end = volume.number("pe_count")?.checked_mul(extent)?.checked_add(first)?;
        Some((name, Extents { uuid: volume.text("id")?.replace('-', ""), first, end }))
    };
    group.section("physical_volumes")?.sections().map(read).collect()
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
