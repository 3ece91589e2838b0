//! How long a file system is, its superblock says. A torrent alone does not: the last of its blocks in use may lie far
//! before the end.

use std::io;

use ezio_image::extents::ExtentMap;
use ezio_image::filesystem::{self, FileSystem};
use ezio_image::layout::ReadAt;

/// Every superblock lies before this byte of its file system.
const BEFORE: u64 = 128 << 10;
/// More than this is not fetched for it, in bytes: other programs may put its runs anywhere in their torrents.
const MOST: u64 = 64 << 20;

/// Bytes at the beginning of a content in which the superblock is; 0 where that would be too many.
pub(crate) fn head_length(extents: &ExtentMap) -> u64 {
    let ends = extents.content_at(0, BEFORE).map(|(at, _, length)| at + length);
    ends.max().filter(|length| *length <= MOST).unwrap_or(0)
}

/// The file system whose content begins so; of no length where it is none that we know.
pub(crate) fn look(head: &[u8], extents: &ExtentMap) -> io::Result<FileSystem> {
    Ok(filesystem::inspect(&Beginning::new(head, extents), 0)?.unwrap_or_default())
}

/// A file system, of which what is not known is zeros.
struct Beginning(Vec<u8>);

impl Beginning {
    /// `head`: the content's first bytes.
    fn new(head: &[u8], extents: &ExtentMap) -> Self {
        let mut bytes = vec![0; BEFORE as usize];
        for (at, place, length) in extents.content_at(0, BEFORE) {
            // What lies before this place is as short.
            let (at, place, length) = (at as usize, place as usize, length as usize);
            if let Some(known) = head.get(at..at + length) {
                bytes[place..place + length].copy_from_slice(known);
            }
        }
        Self(bytes)
    }
}

impl ReadAt for Beginning {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let known = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let length = known.len().min(buffer.len());
        buffer[..length].copy_from_slice(&known[..length]);
        buffer[length..].fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ezio_image::extents::{Extent, Part};

    use super::*;

    #[test]
    fn a_superblock_is_found_wherever_the_torrent_has_it() {
        // Of XFS: its magic, bytes a block, and blocks.
        let mut xfs = vec![0; 4096];
        xfs[..8].copy_from_slice(b"XFSB\0\0\x10\0");
        xfs[8..16].copy_from_slice(&1000u64.to_be_bytes());
        let run = |offset: u64| Part::Used(Extent { offset, length: 4096 });
        let in_order = ExtentMap::of_parts([run(0), Part::Padding(904), run(65536), run(1 << 40)]).unwrap();
        assert_eq!(head_length(&in_order), 4096 + 904 + 4096);
        assert_eq!(look(&xfs, &in_order).unwrap().size, 4_096_000);
        let last = ExtentMap::of_parts([run(1 << 40), run(0)]).unwrap();
        assert_eq!(head_length(&last), 8192);
        assert_eq!(look(&[vec![7; 4096], xfs].concat(), &last).unwrap().size, 4_096_000);
        let far = ExtentMap::of_parts([Part::Padding(MOST), run(0)]).unwrap();
        assert_eq!((head_length(&far), look(&[], &far).unwrap().size), (0, 0));
    }
}
