//! Labels of file systems, as `blkid` tells them, from what lies on the disk.

use ezio_image::layout::ReadAt;

mod fat;
mod ntfs;

/// A file system that keeps its label in its superblock, at a fixed place.
struct Superblock {
    /// Byte offset of the superblock in the file system, and its length as far as we look.
    offset: u64,
    length: usize,
    /// Offset in the superblock, and the bytes there that tell the file system.
    magic: (usize, &'static [u8]),
    /// Offset in the superblock, and length.
    label: (usize, usize),
    encoding: Encoding,
}

enum Encoding {
    Utf8,
    Utf16,
}

/// ext2/3/4, XFS, swap, F2FS, JFS, btrfs: each as its kernel's header says.
const SUPERBLOCKS: [Superblock; 6] = [
    superblock(1024, (56, b"\x53\xef"), (120, 16)),
    superblock(0, (0, b"XFSB"), (108, 12)),
    superblock(0, (4086, b"SWAPSPACE2"), (1052, 16)),
    Superblock { encoding: Encoding::Utf16, ..superblock(1024, (0, b"\x10\x20\xf5\xf2"), (124, 1024)) },
    superblock(32 << 10, (0, b"JFS1"), (152, 16)),
    superblock(64 << 10, (64, b"_BHRfS_M"), (299, 256)),
];

const fn superblock(offset: u64, magic: (usize, &'static [u8]), label: (usize, usize)) -> Superblock {
    Superblock { offset, length: 4096, magic, label, encoding: Encoding::Utf8 }
}

/// Bytes of a file system: its beginning on the device, in bytes.
struct Volume<'a, D> {
    device: &'a D,
    offset: u64,
}

impl<D: ReadAt> Volume<'_, D> {
    fn read(&self, from: u64, length: usize) -> Option<Vec<u8>> {
        self.device.read_vec(self.offset.checked_add(from)?, length).ok()
    }
}

/// Label of the file system (or swap) that begins at the byte `offset`; `None` where there is none
/// that we know, or it has no label. Knows ext2/3/4, XFS, btrfs, F2FS, JFS, FAT, exFAT, NTFS and swap.
#[must_use]
pub fn filesystem_label(device: &impl ReadAt, offset: u64) -> Option<String> {
    let volume = Volume { device, offset };
    let boot = volume.read(0, 512)?;
    if &boot[3..11] == b"NTFS    " {
        return ntfs::label(&boot, &volume);
    }
    if &boot[3..11] == b"EXFAT   " {
        return fat::exfat_label(&boot, &volume);
    }
    // A boot sector of FAT may be left below a newer file system, never the other way round.
    SUPERBLOCKS.iter().find_map(|s| s.label(&volume)).unwrap_or_else(|| fat::label(&boot, &volume))
}

impl Superblock {
    /// The label where this is the file system, which need not have one.
    fn label(&self, volume: &Volume<'_, impl ReadAt>) -> Option<Option<String>> {
        let bytes = volume.read(self.offset, self.length)?;
        let (at, magic) = self.magic;
        if &bytes[at..at + magic.len()] != magic {
            return None;
        }
        let label = &bytes[self.label.0..self.label.0 + self.label.1];
        Some(match self.encoding {
            Encoding::Utf8 => text(label),
            Encoding::Utf16 => utf16(label),
        })
    }
}

/// Up to the first zero, without blanks at the end.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Little-endian units up to the first zero.
fn utf16(bytes: &[u8]) -> Option<String> {
    let units = bytes.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let text = String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>());
    (!text.is_empty()).then_some(text)
}

/// Little-endian number of up to eight bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
}

#[cfg(test)]
mod tests;
