//! Where the bytes of a torrent's content lie on its target.

use std::ops::Range;

use thiserror::Error;

/// A run of used bytes on a target (a partition, or a whole disk).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Byte offset on the target.
    pub offset: u64,
    /// Length in bytes, never 0.
    pub length: u64,
}

/// The parts of a stretch that nothing of what is `taken` covers, in order.
pub(crate) fn free_parts(
    stretch: &Range<u64>,
    taken: impl IntoIterator<Item = Range<u64>>,
) -> Vec<Range<u64>> {
    let mut taken: Vec<_> =
        taken.into_iter().filter(|run| run.start < stretch.end && stretch.start < run.end).collect();
    taken.sort_by_key(|run| run.start);
    let mut free = Vec::new();
    let mut at = stretch.start;
    for run in taken {
        if at < run.start {
            free.push(at..run.start);
        }
        at = at.max(run.end);
    }
    if at < stretch.end {
        free.push(at..stretch.end);
    }
    free
}

/// Why a list of runs cannot be laid on a target.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExtentError {
    /// A run of no bytes, or one whose end does not fit 64 bits.
    #[error("run {index} at byte {offset} has an impossible length of {length} bytes")]
    BadLength {
        /// Position in the list, from 0.
        index: usize,
        /// Byte offset on the target.
        offset: u64,
        /// Length in bytes.
        length: u64,
    },
    /// Two runs claim the same bytes of the target.
    #[error("two runs claim byte {offset} of the target")]
    Overlap {
        /// First byte that both claim.
        offset: u64,
    },
}

/// What comes next in a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A run of used bytes.
    Used(Extent),
    /// So many zeros that are nowhere on the target: they bring what follows to the beginning of a piece (BEP 47).
    Padding(u64),
}

/// A part of a content that lies in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Byte offset on the target; none for padding.
    pub offset: Option<u64>,
    /// Length in bytes, never 0.
    pub length: u64,
}

/// The runs of one content, in content order, with the padding between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentMap {
    extents: Vec<Extent>,
    /// `starts[i]` is the content offset at which `extents[i]` begins.
    starts: Vec<u64>,
    total_length: u64,
    /// Do the runs lie on the target in the order of the content?
    in_order: bool,
}

impl ExtentMap {
    /// Checks the runs of a content without padding and computes where each begins in it.
    ///
    /// # Errors
    /// A run is empty or too long, or two runs overlap on the target.
    pub fn new(extents: Vec<Extent>) -> Result<Self, ExtentError> {
        Self::of_parts(extents.into_iter().map(Part::Used))
    }

    /// Checks what a content consists of, in its order, and computes where each run begins in it.
    ///
    /// # Errors
    /// As [`ExtentMap::new`].
    pub fn of_parts(parts: impl IntoIterator<Item = Part>) -> Result<Self, ExtentError> {
        let (mut extents, mut starts, mut total_length) = (Vec::new(), Vec::new(), 0u64);
        for part in parts {
            let (Part::Used(Extent { length, .. }) | Part::Padding(length)) = part;
            let offset = if let Part::Used(extent) = part { extent.offset } else { 0 };
            let bad = ExtentError::BadLength { index: extents.len(), offset, length };
            let end = total_length.checked_add(length);
            let (false, Some(_), Some(end)) = (length == 0, offset.checked_add(length), end) else {
                return Err(bad);
            };
            if let Part::Used(extent) = part {
                starts.push(total_length);
                extents.push(extent);
            }
            total_length = end;
        }
        let mut by_offset = extents.clone();
        by_offset.sort_unstable_by_key(|e| e.offset);
        for pair in by_offset.windows(2) {
            if pair[0].offset + pair[0].length > pair[1].offset {
                return Err(ExtentError::Overlap { offset: pair[1].offset });
            }
        }
        let in_order = extents == by_offset;
        Ok(Self { extents, starts, total_length, in_order })
    }

    /// One run of `length` bytes from offset 0: a raw image.
    ///
    /// # Errors
    /// `length` is 0.
    pub fn contiguous(length: u64) -> Result<Self, ExtentError> {
        Self::new(vec![Extent { offset: 0, length }])
    }

