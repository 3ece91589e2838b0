//! What the data must be: runs in order, and a hash for each piece of what they hold.

use anyhow::{Context, Result, bail, ensure};
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::metainfo::Metainfo;

/// Piece length of partclone's file of hashes, in bytes (`DEFAULT_PIECE_SIZE` of its `torrent_helper.h`).
const PARTCLONE_PIECE: u32 = 16 << 20;

/// The hashes of a content, and where its runs lie.
pub(super) struct Hashes {
    /// The runs, by their offsets.
    pub(super) map: ExtentMap,
    /// The same with the padding between them, as the pieces count.
    pub(super) content: ExtentMap,
    /// Is it one file from byte 0 on, every byte?
    pub(super) whole: bool,
    /// Bytes of the file system, where they are told; else 0.
    pub(super) size: u64,
    /// Bytes of a piece.
    pub(super) piece_length: u32,
    /// SHA-1 of each piece.
    pub(super) pieces: Vec<[u8; 20]>,
}

impl Hashes {
    /// Of a torrent.
    pub(super) fn of_metainfo(metainfo: &Metainfo) -> Result<Self> {
        let pieces = (0..metainfo.piece_count()).filter_map(|index| metainfo.piece_hash(index).copied());
        let content = metainfo.extents()?;
        Self::checked(Self {
            map: ExtentMap::new(content.extents().to_vec())?,
            content,
            whole: metainfo.is_raw(),
            size: 0,
            piece_length: metainfo.piece_length(),
            pieces: pieces.collect(),
        })
    }

    /// Of partclone's `torrent.info`: a `key: value` a line.
    pub(super) fn of_info(text: &str) -> Result<Self> {
        let (mut block_size, mut blocks) = (0u64, 0u64);
        let (mut runs, mut pieces, mut offset): (Vec<Extent>, _, _) = (Vec::new(), Vec::new(), None);
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let read = || -> Option<(&str, &str)> { line.split_once(':').map(|(k, v)| (k.trim(), v.trim())) };
            let refuse = || format!("line {}: {line:?} makes no sense", index + 1);
            let (key, value) = read().with_context(refuse)?;
            let hex = || u64::from_str_radix(value, 16);
            match key {
                "block_size" => block_size = value.parse().with_context(refuse)?,
                "blocks_total" => blocks = value.parse().with_context(refuse)?,
                "offset" if offset.is_none() => offset = Some(hex().with_context(refuse)?),
                "length" => {
                    let offset = offset.take().with_context(refuse)?;
                    runs.push(Extent { offset, length: hex().with_context(refuse)? });
                }
                "sha1" => pieces.push(sha1(value).with_context(refuse)?),
                _ => bail!(refuse()),
            }
        }
        let size = block_size.checked_mul(blocks).context("its blocks are more than a disk can have")?;
        let map = ExtentMap::new(runs)?;
        Self::checked(Self {
            content: map.clone(),
            map,
            whole: false,
            size,
            piece_length: PARTCLONE_PIECE,
            pieces,
        })
    }

    fn checked(self) -> Result<Self> {
        let needed = self.content.total_length().div_ceil(u64::from(self.piece_length));
        ensure!(needed > 0, "nothing is in it");
        ensure!(
            self.pieces.len() as u64 == needed,
            "it has {} hashes, and needs {needed}",
            self.pieces.len()
        );
        let sorted = self.map.extents().is_sorted_by_key(|run| run.offset);
        ensure!(sorted, "its runs are not in the order of their offsets");
        Ok(self)
    }
}

fn sha1(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    if text.len() != 40 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "block_size: 1024\nblocks_total: 16\noffset: 000\nlength: 400\noffset: 00c00\nlength: 0800\n\
        sha1: 0123456789abcdef0123456789abcdef01234567\n";

    #[test]
    fn what_partclone_writes_is_read() {
        let hashes = Hashes::of_info(INFO).unwrap();
        assert_eq!((hashes.size, hashes.map.total_length(), hashes.pieces.len()), (16384, 3072, 1));
        assert_eq!(hashes.map.extents()[1], Extent { offset: 3072, length: 2048 });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (from, to) in [
            ("sha1: 0123456789abcdef0123456789abcdef01234567\n", ""),
            ("sha1: 01", "sha1: 0"),
            ("length: 400\n", ""),
            ("offset: 00c00", "offset: 0"),
            ("blocks_total: 16", "blocks_total: x"),
            ("blocks_total: 16", "blocks_total: 18446744073709551615"),
            ("block_size", "blocks"),
        ] {
            assert!(Hashes::of_info(&INFO.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(Hashes::of_info("").is_err());
    }
}
