//! Two trees over the same members, for what has not left the server: one for the even pieces of a torrent, one for the odd.
//!
//! Whoever passes on in one tree is a leaf of the other, and nobody has more than two children: all send as much as they
//! receive. A piece is with everybody after about log2 N steps, and no piece competes with older ones on its way. (Trees
//! whose inner nodes differ: SplitStream, Castro et al. 2003.)

use std::collections::HashMap;

use super::event::ConnId;

/// Where one member is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// Who passes the even pieces on to it, and who the odd; none: the server.
    pub(super) parents: [Option<ConnId>; 2],
    /// To whom it passes on.
    pub(super) children: [Option<ConnId>; 2],
}

/// One tree: a heap, the parent of slot `s` in slot `(s - 1) / 2`, that of slot 0 the server.
#[derive(Debug, Default)]
struct Tree {
    slots: Vec<ConnId>,
    /// The first so many slots are of those who pass on; the others are leaves.
    inner: usize,
}

/// Both trees, and everybody's slots in them.
#[derive(Debug, Default)]
pub(super) struct Forest {
    trees: [Tree; 2],
    slots: HashMap<ConnId, [usize; 2]>,
}

impl Forest {
    pub(super) fn members(&self) -> impl Iterator<Item = ConnId> {
        self.trees[0].slots.iter().copied()
    }

    /// To whom the server itself sends the even pieces, and to whom the odd.
    pub(super) fn roots(&self) -> [Option<ConnId>; 2] {
        [0, 1].map(|tree| self.trees[tree].slots.first().copied())
    }

    /// A member comes. It passes on in the tree that has fewer who do, and takes the place of its first leaf, which goes to
    /// the end. Those whose spots are new, at most six.
    pub(super) fn join(&mut self, member: ConnId) -> Vec<ConnId> {
        let own = usize::from(self.trees[0].inner > self.trees[1].inner);
        let (last, first_leaf) = (self.slots.len(), self.trees[own].inner);
        self.trees.iter_mut().for_each(|tree| tree.slots.push(member));
        self.trees[own].slots.swap(first_leaf, last);
        self.trees[own].inner += 1;
        let mut changed = Vec::new();
        for (tree, slot) in [(own, first_leaf), (own, last), (1 - own, last)] {
            let slots = &self.trees[tree].slots;
            self.slots.entry(slots[slot]).or_default()[tree] = slot;
            changed.push(slots[slot]);
            changed.extend(slot.checked_sub(1).map(|s| slots[s / 2]));
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    pub(super) fn spot(&self, member: ConnId) -> Option<Spot> {
        let slots = self.slots.get(&member)?;
        let mut spot = Spot::default();
        for ((tree, &slot), parent) in self.trees.iter().zip(slots).zip(&mut spot.parents) {
            *parent = slot.checked_sub(1).map(|s| tree.slots[s / 2]);
            if slot < tree.inner {
                spot.children = [1, 2].map(|n| tree.slots.get(2 * slot + n).copied());
            }
        }
        Some(spot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody is reached in few steps, and has two children at most, all in one tree.
    fn check(forest: &Forest) {
        let count = forest.members().count();
        let spot = |member| forest.spot(member).unwrap();
        let (mut roots, mut fed) = ([0, 0], 0);
        for member in forest.members() {
            fed += spot(member).children.iter().flatten().count();
            for (tree, roots) in roots.iter_mut().enumerate() {
                match spot(member).parents[tree] {
                    Some(parent) => assert!(spot(parent).children.contains(&Some(member)), "{count}"),
                    None => *roots += 1,
                }
                let (mut at, mut steps) = (Some(member), 0);
                while let Some(member) = at {
                    at = spot(member).parents[tree];
                    steps += 1;
                    assert!(steps <= count.ilog2() + 1, "{count}: {steps} steps");
                }
            }
        }
        assert_eq!(roots, [1, 1], "{count}");
        assert_eq!(fed, 2 * (count - 1), "nobody is a child twice");
    }

    #[test]
    fn all_are_reached_in_few_steps_and_send_no_more_than_they_get() {
        let mut forest = Forest::default();
        let mut spots = HashMap::new();
        for member in (0..300).map(ConnId) {
            let changed = forest.join(member);
            assert!(changed.len() <= 6, "{changed:?}");
            check(&forest);
            for member in forest.members() {
                let spot = forest.spot(member);
                assert!(spots.insert(member, spot) == Some(spot) || changed.contains(&member));
            }
        }
    }
}
