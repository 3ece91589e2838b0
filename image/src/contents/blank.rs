//! Does a disk hold nothing?

use std::io;

use crate::layout::ReadAt;
use crate::plan::signature_places;

/// Bytes that are read at a time.
const CHUNK: u64 = 1 << 20;

/// Is the same byte in all places where a table or a signature may be? New and discarded disks read as zeros, erased flash
/// as ones. So whatever libblkid finds is not blank, nor is what nobody can name: ciphertext without a header, or what is
/// left where somebody erased the signatures alone.
pub(super) fn is_blank(device: &impl ReadAt, size: u64) -> io::Result<bool> {
    let mut first = None;
    for place in signature_places(&(0..size)) {
        let mut at = place.start;
        while at < place.end {
            let length = CHUNK.min(place.end - at);
            let bytes = device.read_vec(at, length as usize)?;
            let byte = *first.get_or_insert(bytes.first().copied().unwrap_or(0));
            if !matches!(byte, 0 | 0xff) || bytes.iter().any(|other| *other != byte) {
                return Ok(false);
            }
            at += length;
        }
    }
    Ok(true)
}
