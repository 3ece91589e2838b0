//! How pieces travel between sites.
//!
//! Few sites are a ring in the order of their numbers, each of which pieces go on to the next: so each cable carries a piece once each way,
//! in a star of switches as in a chain. Each step takes its time, though, and many sites would make a long ring.
//!
//! So many sites are two trees, for the even and for the odd pieces, as the members of a large room are ([`super::place`]): a site that
//! passes each piece on to two others would have to send more than it gets, so who passes on in one tree is a leaf of the other. The
//! trees are balanced search trees over the sites in their order: in one those with an even place there pass on, in the other those
//! with an odd one; whoever is left alone is a leaf in both. Of a chain of switches some cables carry a piece two or three times.

use std::collections::{BTreeMap, BTreeSet};

use super::geometry::PieceId;

/// A place with fast links inside: the clients of one switch. Numbered by the operator's table, or by who found it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u16);

impl SiteId {
    /// Where somebody is of whom nobody has said where.
    pub const ELSEWHERE: Self = Self(u16::MAX);
}

/// The sites that one site has to do with in one tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Those that pieces come from.
    pub from: BTreeSet<SiteId>,
    /// Those that pieces go on to.
    pub to: BTreeSet<SiteId>,
}

/// The same in both trees: that of the even pieces, and that of the odd ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(pub [Route; 2]);

impl Routes {
    /// The routes of each of these sites, which are those that have members; pieces begin at the server's own, if it is one of them.
    /// Up to `ring` sites are a ring.
    pub fn of_all(server: Option<SiteId>, sites: &BTreeSet<SiteId>, ring: u32) -> BTreeMap<SiteId, Self> {
        let mut routes: BTreeMap<SiteId, Self> = sites.iter().map(|site| (*site, Self::default())).collect();
        let order = order(server, sites);
        for tree in 0..2 {
            for (from, to) in steps(tree, &order, ring) {
                routes.entry(from).or_default().0[tree].to.insert(to);
                routes.entry(to).or_default().0[tree].from.insert(from);
            }
        }
        routes
    }

    /// Whether nobody has said how pieces travel.
    pub(super) fn are_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The route of a piece.
    pub fn of(&self, piece: PieceId) -> &Route {
        &self.0[piece.0 as usize % 2]
    }

    /// Whether pieces go on to this site.
    pub(super) fn lead_to(&self, site: SiteId) -> bool {
        self.0.iter().any(|route| route.to.contains(&site))
    }

    /// All sites that pieces come from or go to.
    pub fn sites(&self) -> BTreeSet<SiteId> {
        self.0.iter().flat_map(|route| route.from.iter().chain(&route.to)).copied().collect()
    }
}

/// Where pieces begin: at the first site, and in a ring at the second as well, since what comes from there has not
/// crossed any cable twice before it is back. So each site sends about as much as it gets.
pub(super) fn beginnings(server: Option<SiteId>, sites: &BTreeSet<SiteId>, ring: u32) -> BTreeSet<SiteId> {
    let begin = if sites.len() <= ring as usize { 2 } else { 1 };
    order(server, sites).into_iter().take(begin).collect()
}

/// The sites in their order, from the server's own on, if it is one of them.
fn order(server: Option<SiteId>, sites: &BTreeSet<SiteId>) -> Vec<SiteId> {
    let first = server.filter(|own| sites.contains(own));
    let (lower, higher): (Vec<SiteId>, Vec<SiteId>) = sites.iter().partition(|site| Some(**site) < first);
    [higher, lower].concat()
}

/// The steps of a tree, or of the ring, each from a site to another.
fn steps(tree: usize, order: &[SiteId], ring: u32) -> Vec<(SiteId, SiteId)> {
    let Some((&first, others)) = order.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Vec::new();
    };
    if order.len() <= ring as usize {
        return order.iter().copied().zip(others.iter().copied().chain([first])).collect();
    }
    let mut steps = Vec::new();
    grow(tree, first, others, 0, &mut steps);
    // What began elsewhere, before it was known who is where, goes up as well.
    let back: Vec<_> = steps.iter().map(|(from, to)| (*to, *from)).collect();
    [steps, back].concat()
}

