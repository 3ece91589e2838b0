//! How long the sectors of a disk are that is there as a file only: its table makes sense with one of the two lengths.

use std::fs::File;

use anyhow::{Context, Result, bail};
use ezio_image::filesystem;
use ezio_image::layout::{Layout, ReadAt};

/// Lengths that are in use, in bytes; the first is that of nearly all disks.
const LENGTHS: [u32; 2] = [512, 4096];
/// Where the header of a GPT lies is told by its signature.
const GPT: &[u8; 8] = b"EFI PART";

/// What a table says when it is read with one length of sectors.
struct Reading {
    length: u32,
    /// Partitions that begin with a file system.
    found: usize,
}

/// Finds the length for a file of `size` bytes.
pub(super) fn find(file: &File, size: u64) -> Result<u32> {
    let gpt: Vec<u32> = LENGTHS.into_iter().filter(|length| has_gpt(file, *length)).collect();
    if let [length] = gpt[..] {
        return Ok(length);
    }
    let mut readings = Vec::new();
    for length in LENGTHS {
        if let Ok(layout) = Layout::read_from_disk(file, size, length, "")
            && layout.minimum_size() <= size
        {
            readings.push(Reading { length, found: count_filesystems(file, &layout)? });
        }
    }
    match &readings[..] {
        [] => Ok(LENGTHS[0]),
        [one] => Ok(one.length),
        [one, other] if one.found > 0 && other.found > 0 => bail!(
            "its partition table makes sense with sectors of {} and of {} bytes: say which by --sector-size",
            one.length,
            other.length
        ),
        // Where neither has any, those of nearly all disks are taken.
        [first, ..] => Ok(readings.iter().find(|reading| reading.found > 0).unwrap_or(first).length),
    }
}

fn has_gpt(file: &File, length: u32) -> bool {
    file.read_vec(length.into(), GPT.len()).is_ok_and(|bytes| bytes == GPT)
}

fn count_filesystems(file: &File, layout: &Layout) -> Result<usize> {
    let mut count = 0;
    for partition in layout.partitions().iter().filter(|p| !p.is_extended()) {
        let start = layout.byte_range(partition).start;
        let found = filesystem::inspect(file, start).with_context(|| format!("cannot read byte {start}"))?;
        count += usize::from(found.is_some());
    }
    Ok(count)
}
