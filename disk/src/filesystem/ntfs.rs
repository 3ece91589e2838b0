//! NTFS: the label is the attribute 0x60 of the master file table's fourth record, `$Volume`.

use ezio_image::layout::ReadAt;

use super::{Volume, number, utf16};

const VOLUME_NAME: u64 = 0x60;
const END: u64 = 0xffff_ffff;

/// Boot sector: bytes a sector at 11, sectors a cluster at 13, first cluster of the table at 48, clusters a record at 64
/// (both counts may be powers of two instead, as negative numbers).
pub(super) fn label(boot: &[u8], volume: &Volume<'_, impl ReadAt>) -> Option<String> {
    let sector = number(boot, 11, 2)?;
    let cluster = match boot[13] {
        count @ 0..=0x80 => sector * u64::from(count),
        shift => sector << (256 - u32::from(shift)).min(31),
    };
    let table = number(boot, 48, 8)?;
    let record_size = match boot[64].cast_signed() {
        clusters @ 0.. => cluster.checked_mul(u64::from(clusters.unsigned_abs()))?,
        shift => 1u64.checked_shl(u32::from(shift.unsigned_abs()))?,
    };
    if !(512..=65536).contains(&record_size) {
        return None;
    }
    let record =
        volume.read(table.checked_mul(cluster)?.checked_add(3 * record_size)?, record_size as usize)?;
    if record.get(..4)? != b"FILE" {
        return None;
    }
    let mut attribute = number(&record, 20, 2)? as usize;
    // Attributes are at least 16 bytes long: the loop ends with the record.
    loop {
        let (kind, length) = (number(&record, attribute, 4)?, number(&record, attribute + 4, 4)? as usize);
        if kind == END || length < 16 {
            return None;
        }
        if kind == VOLUME_NAME {
            let value = attribute + number(&record, attribute + 20, 2)? as usize;
            let end = value.checked_add(number(&record, attribute + 16, 4)? as usize)?;
            return utf16(record.get(value..end)?);
        }
        attribute = attribute.checked_add(length)?;
    }
}