/// Puts sites, the first of which has this `place` among all, below another one.
fn grow(tree: usize, above: SiteId, sites: &[SiteId], place: usize, steps: &mut Vec<(SiteId, SiteId)>) {
    let middle = match sites.len() {
        0 => return,
        1 => 0,
        // One that passes on in this tree.
        all if (place + all / 2) % 2 == tree => all / 2,
        all => all / 2 - 1,
    };
    steps.push((above, sites[middle]));
    grow(tree, sites[middle], &sites[..middle], place, steps);
    grow(tree, sites[middle], &sites[middle + 1..], place + middle + 1, steps);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rooms of up to so many sites, and each of them as the first.
    fn rooms(most: u16) -> impl Iterator<Item = (SiteId, BTreeSet<SiteId>)> {
        let sites = |count: u16| (0..count).map(|number| SiteId(3 * number)).collect::<BTreeSet<_>>();
        (1..most).flat_map(move |count| {
            sites(count).into_iter().map(move |first| (first, sites(count))).collect::<Vec<_>>()
        })
    }

    /// How many steps a piece has come to each site.
    fn depths(tree: usize, first: SiteId, sites: &BTreeSet<SiteId>, ring: u32) -> BTreeMap<SiteId, u32> {
        let routes = Routes::of_all(Some(first), sites, ring);
        let (mut depths, mut open) = (BTreeMap::from([(first, 0)]), vec![first]);
        while let Some(site) = open.pop() {
            for to in &routes[&site].0[tree].to {
                if !depths.contains_key(to) {
                    depths.insert(*to, depths[&site] + 1);
                    open.push(*to);
                }
            }
        }
        depths
    }

    #[test]
    fn a_piece_reaches_every_site_and_in_trees_in_few_steps() {
        for (first, sites) in rooms(50) {
            for tree in 0..2 {
                assert_eq!(depths(tree, first, &sites, 50).len(), sites.len());
                let depths = depths(tree, first, &sites, 0);
                assert_eq!(depths.len(), sites.len());
                let most = 2 + usize::BITS - sites.len().leading_zeros();
                assert!(depths.values().all(|depth| *depth <= most), "{} sites: {depths:?}", sites.len());
            }
        }
    }

    #[test]
    fn who_passes_on_in_one_tree_is_a_leaf_of_the_other() {
        for (first, sites) in rooms(50) {
            for (site, routes) in Routes::of_all(Some(first), &sites, 0) {
                assert!(routes.0.iter().all(|route| route.from == route.to), "up and down");
                let [even, odd] = routes.0.each_ref().map(|route| route.to.len());
                let (least, most) = (even.min(odd), even.max(odd));
                if site == first {
                    assert_eq!((least, most), (sites.len().min(2) - 1, sites.len().min(2) - 1));
                } else {
                    assert!(least == 1 && most <= 3, "{site:?} of {sites:?}");
                }
            }
        }
    }

    #[test]
    fn few_sites_are_a_ring_and_pieces_begin_at_two_of_them() {
        let sites: BTreeSet<SiteId> = [2, 5, 7].map(SiteId).into();
        let routes = Routes::of_all(Some(SiteId(5)), &sites, 3);
        for (before, site, after) in [(7, 2, 5), (2, 5, 7), (5, 7, 2)] {
            for route in &routes[&SiteId(site)].0 {
                assert_eq!((&route.from, &route.to), (&[SiteId(before)].into(), &[SiteId(after)].into()));
            }
        }
        assert_eq!(beginnings(Some(SiteId(5)), &sites, 3), [5, 7].map(SiteId).into());
        assert_eq!(beginnings(Some(SiteId(7)), &sites, 3), [7, 2].map(SiteId).into());
        assert_eq!(beginnings(Some(SiteId(7)), &sites, 2), [SiteId(7)].into());
        let alone = [SiteId(4)].into();
        assert_eq!(beginnings(Some(SiteId(4)), &alone, 3), alone);
        assert!(Routes::of_all(Some(SiteId(4)), &alone, 3)[&SiteId(4)].are_unknown());
    }
}
