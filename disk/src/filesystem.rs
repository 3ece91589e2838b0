//! Labels of file systems, from their superblocks.

use ezio_image::layout::ReadAt;

/// Label of the file system (or swap) that begins at the byte `offset`; `None` where there is none
/// that we know, or it has no label. Knows ext2/3/4, XFS, btrfs, FAT, NTFS and swap.
#[must_use]
pub fn filesystem_label(device: &impl ReadAt, offset: u64) -> Option<String> {
    let at = |from: u64, length: usize| device.read_vec(offset.checked_add(from)?, length).ok();
    let head = at(0, 4096)?;
    if head[1080..1082] == [0x53, 0xef] {
        return text(&head[1144..1160]);
    }
    if &head[..4] == b"XFSB" {
        return text(&head[108..120]);
    }
    if &head[4086..4096] == b"SWAPSPACE2" {
        return text(&head[1052..1068]);
    }
    if &head[3..11] == b"NTFS    " {
        return ntfs_label(&head, at);
    }
    if &head[510..512] == b"\x55\xaa" {
        for (magic, label) in [(82..87, 71..82), (54..59, 43..54)] {
            if head[magic.clone()] == *b"FAT32" || (head[magic].starts_with(b"FAT")) {
                return text(&head[label]).filter(|l| l != "NO NAME");
            }
        }
    }
    let btrfs = at(65536, 4096)?;
    (&btrfs[64..72] == b"_BHRfS_M").then(|| text(&btrfs[299..555])).flatten()
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The label is the attribute 0x60 of the MFT's fourth record, `$Volume`.
fn ntfs_label(boot: &[u8], at: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Option<String> {
    let sector = u64::from(u16::from_le_bytes([boot[11], boot[12]]));
    let cluster = match boot[13] {
        count @ 0..=0x80 => sector * u64::from(count),
        shift => sector << (256 - u32::from(shift)).min(31),
    };
    let mft = u64::from_le_bytes(boot[48..56].try_into().ok()?);
    let record_size = match boot[64].cast_signed() {
        clusters @ 0.. => cluster.checked_mul(u64::from(clusters.unsigned_abs()))?,
        shift => 1u64.checked_shl(u32::from(shift.unsigned_abs()))?,
    };
    if !(512..=65536).contains(&record_size) {
        return None;
    }
    let record = at(mft.checked_mul(cluster)?.checked_add(3 * record_size)?, record_size as usize)?;
    let word = |i: usize| Some(u16::from_le_bytes([*record.get(i)?, *record.get(i + 1)?]) as usize);
    let long = |i: usize| Some(word(i)? | word(i + 2)? << 16);
    if record.get(..4)? != b"FILE" {
        return None;
    }
    let mut attribute = word(20)?;
    // Attributes are at least 16 bytes long: the loop ends with the record.
    while long(attribute)? != 0xffff_ffff && long(attribute + 4)? >= 16 {
        if long(attribute)? == 0x60 {
            let (length, from) = (long(attribute + 16)?, attribute + word(attribute + 20)?);
            let units: Vec<u16> = record
                .get(from..from.checked_add(length)?)?
                .as_chunks()
                .0
                .iter()
                .map(|c| u16::from_le_bytes(*c))
                .collect();
            return Some(String::from_utf16_lossy(&units)).filter(|label| !label.is_empty());
        }
        attribute = attribute.checked_add(long(attribute + 4)?)?;
    }
    None
}

#[cfg(test)]
#[path = "filesystem_tests.rs"]
mod tests;
