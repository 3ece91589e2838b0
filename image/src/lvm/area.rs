//! An area of metadata: a header, and behind it a ring that texts are written into one after the other.

use std::io;
use std::ops::Range;

use super::{checksum, word};
use crate::layout::ReadAt;

const HEADER: u64 = 512;
const MAGIC: &[u8; 16] = b" LVM2 x[5A%r0N*>";
/// Largest text that is believed, in bytes; an area has 1 MiB by default.
const MOST_TEXT: u64 = 64 << 20;

/// Reads the text in an area; none where there is none that makes sense.
pub(super) fn read(device: &impl ReadAt, area: &Range<u64>) -> io::Result<Option<String>> {
    let length = area.end - area.start;
    if length <= HEADER {
        return Ok(None);
    }
    let header = device.read_vec(area.start, HEADER as usize)?;
    let (offset, size) = (word(&header, 40), word(&header, 48));
    let sane = header[4..20] == *MAGIC
        && checksum(&header[4..]).to_le_bytes() == header[..4]
        && (HEADER..length).contains(&offset)
        && (1..=MOST_TEXT.min(length - HEADER)).contains(&size);
    if !sane {
        return Ok(None);
    }
    let unbroken = size.min(length - offset);
    let mut bytes = device.read_vec(area.start + offset, unbroken as usize)?;
    bytes.extend(device.read_vec(area.start + HEADER, (size - unbroken) as usize)?);
    let good = checksum(&bytes).to_le_bytes() == header[56..60];
    Ok(String::from_utf8(bytes).ok().filter(|_| good))
}
