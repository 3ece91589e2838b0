//! FAT and exFAT: the label is an entry of the root directory. FAT's boot sector has one too, which Windows does not
//! keep up to date (Microsoft's FAT specification, section 6; exFAT specification, section 7.3).

use ezio_image::layout::ReadAt;

use super::{Volume, number, text, utf16};

const ENTRY: usize = 32;
/// Clusters of a root directory that are looked at, as blkid does: a table of clusters may run in a circle.
const MOST_CLUSTERS: usize = 100;
/// Bytes of a cluster or root directory that are believed.
const MOST_BYTES: u64 = 32 << 20;

/// FAT12, FAT16 and FAT32.
pub(super) fn label(boot: &[u8], volume: &Volume<'_, impl ReadAt>) -> Option<String> {
    let is_fat32 = &boot[82..87] == b"FAT32";
    let (magic, in_boot_sector) = if is_fat32 { (82..85, 71..82) } else { (54..57, 43..54) };
    if &boot[510..512] != b"\x55\xaa" || &boot[magic] != b"FAT" {
        return None;
    }
    let entries = if is_fat32 { fat32_root(boot, volume) } else { fixed_root(boot, volume) };
    let own = || text(&boot[in_boot_sector]).filter(|label| label != "NO NAME");
    entries.and_then(|entries| label_entry(&entries)).or_else(own)
}

/// Attribute byte at 11: bit 3 is a volume's label; all of the low four bits are a part of a long name.
fn label_entry(entries: &[u8]) -> Option<String> {
    let used = entries.as_chunks::<ENTRY>().0.iter().take_while(|e| e[0] != 0).filter(|e| e[0] != 0xe5);
    let mut name = used.filter(|e| e[11] & 0x18 == 0x08 && e[11] & 0x0f != 0x0f).map(|e| {
        let mut name = e[..11].to_vec();
        // 0xe5 in the first place marks what is deleted, so the character is written as 5.
        if name[0] == 5 {
            name[0] = 0xe5;
        }
        name
    });
    text(&name.next()?)
}

/// Behind the tables, at a place of its own: bytes a sector at 11, reserved sectors at 14, tables at 16, entries at 17,
/// sectors a table at 22.
fn fixed_root(boot: &[u8], volume: &Volume<'_, impl ReadAt>) -> Option<Vec<u8>> {
    let word = |at| number(boot, at, 2);
    let sectors = word(14)?.checked_add(u64::from(boot[16]) * word(22)?)?;
    volume.read(sectors.checked_mul(word(11)?)?, usize::try_from(word(17)?).ok()? * ENTRY)
}

/// Sectors a cluster at 13, sectors a table at 36, first cluster at 44.
fn fat32_root(boot: &[u8], volume: &Volume<'_, impl ReadAt>) -> Option<Vec<u8>> {
    let (sector, reserved) = (number(boot, 11, 2)?, number(boot, 14, 2)?);
    let heap = reserved.checked_add(u64::from(boot[16]) * number(boot, 36, 4)?)?;
    let clusters = Clusters {
        table: reserved * sector,
        heap: heap.checked_mul(sector)?,
        length: sector * u64::from(boot[13]),
        mask: 0x0fff_ffff,
    };
    clusters.chain(number(boot, 44, 4)?, volume)
}

/// Sector of the table at 80, of the first cluster at 88, the root's first cluster at 96, powers of two at 108.
/// An entry of type 0x83 is the label: characters at 1, text from 2 on.
pub(super) fn exfat_label(boot: &[u8], volume: &Volume<'_, impl ReadAt>) -> Option<String> {
    let sector = 1u64.checked_shl(u32::from(boot[108]))?;
    let clusters = Clusters {
        table: number(boot, 80, 4)?.checked_mul(sector)?,
        heap: number(boot, 88, 4)?.checked_mul(sector)?,
        length: sector.checked_mul(1u64.checked_shl(u32::from(boot[109]))?)?,
        mask: 0xffff_ffff,
    };
    let entries = clusters.chain(number(boot, 96, 4)?, volume)?;
    let entry = entries.as_chunks::<ENTRY>().0.iter().take_while(|e| e[0] != 0).find(|e| e[0] == 0x83)?;
    utf16(&entry[2..2 + 2 * usize::from(entry[1]).min(11)])
}

/// A table of 32-bit entries, each the number of the next cluster. Clusters are numbered from 2. All in bytes.
struct Clusters {
    table: u64,
    heap: u64,
    length: u64,
    mask: u64,
}

impl Clusters {
    fn chain(&self, first: u64, volume: &Volume<'_, impl ReadAt>) -> Option<Vec<u8>> {
        let length = usize::try_from(self.length).ok().filter(|l| (1..=MOST_BYTES as usize).contains(l))?;
        let (mut bytes, mut cluster) = (Vec::new(), first);
        for _ in 0..MOST_CLUSTERS {
            if cluster < 2 || cluster > self.mask - 8 || bytes.len() as u64 > MOST_BYTES {
                break;
            }
            bytes.extend(
                volume.read((cluster - 2).checked_mul(self.length)?.checked_add(self.heap)?, length)?,
            );
            cluster =
                number(&volume.read(cluster.checked_mul(4)?.checked_add(self.table)?, 4)?, 0, 4)? & self.mask;
        }
        Some(bytes)
    }
}
