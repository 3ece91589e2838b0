//! An area of metadata: a header, and behind it a ring that texts are written into one after the other.

use std::io;
use std::ops::Range;

use super::{SECTOR, Writes, checksum, word};
use crate::layout::ReadAt;

const HEADER: u64 = 512;
const MAGIC: &[u8; 16] = b" LVM2 x[5A%r0N*>";
const VERSION: u32 = 1;
/// Largest text that is believed, in bytes; an area has 1 MiB by default.
const MOST_TEXT: u64 = 64 << 20;

/// The text in an area, and where in the area it begins.
pub(super) struct Found {
    pub(super) text: String,
    pub(super) offset: u64,
}

/// Reads the text in an area; none where there is none that makes sense.
pub(super) fn read(device: &impl ReadAt, area: &Range<u64>) -> io::Result<Option<Found>> {
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
    let text = String::from_utf8(bytes).ok().filter(|_| good);
    Ok(text.map(|text| Found { text, offset }))
}

/// What puts a text into an area in place of the one that lies in `old` bytes of it, if any: the text behind that, then the
/// header that makes it valid. None where there is no room for both.
pub(super) fn replace(area: &Range<u64>, old: Option<Range<u64>>, text: &str) -> Option<Writes> {
    let (length, size) = (area.end - area.start, text.len() as u64);
    let old_size = old.as_ref().map_or(0, |old| old.end - old.start);
    if old_size.next_multiple_of(SECTOR).checked_add(size.next_multiple_of(SECTOR))? > length - HEADER {
        return None;
    }
    let behind = old.map_or(HEADER, |old| old.end.next_multiple_of(SECTOR));
    let offset = if behind >= length { HEADER + (behind - length) } else { behind };
    let (head, tail) = text.as_bytes().split_at(size.min(length - offset) as usize);
    let mut writes = vec![(area.start + offset, head.to_vec())];
    if !tail.is_empty() {
        writes.push((area.start + HEADER, tail.to_vec()));
    }
    let mut header = vec![0; 4];
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    for number in [area.start, length, offset, size] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&checksum(text.as_bytes()).to_le_bytes());
    header.resize(HEADER as usize, 0);
    let sum = checksum(&header[4..]);
    header[..4].copy_from_slice(&sum.to_le_bytes());
    writes.push((area.start, header));
    Some(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes what `replace` says onto the medium.
    fn put(medium: &mut [u8], writes: Writes) {
        for (offset, bytes) in writes {
            medium[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
    }

    #[test]
    fn texts_go_round_the_ring_and_leave_the_one_before_alone() {
        let (mut medium, area) = (vec![0; 20_480], 4096..20_480);
        let mut old: Option<Range<u64>> = None;
        let mut begins = Vec::new();
        for number in 0..40 {
            let text = format!("vg0 {{\n{}}}\n\0", format!("seqno = {number}\n").repeat(300 + number));
            let before = medium.clone();
            put(&mut medium, replace(&area, old.clone(), &text).unwrap());
            let found = read(&medium, &area).unwrap().unwrap();
            assert!(found.text == text, "{number}");
            if let Some(old) = &old {
                // A ring: what lies behind its end lies behind its header.
                let ring = |at: u64| (4096 + if at < 16_384 { at } else { at - 16_384 + HEADER }) as usize;
                assert!(old.clone().all(|at| medium[ring(at)] == before[ring(at)]), "{number}");
            }
            begins.push(found.offset);
            old = Some(found.offset..found.offset + text.len() as u64);
        }
        assert!(begins.windows(2).any(|pair| pair[0] > pair[1]), "{begins:?}");
        assert!(begins.iter().all(|begin| begin % SECTOR == 0));
        assert!(replace(&area, old, &"x".repeat(12_000)).is_none());
    }
}