    /// The runs in content order.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Bytes of content in all.
    #[must_use]
    pub fn total_length(&self) -> u64 {
        self.total_length
    }

    /// First byte behind the last used byte of the target.
    #[must_use]
    pub fn target_end(&self) -> u64 {
        self.extents.iter().map(|e| e.offset + e.length).max().unwrap_or(0)
    }

    /// What of the content lies at the bytes `offset .. offset + length` of the target. Each item is `(offset in the
    /// content, offset on the target, length in bytes)`.
    pub fn content_at(&self, offset: u64, length: u64) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let end = offset.saturating_add(length);
        // An image has tens of thousands of runs: only some of them are looked at, if they lie in order.
        let first = self.extents.partition_point(|run| self.in_order && run.offset + run.length <= offset);
        let runs = self.extents[first..].iter().take_while(move |run| !self.in_order || run.offset < end);
        runs.zip(&self.starts[first..]).filter_map(move |(run, begin)| {
            let from = offset.max(run.offset);
            let to = end.min(run.offset + run.length);
            (from < to).then(|| (begin + (from - run.offset), from, to - from))
        })
    }

    /// Where the content bytes `start .. start + length` lie, in content order; what is behind the end of the content is not
    /// there.
    pub fn slices(&self, start: u64, length: u64) -> impl Iterator<Item = Slice> + '_ {
        let end = start.saturating_add(length).min(self.total_length);
        let mut at = start;
        std::iter::from_fn(move || {
            let after = self.starts.partition_point(|&s| s <= at);
            let before = after.checked_sub(1).map(|i| (self.starts[i], self.extents[i]));
            let (offset, until) = match before {
                Some((begins, run)) if at - begins < run.length => {
                    (Some(run.offset + (at - begins)), begins + run.length)
                }
                _ => (None, self.starts.get(after).copied().unwrap_or(end)),
            };
            let length = until.min(end).checked_sub(at).filter(|&length| length > 0)?;
            at += length;
            Some(Slice { offset, length })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_empty_and_overlapping_runs() {
        assert!(matches!(
            ExtentMap::new(vec![Extent { offset: 0, length: 0 }]),
            Err(ExtentError::BadLength { index: 0, .. })
        ));
        assert_eq!(
            ExtentMap::new(vec![Extent { offset: 8, length: 8 }, Extent { offset: 0, length: 9 }]),
            Err(ExtentError::Overlap { offset: 8 })
        );
    }

    proptest! {
        #[test]
        fn slices_cover_the_content_byte_for_byte(
            lengths in prop::collection::vec((1u64..50, 0u64..20, prop::option::of(1u64..50)), 1..20),
            start in 0u64..600, length in 0u64..600,
        ) {
            let mut offset = 0;
            let (mut parts, mut bytes) = (Vec::new(), Vec::new());
            for (length, gap, padding) in lengths {
                let run = Extent { offset: offset + gap, length };
                offset = run.offset + length;
                bytes.extend((run.offset..offset).map(Some));
                bytes.extend((0..padding.unwrap_or(0)).map(|_| None));
                parts.push(Part::Used(run));
                parts.extend(padding.map(Part::Padding));
            }
            let map = ExtentMap::of_parts(parts).unwrap();
            prop_assert_eq!(map.total_length(), bytes.len() as u64);
            let got: Vec<Option<u64>> = map
                .slices(start, length)
                .flat_map(|s| (0..s.length).map(move |i| s.offset.map(|offset| offset + i)))
                .collect();
            let want: Vec<_> = bytes.iter().copied().skip(start as usize).take(length as usize).collect();
            prop_assert_eq!(&got, &want);
            // And back: each of these bytes is where it came from.
            for (at, offset) in (start..).zip(got).filter_map(|(at, offset)| Some((at, offset?))) {
                prop_assert_eq!(map.content_at(offset, 1).collect::<Vec<_>>(), [(at, offset, 1)]);
            }
        }
    }
}
