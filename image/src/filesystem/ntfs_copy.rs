//! The copy of its boot sector, which NTFS keeps behind the last sector that it counts. It is in no cluster, so that
//! partclone leaves it out.

use std::io;

use super::{Volume, ntfs};
use crate::extents::{Extent, ExtentMap};
use crate::layout::ReadAt;

/// The runs in use of an NTFS, and the copy of its boot sector with them, where it lies within the first `size` bytes and is
/// not among them.
///
/// # Errors
/// What the volume says.
pub fn with_boot_copy(map: ExtentMap, volume: &impl ReadAt, size: u64) -> io::Result<ExtentMap> {
    let Some(boot) = ntfs::boot_sectors(&Volume { device: volume, offset: 0 })? else { return Ok(map) };
    let length = boot.sector;
    let inside = |offset: &u64| length > 0 && offset.checked_add(length).is_some_and(|end| end <= size);
    let Some(offset) = boot.copy.filter(inside) else { return Ok(map) };
    let mut runs = map.extents().to_vec();
    match runs.last_mut() {
        Some(last) if last.offset + last.length == offset => last.length += length,
        Some(last) if last.offset + last.length < offset => runs.push(Extent { offset, length }),
        _ => return Ok(map),
    }
    ExtentMap::new(runs).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_one_sector_behind_those_that_are_counted() {
        let mut boot = vec![0u8; 0x1000];
        boot[3..11].copy_from_slice(b"NTFS    ");
        boot[0x0b..0x0d].copy_from_slice(&512u16.to_le_bytes());
        boot[0x28..0x30].copy_from_slice(&127u64.to_le_bytes());
        let map = |runs: &[(u64, u64)]| {
            ExtentMap::new(runs.iter().map(|&(offset, length)| Extent { offset, length }).collect()).unwrap()
        };
        let with = |runs: &[(u64, u64)], size| with_boot_copy(map(runs), &boot, size).unwrap();
        let (copy, all) = (127 * 512, 1 << 16);
        assert_eq!(with(&[(0, 0x2000)], all), map(&[(0, 0x2000), (copy, 512)]));
        assert_eq!(
            with(&[(0, 0x2000), (0x8000, copy - 0x8000)], all),
            map(&[(0, 0x2000), (0x8000, all - 0x8000)])
        );
        for (runs, size) in [(&[(0, all)][..], all), (&[(0, 0x2000)], all - 1)] {
            assert_eq!(with(runs, size), map(runs));
        }
        let none = with_boot_copy(map(&[(0, 1)]), &vec![0u8; 0x1000], all).unwrap();
        assert_eq!(none, map(&[(0, 1)]));
    }
}
