//! The table behind the frames: a skippable frame of zstd, so that who knows nothing of it passes over it.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

use crate::codec::invalid;

/// Skippable frame (variant 14), as the seekable format has it.
const SKIPPABLE: u32 = 0x184D_2A5E;
/// Last four bytes of the file.
const SEEKABLE: u32 = 0x8F92_EAB1;
/// Magic number and length of the skippable frame.
const HEAD: u64 = 8;
/// Number of frames, descriptor and magic number.
const FOOT: u64 = 9;
/// Each entry has four bytes more: checksums of what the frames hold.
const WITH_CHECKSUMS: u8 = 0x80;
/// Bits of the descriptor that must not be set.
const RESERVED: u8 = 0x7c;
/// Frames that the format has room for.
const MOST: usize = 0x800_0000;

/// Where the frames lie.
#[derive(Debug)]
pub(crate) struct Table {
    /// Raw bytes of each frame but the last.
    pub(crate) frame_size: u32,
    /// Byte at which each frame begins, and the end of the last.
    pub(crate) starts: Vec<u64>,
}

/// The table of frames with these lengths, packed and raw.
pub(crate) fn encode(frames: &[(u32, u32)]) -> Result<Vec<u8>> {
    let count = u32::try_from(frames.len()).ok().filter(|_| frames.len() <= MOST);
    let count = count.ok_or_else(|| invalid(format!("{} frames are too many for one file", frames.len())))?;
    // At most 1 GiB.
    let mut bytes = Vec::with_capacity(frames.len() * 8 + (HEAD + FOOT) as usize);
    bytes.extend(SKIPPABLE.to_le_bytes());
    bytes.extend((count * 8 + FOOT as u32).to_le_bytes());
    for (packed, raw) in frames {
        bytes.extend(packed.to_le_bytes());
        bytes.extend(raw.to_le_bytes());
    }
    bytes.extend(count.to_le_bytes());
    bytes.push(0);
    bytes.extend(SEEKABLE.to_le_bytes());
    Ok(bytes)
}

/// Reads and checks the table of a file, which must hold `raw_length` bytes in frames of one length, none of them across
/// the border of two pieces.
pub(crate) fn read(file: &File, raw_length: u64, piece_length: u32) -> Result<Table> {
    let length = file.metadata()?.len();
    let cut = || invalid(format!("it is cut short, or no file of frames ({length} bytes)"));
    let foot_at = length.checked_sub(FOOT).ok_or_else(cut)?;
    let mut foot = [0; FOOT as usize];
    file.read_exact_at(&mut foot, foot_at)?;
    if number(&foot, 5) != SEEKABLE || foot[4] & RESERVED != 0 {
        return Err(cut());
    }
    let entry: u64 = if foot[4] & WITH_CHECKSUMS == 0 { 8 } else { 12 };
    let count = u64::from(number(&foot, 0));
    let begin = foot_at.checked_sub(count * entry + HEAD).ok_or_else(cut)?;
    let mut head = [0; HEAD as usize];
    file.read_exact_at(&mut head, begin)?;
    if number(&head, 0) != SKIPPABLE || u64::from(number(&head, 4)) != count * entry + FOOT {
        return Err(invalid("its table of frames is damaged".to_owned()));
    }
    // No longer than the file is.
    let mut entries = vec![0; (count * entry) as usize];
    file.read_exact_at(&mut entries, begin + HEAD)?;
    let entries = entries.chunks_exact(entry as usize).map(|entry| (number(entry, 0), number(entry, 4)));
    check(entries, begin, raw_length, piece_length)
}

/// Holds what the table says against itself, the frames' end and the torrent.
fn check(
    mut entries: impl ExactSizeIterator<Item = (u32, u32)> + Clone,
    end: u64,
    raw_length: u64,
    piece_length: u32,
) -> Result<Table> {
    let count = entries.len() as u64;
    let frame_size = entries.clone().next().map_or(0, |(_, raw)| raw);
    if frame_size == 0 || frame_size > piece_length || count != raw_length.div_ceil(u64::from(frame_size)) {
        return Err(invalid(format!(
            "its table has {count} frames, the first of {frame_size} bytes, for {raw_length} bytes in pieces of {piece_length}"
        )));
    }
    if count > 1 && !piece_length.is_multiple_of(frame_size) {
        return Err(invalid(format!("frames of {frame_size} bytes do not fit pieces of {piece_length}")));
    }
    let (mut at, mut left) = (0, raw_length);
    let mut starts = Vec::with_capacity(entries.len() + 1);
    let lying = entries.position(|(packed, raw)| {
        let should = left.min(u64::from(frame_size));
        starts.push(at);
        (at, left) = (at + u64::from(packed), left - should);
        let most = zstd_safe::compress_bound(should as usize) as u64;
        u64::from(raw) != should || packed == 0 || u64::from(packed) > most
    });
    starts.push(at);
    match lying {
        Some(index) => Err(invalid(format!("its table makes no sense at frame {index}"))),
        None if at != end => {
            Err(invalid(format!("its table says that the frames end at byte {at}, not {end}")))
        }
        None => Ok(Table { frame_size, starts }),
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
