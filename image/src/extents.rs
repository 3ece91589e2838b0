//! Where the bytes of a torrent's content lie on its target.

use thiserror::Error;

/// A run of used bytes on a target (a partition, or a whole disk).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Byte offset on the target.
    pub offset: u64,
    /// Length in bytes, never 0.
    pub length: u64,
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

/// The runs of one content, in content order: byte 0 of the content is the first byte of the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentMap {
    extents: Vec<Extent>,
    /// `starts[i]` is the content offset at which `extents[i]` begins.
    starts: Vec<u64>,
    total_length: u64,
}

impl ExtentMap {
    /// Checks the runs and computes where each begins in the content.
    ///
    /// # Errors
    /// A run is empty or too long, or two runs overlap on the target.
    pub fn new(extents: Vec<Extent>) -> Result<Self, ExtentError> {
        let mut starts = Vec::with_capacity(extents.len());
        let mut total_length = 0u64;
        for (index, &Extent { offset, length }) in extents.iter().enumerate() {
            let bad = ExtentError::BadLength { index, offset, length };
            if length == 0 || offset.checked_add(length).is_none() {
                return Err(bad);
            }
            starts.push(total_length);
            total_length = total_length.checked_add(length).ok_or(bad)?;
        }
        let mut by_offset = extents.clone();
        by_offset.sort_unstable_by_key(|e| e.offset);
        for pair in by_offset.windows(2) {
            if pair[0].offset + pair[0].length > pair[1].offset {
                return Err(ExtentError::Overlap { offset: pair[1].offset });
            }
        }
        Ok(Self { extents, starts, total_length })
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

    /// The parts of the target that hold content bytes `start .. start + length`, in content order.
    /// Each item is `(index of the run, offset on the target, length in bytes)`; what lies behind
    /// the end of the content is not there.
    pub fn slices(&self, start: u64, length: u64) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        let end = start.saturating_add(length).min(self.total_length);
        let first = self.starts.partition_point(|&s| s <= start).saturating_sub(1);
        (first..self.extents.len()).map_while(move |i| {
            let run_start = self.starts[i];
            let run = self.extents[i];
            let from = start.max(run_start);
            let to = end.min(run_start + run.length);
            (from < to).then(|| (i, run.offset + (from - run_start), to - from))
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
            lengths in prop::collection::vec((1u64..50, 0u64..20), 1..20),
            start in 0u64..600, length in 0u64..600,
        ) {
            let mut offset = 0;
            let mut bytes = Vec::new();
            let extents: Vec<_> = lengths.iter().map(|&(length, gap)| {
                let e = Extent { offset: offset + gap, length };
                bytes.extend(e.offset..e.offset + length);
                offset = e.offset + length;
                e
            }).collect();
            let map = ExtentMap::new(extents).unwrap();
            let got: Vec<u64> = map.slices(start, length).flat_map(|(_, o, l)| o..o + l).collect();
            let want: Vec<u64> = bytes.iter().copied().skip(start as usize).take(length as usize).collect();
            prop_assert_eq!(got, want);
        }
    }
}
