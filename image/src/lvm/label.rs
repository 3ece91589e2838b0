//! The label of a physical volume (lvm2, `lib/label/label.h`, `lib/format_text/layout.h`): who it is, and where its metadata lie.

use std::io;
use std::ops::Range;

use super::{SECTOR, checksum, word};
use crate::layout::ReadAt;

/// The label lies in one of the first four sectors.
const SECTORS: u64 = 4;
const MAGIC: &[u8; 8] = b"LABELONE";
const TYPE: &[u8; 8] = b"LVM2 001";
/// What the label's checksum begins behind.
const CHECKED: usize = 20;

/// What the label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Of the volume, without hyphens.
    pub uuid: String,
    /// Where its metadata lie.
    pub areas: Vec<Range<u64>>,
}

impl Label {
    pub(super) fn read(device: &impl ReadAt) -> io::Result<Option<Self>> {
        let sectors = device.read_vec(0, (SECTORS * SECTOR) as usize)?;
        let is_label = |sector: &&[u8]| sector.starts_with(MAGIC) && sector[24..32] == *TYPE;
        let Some(sector) = sectors.chunks(SECTOR as usize).find(is_label) else { return Ok(None) };
        if checksum(&sector[CHECKED..]).to_le_bytes() != sector[16..CHECKED] {
            return Ok(None);
        }
        let header = u32::from_le_bytes([sector[20], sector[21], sector[22], sector[23]]) as usize;
        Ok(sector.get(header..).and_then(Self::parse))
    }

    /// UUID, size, places of extents, places of metadata; both lists end with zeros.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let uuid = String::from_utf8(bytes.get(..32)?.to_vec()).ok()?;
        let pairs = bytes.get(40..)?.as_chunks::<16>().0.iter().map(|pair| (word(pair, 0), word(pair, 8)));
        let areas = pairs.skip_while(|pair| *pair != (0, 0)).skip(1).take_while(|pair| *pair != (0, 0));
        let areas = areas.filter_map(|(start, length)| Some(start..start.checked_add(length)?)).collect();
        Some(Self { uuid, areas })
    }
}
