//! What lies outside all partitions: boot loaders before the first one, boot code in extended boot records, what makers
//! of boards put between partitions. Everything that is not zero is kept, a block at a time.

use std::ops::Range;

use anyhow::{Context, Result};
use ezio_image::conf::units::human_size;
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::layout::{Layout, ReadAt};
use ezio_image::zeros::is_zeros;

use super::source::Source;
use crate::stop::Stop;

/// Of a gap no more is looked at: more than any boot loader, and read in a second.
const MOST: u64 = 64 << 20;
/// Of what lies behind the last partition, the end: where RAIDs and volume managers have their own.
const TAIL: u64 = 1 << 20;
/// Kept or left out as a whole, like the blocks of a file system.
const BLOCK: u64 = 4096;
/// Bytes read at once.
const CHUNK: u64 = 1 << 20;

/// What is kept, and what people should know about the rest.
#[derive(Debug, Default)]
pub(super) struct Unpartitioned {
    pub(super) map: Option<ExtentMap>,
    pub(super) notes: Vec<String>,
}

/// Looks at the gaps of a disk with this table.
pub(super) fn look(source: &Source, layout: &Layout, stop: &Stop) -> Result<Unpartitioned> {
    // The table itself is made anew.
    let table = layout.encode(source.size, source.sector_size)?;
    let mut table: Vec<_> = table.writes().iter().map(|(at, bytes)| *at..*at + bytes.len() as u64).collect();
    table.extend(backup_entries(source)?);
    let end = layout.partitions().iter().map(|p| layout.byte_range(p).end).max().unwrap_or(0);
    let scan = Scan { source, table, stop };
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    for gap in layout.gaps(end) {
        let looked_at = gap.start..gap.end.min(gap.start + MOST);
        kept.extend(scan.used(&looked_at)?);
        if looked_at != gap {
            let (length, at, most) = (human_size(gap.end - gap.start), gap.start, human_size(MOST));
            notes.push(format!(
                "of {length} without a partition, from byte {at}, only what lies in the first {most} is kept"
            ));
        }
    }
    notes.extend(scan.note_behind(end..source.size)?);
    let runs = kept.into_iter().map(|run| Extent { offset: run.start, length: run.end - run.start });
    let runs: Vec<_> = runs.collect();
    let map = (!runs.is_empty()).then(|| ExtentMap::new(runs)).transpose()?;
    Ok(Unpartitioned { map, notes })
}

/// Entries of a GPT's backup, where its header in the last sector says: some programs put them a MiB before it, and not just
/// before it (UEFI specification, 5.3.2).
fn backup_entries(source: &Source) -> Result<Option<Range<u64>>> {
    let sector = u64::from(source.sector_size);
    let at = (source.size / sector).saturating_sub(1) * sector;
    let header = source
        .file
        .read_vec(at, 92)
        .with_context(|| format!("cannot read 92 bytes at byte {at} of {}", source.path.display()))?;
    let number = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (Some(first), Some(counts), true) = (number(72), number(80), header.starts_with(b"EFI PART")) else {
        return Ok(None);
    };
    // Number of entries, and bytes of one.
    let length = (counts & 0xffff_ffff).saturating_mul(counts >> 32);
    let start = first.saturating_mul(sector).min(at);
    Ok(Some(start..start.saturating_add(length).min(at)))
}

struct Scan<'a> {
    source: &'a Source,
    /// What the table takes.
    table: Vec<Range<u64>>,
    stop: &'a Stop,
}

impl Scan<'_> {
    /// What there is to say of what lies behind the last partition: on a disk of another size it would lie elsewhere, or
    /// not fit.
    fn note_behind(&self, gap: Range<u64>) -> Result<Option<String>> {
        let head = gap.start..gap.end.min(gap.start.saturating_add(MOST));
        let tail = head.end.max(gap.end.saturating_sub(TAIL))..gap.end;
        let found = [self.used(&head)?, self.used(&tail)?].concat();
        let bytes = human_size(found.iter().map(|run| run.end - run.start).sum());
        Ok(found.first().map(|first| {
            let at = first.start;
            format!("behind the last partition, from byte {at}, lie {bytes} of data: not kept (--raw does)")
        }))
    }

    /// Blocks of a stretch that hold anything but zeros, without what belongs to the table; neighbours are one run.
    fn used(&self, stretch: &Range<u64>) -> Result<Vec<Range<u64>>> {
        let mut used: Vec<Range<u64>> = Vec::new();
        let mut at = stretch.start;
        while at < stretch.end {
            self.stop.check()?;
            let chunk = at..stretch.end.min((at / CHUNK + 1) * CHUNK);
            // Never more than CHUNK.
            let length = (chunk.end - chunk.start) as usize;
            let bytes = self.source.file.read_vec(chunk.start, length).with_context(|| {
                format!("cannot read {length} bytes at byte {at} of {}", self.source.path.display())
            })?;
            for part in self.parts(&chunk) {
                let place = (part.start - at) as usize..(part.end - at) as usize;
                if is_zeros(&bytes[place]) {
                    continue;
                }
                match used.last_mut().filter(|last| last.end == part.start) {
                    Some(last) => last.end = part.end,
                    None => used.push(part),
                }
            }
            at = chunk.end;
        }
        Ok(used)
    }

    /// The blocks of a chunk, cut where the table begins and ends, and without it.
    fn parts(&self, chunk: &Range<u64>) -> Vec<Range<u64>> {
        let borders = self.table.iter().flat_map(|taken| [taken.start, taken.end]);
        let mut cuts: Vec<u64> = borders.filter(|cut| chunk.contains(cut)).collect();
        cuts.extend((chunk.start.next_multiple_of(BLOCK)..chunk.end).step_by(BLOCK as usize));
        cuts.extend([chunk.start, chunk.end]);
        cuts.sort_unstable();
        let free = |at: u64| self.table.iter().all(|taken| !taken.contains(&at));
        cuts.windows(2).filter(|cut| cut[0] < cut[1] && free(cut[0])).map(|cut| cut[0]..cut[1]).collect()
    }
}
