//! A set of pieces, one bit each.

/// A set of numbers below a fixed bound; knows how many it holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: u32,
    ones: u32,
}

impl Bits {
    /// The empty set of numbers below `len`.
    pub(super) fn new(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len, ones: 0 }
    }

    pub(super) fn get(&self, i: u32) -> bool {
        self.words.get(i as usize / 64).is_some_and(|w| w >> (i % 64) & 1 == 1)
    }

    /// Adds a number; whether it is new. Numbers beyond the bound are not added.
    pub(super) fn set(&mut self, i: u32) -> bool {
        if i >= self.len || self.get(i) {
            return false;
        }
        self.words[i as usize / 64] |= 1 << (i % 64);
        self.ones += 1;
        true
    }

    /// Takes a number out; whether it was there.
    pub(super) fn clear(&mut self, i: u32) -> bool {
        if !self.get(i) {
            return false;
        }
        self.words[i as usize / 64] &= !(1 << (i % 64));
        self.ones -= 1;
        true
    }

    /// The bound.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn count(&self) -> u32 {
        self.ones
    }

    /// Adds all of another set with the same bound.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
        self.ones = self.words.iter().map(|w| w.count_ones()).sum();
    }

    /// All numbers in the set, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| ones(at, word))
    }

    /// Calls `visit` with the numbers that are in both sets, rising, among the first `window` numbers of `self` from `from` on
    /// (rounded up to whole words).
    pub(super) fn each_common(&self, other: &Self, from: u32, window: u32, visit: impl FnMut(u32)) {
        each_in_window(self.words.iter().copied().zip(other.words.iter().copied()), from, window, visit);
    }

    /// As [`Bits::each_common`], with the numbers in this set among the first `window` that are missing in `other`.
    pub(super) fn each_missing(&self, other: &Self, from: u32, window: u32, visit: impl FnMut(u32)) {
        let missing = other.words.iter().map(|word| !word);
        each_in_window(missing.zip(self.words.iter().copied()), from, window, visit);
    }

    /// The first number in the set, searching from `from` on.
    pub(super) fn first_from(&self, from: u32) -> Option<u32> {
        let first = from as usize / 64;
        let masked = |(at, &word): (usize, &u64)| {
            (at, if at == first { word & (u64::MAX << (from % 64)) } else { word })
        };
        let (at, word) = self.words.iter().enumerate().skip(first).map(masked).find(|(_, w)| *w != 0)?;
        Some((at * 64) as u32 + word.trailing_zeros())
    }
}

/// Visits what is in both words of each pair, among the first `window` ones of the first words from `from` on.
fn each_in_window(
    words: impl Iterator<Item = (u64, u64)>,
    from: u32,
    window: u32,
    mut visit: impl FnMut(u32),
) {
    let (first, mut left) = (from as usize / 64, window);
    for (at, (sought, there)) in words.enumerate().skip(first) {
        let sought = if at == first { sought & (u64::MAX << (from % 64)) } else { sought };
        ones(at, sought & there).for_each(&mut visit);
        left = left.saturating_sub(sought.count_ones());
        if left == 0 {
            break;
        }
    }
}

fn ones(at: usize, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros();
        word &= word - 1;
        Some((at * 64) as u32 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn is_a_set(ops in proptest::collection::vec((0u32..300, any::<bool>()), 0..400), other in proptest::collection::btree_set(0u32..300, 0..200), from in 0u32..300) {
            let (mut bits, mut model) = (Bits::new(300), BTreeSet::new());
            for (i, add) in ops {
                if add { prop_assert_eq!(bits.set(i), model.insert(i)); } else { prop_assert_eq!(bits.clear(i), model.remove(&i)); }
            }
            prop_assert_eq!(bits.count() as usize, model.len());
            prop_assert!(bits.iter().eq(model.iter().copied()));
            let mut theirs = Bits::new(300);
            other.iter().for_each(|&i| { theirs.set(i); });
            let mut common = vec![];
            bits.each_common(&theirs, 0, u32::MAX, |i| common.push(i));
            prop_assert!(common.iter().eq(model.intersection(&other)));
            let mut missing = vec![];
            bits.each_missing(&theirs, from, u32::MAX, |i| missing.push(i));
            prop_assert!(missing.iter().eq(model.range(from..).filter(|i| !other.contains(i))));
            missing.clear();
            bits.each_missing(&theirs, from, 1, |i| missing.push(i));
            let first = (from..300).find(|i| !other.contains(i)).unwrap_or(300) / 64;
            prop_assert!(missing.iter().eq(model.range(from..(first + 1) * 64).filter(|i| !other.contains(i))));
            prop_assert_eq!(bits.first_from(from), model.range(from..).next().copied());
            prop_assert!(!bits.set(300));
        }
    }
}
