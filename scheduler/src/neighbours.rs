//! How many neighbours a machine has in rooms of any size.
//!
//! Up to a full mesh, more is better: whoever knows few waits at few queues, and gets less than the others. Beyond it, more is
//! worse: each HAVE goes to all, and a fresh piece is asked of its one holder the less often the more others could be asked.
//! Whoever came last has those alone that it dialled: no fewer than 16, and three times the ln N that a room needs to hang
//! together; with fewer it would fall behind.
//!
//! Who was here first would be dialled by all that come later, so there is a most; but far above the average. Where most of
//! those who were here first are full, those who come later can only dial each other, and the room becomes a chain in the
//! order of coming. Simulated with 400 machines that dial 24 and take 52: 1.22 S/B; that dial 16 and take 64: 1.18.
//!
//! Where thin links join several sites, one machine of a site asks for a piece across, which all of the site choose alike: so
//! they should know each other. In rooms too large for a full mesh they know few of elsewhere, the far ones, and those near by
//! are a full mesh up to a third more. Simulated with 96 machines at two switches: 1.19 S/B, with neighbours by chance 3.5.
//! The far ones are at the sites that pieces come from and go on to ([`super::routes`]): with eight sites of 12 and far ones anywhere,
//! the chosen one of a piece often knew nobody there: 3.65 S/B, instead of 1.41.
//!
//! Nor all at once, where all start together: each dial to a new neighbour is a broadcast, which the switch copies to the whole
//! room. A dozen or two carry what there is then.

use std::time::Duration;

/// A machine that has just started stops dialling at a dozen connections, and at two in a room that may become a full mesh.
const FIRST: usize = 12;
/// It stays with them for so long, and then takes so many more a second.
const START: Duration = Duration::from_secs(3);
const FURTHER: f64 = 12.0;

/// A machine stops dialling to each site that pieces come from, or go on to, at so many connections. Both ends of a cable dial, so that
/// of a thousand machines none is without one, which would have nobody to leave a piece to. (When only one end dialled so many there
/// were two such machines, and 25 racks took 2.36 S/B instead of 1.29.)
pub const FAR: usize = 8;

/// The rule, for one size of a full mesh.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours {
    full_mesh: usize,
}

impl Neighbours {
    /// Rooms of so many machines are a full mesh.
    pub const fn up_to(full_mesh: usize) -> Self {
        Self { full_mesh }
    }

    /// The rule among the machines of one of several sites.
    pub const fn at_a_site(self) -> Self {
        Self::up_to(self.full_mesh * 4 / 3)
    }

    /// Connections at which a machine stops dialling, in a room of so many.
    pub fn enough(self, room: usize) -> usize {
        if room <= self.full_mesh {
            return self.full_mesh;
        }
        (self.full_mesh / 3).max((3.0 * (room as f64).ln()) as usize)
    }

    /// As [`Neighbours::enough`], for a machine that started `age` ago.
    pub fn enough_for_now(self, room: usize, age: Duration) -> usize {
        let first = if room <= self.full_mesh { 2 * FIRST } else { FIRST };
        let further = age.saturating_sub(START).as_secs_f64() * FURTHER;
        self.enough(room).min(first + further as usize)
    }

    /// Connections at which a machine takes no more: to far machines (of four sites at most those that it dials, as many that dial it, and
    /// room for chance), or to others.
    pub fn most(self, far: bool) -> usize {
        if far { 10 * FAR } else { self.full_mesh * 4 / 3 }
    }
}

/// What machines do on real links.
///
/// Each neighbour is an entry of the kernel's neighbour table, which holds 1024 by default over all network namespaces of a
/// host: more than thirty machines *on one host* need `net.ipv4.neigh.default.gc_thresh3` raised.
pub const NEIGHBOURS: Neighbours = Neighbours::up_to(FULL_MESH);

/// Machines of the largest room that is a full mesh.
pub const FULL_MESH: usize = 48;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use rand::seq::SliceRandom;

    use super::*;

    /// A room whose machines come one after the other: each dials those that take it, by chance.
    fn room(machines: usize, rule: Neighbours, seed: u64) -> Vec<Vec<usize>> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut room: Vec<Vec<usize>> = Vec::new();
        for new in 0..machines {
            let mut others: Vec<usize> =
                (0..new).filter(|&other| room[other].len() < rule.most(false)).collect();
            others.shuffle(&mut rng);
            others.truncate(rule.enough(machines));
            others.iter().for_each(|&other| room[other].push(new));
            room.push(others);
        }
        room
    }

    /// The mean number of steps between the last machine that came and all others.
    fn steps_from_last(room: &[Vec<usize>]) -> f64 {
        let mut steps = vec![usize::MAX; room.len()];
        let last = room.len() - 1;
        steps[last] = 0;
        let mut queue = VecDeque::from([last]);
        while let Some(at) = queue.pop_front() {
            for &next in &room[at] {
                if steps[next] == usize::MAX {
                    steps[next] = steps[at] + 1;
                    queue.push_back(next);
                }
            }
        }
        assert!(steps.iter().all(|s| *s < usize::MAX), "the room hangs together");
        steps.iter().sum::<usize>() as f64 / last as f64
    }

    #[test]
    fn a_room_of_a_thousand_is_few_steps_wide() {
        for seed in 0..5 {
            let steps = steps_from_last(&room(1000, NEIGHBOURS, seed));
            assert!(steps < 2.8, "{steps}");
        }
    }

    #[test]
    fn a_machine_dials_few_at_first_and_the_others_soon() {
        let after = |room, seconds| NEIGHBOURS.enough_for_now(room, Duration::from_secs(seconds));
        assert_eq!((after(10, 0), after(100, 0)), (24, 12));
        assert_eq!((after(10, 3), after(10, 4), after(10, 5)), (24, 36, FULL_MESH));
        assert_eq!(after(100, 4), NEIGHBOURS.enough(100));
    }

    #[test]
    fn a_small_room_is_a_full_mesh() {
        assert!(NEIGHBOURS.enough(FULL_MESH) >= FULL_MESH && NEIGHBOURS.most(false) > FULL_MESH);
    }
}
