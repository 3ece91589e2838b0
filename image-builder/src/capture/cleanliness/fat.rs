//! FAT: the dirty bits that Linux and Windows leave.

use ezio_image::layout::ReadAt;

/// Microsoft's FAT specification: bytes a sector at 11, reserved sectors at 14, sectors a FAT at 22 (0
/// on FAT32). Linux sets bit 0 of the byte at 37 (FAT32: 65) while mounted. Windows clears the highest
/// bit (FAT32: bit 27) of the FAT's second entry; FAT12 has no room for it.
pub(super) fn dirty(read: &impl ReadAt) -> std::io::Result<Option<String>> {
    let boot = read.read_vec(0, 512)?;
    let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let fat32 = word(22) == 0;
    let linux = boot[if fat32 { 65 } else { 37 }] & 1 != 0;
    let entries = read.read_vec(word(14) * word(11), 8)?;
    let windows = match fat32 {
        true => entries[7] & 0x08 == 0,
        false => is_fat16(&boot, word) && entries[3] & 0x80 == 0,
    };
    let dirty = "was not cleanly unmounted: run fsck.fat -a on it";
    Ok((linux || windows).then(|| dirty.to_owned()))
}

/// FAT16 has at least 4085 clusters, by the specification's own rule.
fn is_fat16(boot: &[u8], word: impl Fn(usize) -> u64) -> bool {
    let sectors = match word(19) {
        0 => u64::from(u32::from_le_bytes([boot[32], boot[33], boot[34], boot[35]])),
        few => few,
    };
    let root = (word(17) * 32).div_ceil(word(11).max(1));
    let before = word(14) + u64::from(boot[16]) * word(22) + root;
    sectors.saturating_sub(before) / u64::from(boot[13].max(1)) >= 4085
}
