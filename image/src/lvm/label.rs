//! The label of a physical volume (lvm2, `lib/label/label.h`, `lib/format_text/layout.h`): who it is, and where its metadata lie.

use std::io;
use std::ops::Range;

use super::{SECTOR, checksum, word};
use crate::layout::ReadAt;

/// The label lies in one of the first four sectors.
const SECTORS: u64 = 4;
/// Where `pvcreate` puts it: into the second.
const USUAL_SECTOR: u64 = 1;
const MAGIC: &[u8; 8] = b"LABELONE";
const TYPE: &[u8; 8] = b"LVM2 001";
/// What the label's checksum begins behind.
const CHECKED: usize = 20;
/// Where the header of the physical volume is within its sector.
const HEADER: usize = 32;
/// Version of what follows the header, and its flag that the volume is of a group.
const EXTENSION: [u32; 2] = [2, 1];

/// What the label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Of the volume, without hyphens.
    pub uuid: String,
    /// Bytes that the volume has.
    pub size: u64,
    /// Where its metadata lie.
    pub areas: Vec<Range<u64>>,
    /// Sector that it lies in.
    sector: u64,
    /// Where the header of the physical volume is within that.
    header: usize,
}

impl Label {
    pub(super) fn read(device: &impl ReadAt) -> io::Result<Option<Self>> {
        let sectors = device.read_vec(0, (SECTORS * SECTOR) as usize)?;
        let is_label = |(_, sector): &(u64, &[u8])| sector.starts_with(MAGIC) && sector[24..32] == *TYPE;
        let Some((at, sector)) = (0..).zip(sectors.chunks(SECTOR as usize)).find(is_label) else {
            return Ok(None);
        };
        if checksum(&sector[CHECKED..]).to_le_bytes() != sector[16..CHECKED] {
            return Ok(None);
        }
        let header = u32::from_le_bytes([sector[20], sector[21], sector[22], sector[23]]) as usize;
        Ok(sector.get(header..).and_then(|bytes| Self::parse(bytes, at, header)))
    }

    /// UUID, size, places of extents, places of metadata; both lists end with zeros.
    fn parse(bytes: &[u8], sector: u64, header: usize) -> Option<Self> {
        let uuid = String::from_utf8(bytes.get(..32)?.to_vec()).ok()?;
        let pairs = bytes.get(40..)?.as_chunks::<16>().0.iter().map(|pair| (word(pair, 0), word(pair, 8)));
        let areas = pairs.skip_while(|pair| *pair != (0, 0)).skip(1).take_while(|pair| *pair != (0, 0));
        let areas = areas.filter_map(|(start, length)| Some(start..start.checked_add(length)?)).collect();
        Some(Self { uuid, size: word(bytes, 32), areas, sector, header })
    }

    /// One as `pvcreate` writes it.
    #[must_use]
    pub fn usual(uuid: &str, size: u64, areas: Vec<Range<u64>>) -> Self {
        Self { uuid: uuid.replace('-', ""), size, areas, sector: USUAL_SECTOR, header: HEADER }
    }

    /// The label that says another size, and where it goes.
    pub(super) fn resized(&self, device: &impl ReadAt, size: u64) -> io::Result<(u64, Vec<u8>)> {
        let at = self.sector * SECTOR;
        let mut sector = device.read_vec(at, SECTOR as usize)?;
        sector[self.header + 32..self.header + 40].copy_from_slice(&size.to_le_bytes());
        seal(&mut sector);
        Ok((at, sector))
    }

    /// The label as a sector, and where it goes; the first extent is at `first`.
    pub(super) fn encode(&self, first: u64) -> (u64, Vec<u8>) {
        let mut sector = Vec::with_capacity(SECTOR as usize);
        sector.extend_from_slice(MAGIC);
        sector.extend_from_slice(&self.sector.to_le_bytes());
        sector.extend_from_slice(&[0; 4]);
        sector.extend_from_slice(&(self.header as u32).to_le_bytes());
        sector.extend_from_slice(TYPE);
        sector.extend_from_slice(self.uuid.as_bytes());
        let areas = self.areas.iter().flat_map(|area| [area.start, area.end - area.start]);
        // Extents: from the first one on, as far as the size says.
        for number in [self.size, first, 0, 0, 0].into_iter().chain(areas).chain([0, 0]) {
            sector.extend_from_slice(&number.to_le_bytes());
        }
        EXTENSION.iter().for_each(|number| sector.extend_from_slice(&number.to_le_bytes()));
        sector.resize(SECTOR as usize, 0);
        seal(&mut sector);
        (self.sector * SECTOR, sector)
    }
}

/// Gives a label its checksum.
fn seal(sector: &mut [u8]) {
    let sum = checksum(&sector[CHECKED..]);
    sector[16..CHECKED].copy_from_slice(&sum.to_le_bytes());
}
