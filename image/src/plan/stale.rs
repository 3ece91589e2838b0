//! Where signatures of older uses may lie that nothing of the image overwrites: RAID superblocks, labels
//! of volume managers, copies of superblocks. What finds one takes the new file system for a part of an
//! array that is long gone.

use std::ops::Range;

use super::{Payload, Step};
use crate::extents::free_parts;

/// LUKS2 keeps its second header farthest from the beginning of all that libblkid looks for (util-linux
/// 2.41, `libblkid/src/superblocks`): up to 4 MiB. Then follows the header's first block.
const HEAD: u64 = (4 << 20) + BLOCK;
/// Promise's RAID keeps its own farthest from the end: 3087 sectors. The database of Windows' dynamic disks
/// takes the last MiB, ZFS's last two labels the last three quarters of one.
const TAIL: u64 = 2 << 20;
/// Copies of btrfs's superblock.
const BTRFS_COPIES: [u64; 3] = [64 << 20, 256 << 30, 1 << 50];
/// What holds such a copy.
const BLOCK: u64 = 4096;

/// Clears what may be stale, stretch by stretch, and nothing twice.
pub(super) struct Stale<'a> {
    payloads: &'a [Payload],
    cleared: Vec<Range<u64>>,
}

impl<'a> Stale<'a> {
    /// Leaves out what these payloads write, and what is `cleared` otherwise.
    pub(super) fn new(payloads: &'a [Payload], cleared: &[Step]) -> Self {
        let places = cleared.iter().filter_map(|step| match step {
            Step::Clear { places, .. } => Some(places),
            _ => None,
        });
        Self { payloads, cleared: places.flatten().cloned().collect() }
    }

    /// What to clear of a disk, a partition, or a gap between partitions.
    pub(super) fn clear(&mut self, stretch: Range<u64>, what: &str) -> Option<Step> {
        self.clear_places(places(&stretch), format!("old signatures {what}"))
    }

    /// Clears these places.
    pub(super) fn clear_places(
        &mut self,
        places: impl IntoIterator<Item = Range<u64>>,
        what: String,
    ) -> Option<Step> {
        let places: Vec<_> = places.into_iter().flat_map(|place| self.free_parts(&place)).collect();
        self.cleared.extend(places.iter().cloned());
        (!places.is_empty()).then_some(Step::Clear { places, what })
    }

    /// The parts of a place that nothing else writes.
    fn free_parts(&self, place: &Range<u64>) -> Vec<Range<u64>> {
        let runs = self.payloads.iter().flat_map(|payload| {
            let place_of = |offset: u64, length: u64| payload.base + offset..payload.base + offset + length;
            payload.extents.extents().iter().map(move |run| place_of(run.offset, run.length))
        });
        free_parts(place, runs.chain(self.cleared.iter().cloned()))
    }
}

/// Head, tail and known copies, in order and apart: where libblkid looks for signatures.
pub(crate) fn places(stretch: &Range<u64>) -> Vec<Range<u64>> {
    let head = stretch.start..stretch.end.min(stretch.start.saturating_add(HEAD));
    let tail = head.end.max(stretch.end.saturating_sub(TAIL))..stretch.end;
    let copies = BTRFS_COPIES.into_iter().filter_map(|at| {
        let start = stretch.start.checked_add(at)?;
        (start < tail.start).then(|| start..tail.start.min(start + BLOCK))
    });
    let mut places = vec![head.clone()];
    places.extend(copies);
    places.push(tail.clone());
    places.retain(|place| !place.is_empty());
    places
}
