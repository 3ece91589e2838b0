//! Two trees over the same members, for what has not left the server: one for the even pieces of a torrent, one for the odd.
//!
//! Whoever passes on in one tree is a leaf of the other, and nobody has more than two children: all send as much as they
//! receive. A piece is with everybody after about log2 N steps, and no piece competes with older ones on its way. (Trees
//! whose inner nodes differ: SplitStream, Castro et al. 2003.)

use super::event::ConnId;

/// Where one member is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// Who passes the even pieces on to it, and who the odd; none: the server.
    pub(super) parents: [Option<ConnId>; 2],
    /// To whom it passes on.
    pub(super) children: [Option<ConnId>; 2],
}

/// A place for each member.
///
/// Each tree is a heap: the parent of slot `s` is in slot `(s - 1) / 2`. Every second member passes on in the one, the others
/// in the other; who does not is below all who do.
pub(super) fn grow(members: &[ConnId]) -> Vec<Spot> {
    let mut spots = vec![Spot::default(); members.len()];
    for tree in 0..2 {
        let inner = (0..members.len()).skip(tree).step_by(2);
        let leaves = (0..members.len()).skip(1 - tree).step_by(2);
        let heap: Vec<usize> = inner.chain(leaves).collect();
        for slot in 1..heap.len() {
            let (child, parent) = (heap[slot], heap[(slot - 1) / 2]);
            spots[child].parents[tree] = Some(members[parent]);
            spots[parent].children[(slot - 1) % 2] = Some(members[child]);
        }
    }
    spots
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Everybody is reached in few steps, and has two children at most, all in one tree.
    #[test]
    fn all_are_reached_in_few_steps_and_send_no_more_than_they_get() {
        for count in (1..70).chain([1000, 1001]) {
            let members: Vec<ConnId> = (0..count).map(|n| ConnId(7 * n)).collect();
            let spots: HashMap<_, _> = members.iter().copied().zip(grow(&members)).collect();
            let mut roots = [0, 0];
            let mut fed = 0;
            for member in &members {
                fed += spots[member].children.iter().flatten().count();
                for (tree, roots) in roots.iter_mut().enumerate() {
                    match spots[member].parents[tree] {
                        Some(parent) => assert!(spots[&parent].children.contains(&Some(*member)), "{count}"),
                        None => *roots += 1,
                    }
                    let (mut at, mut steps) = (Some(*member), 0);
                    while let Some(member) = at {
                        at = spots[&member].parents[tree];
                        steps += 1;
                        assert!(steps <= count.ilog2() + 1, "{count}: {steps} steps");
                    }
                }
            }
            assert_eq!(roots, [1, 1], "{count}");
            assert_eq!(fed, 2 * (members.len() - 1), "nobody is a child twice");
        }
    }
}
