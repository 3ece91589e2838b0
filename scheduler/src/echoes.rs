//! What the server knows of the members' probes ([`super::probe`]): which of them came back soon, and which late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::Echo;
use super::parts::Times;
use super::routes::SiteId;
use super::tuning::Tuning;

/// How long echoes took.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    /// In seconds, by who sent the probe, and who answered.
    times: BTreeMap<u64, BTreeMap<u64, f64>>,
    /// There are some that were not looked at yet.
    fresh: bool,
    looked: Duration,
}

impl Echoes {
    /// A member tells of its echoes, anew; or, where it was sent to others, of these too.
    pub(super) fn tell<'a>(&mut self, from: u64, anew: bool, echoes: impl Iterator<Item = &'a Echo>) {
        let times = self.times.entry(from).or_default();
        if anew {
            times.clear();
        }
        times.extend(echoes.map(|echo| (echo.member, echo.time.as_secs_f64())));
        self.fresh = true;
    }

    /// Whether there are some that were not looked at yet.
    pub(super) fn are_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether it is time to look at what is new; it is looked at, then.
    pub(super) fn look(&mut self, now: Duration, t: &Tuning, machines: u32) -> bool {
        let pause = t.probe_look.max(t.echoes_for_each * machines);
        let told = self.times.values().filter(|times| !times.is_empty()).count();
        let looks = self.fresh
            && now.saturating_sub(self.looked) >= pause
            && told as f64 >= t.probe_told * f64::from(machines);
        if looks {
            (self.fresh, self.looked) = (false, now);
        }
        looks
    }

    /// Who has sent probes, or answered them.
    pub(super) fn members(&self) -> BTreeSet<u64> {
        self.times.iter().flat_map(|(from, times)| times.keys().chain([from])).copied().collect()
    }

    /// The parts of this group between which there is a thin link, if there is one; whether its machines are `busy` by now.
    pub(super) fn parts(&self, group: &BTreeSet<u64>, busy: bool, t: &Tuning) -> Option<Vec<BTreeSet<u64>>> {
        let all = self.times.iter().flat_map(|(&a, times)| times.iter().map(move |(&b, &time)| (a, b, time)));
        Times::new(group, busy, all).parts(t)
    }

    /// The site that one echo of a member came from soonest: who is near may be busy, but not all of them always, and who is far is farther
    /// even where no cable has a queue.
    pub(super) fn soonest(&self, member: u64, sites: &BTreeMap<u64, SiteId>) -> Option<SiteId> {
        let there =
            self.times.get(&member)?.iter().filter_map(|(other, time)| Some((time, sites.get(other)?)));
        there.min_by(|a, b| a.0.total_cmp(b.0)).map(|(_, site)| *site)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// What a server hears in a room of 38 where each has probed twenty, and what parts that shows.
    fn parts(
        seed: u64,
        busy: bool,
        millis: impl Fn(&mut SmallRng, u64, u64) -> f64,
    ) -> Option<Vec<BTreeSet<u64>>> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut echoes = Echoes::default();
        for from in 0..38 {
            let mut echo = |_| {
                let member = (from + rng.random_range(1..38)) % 38;
                Echo { member, time: Duration::from_secs_f64(millis(&mut rng, from, member) / 1e3) }
            };
            echoes.tell(from, true, (0..20).map(&mut echo).collect::<Vec<_>>().iter());
        }
        assert!(echoes.look(Duration::from_secs(1), &Tuning::default(), 38));
        echoes.parts(&echoes.members(), busy, &Tuning::default())
    }

    /// At one of so many switches; a cable is often empty.
    fn at_switches(rng: &mut SmallRng, switches: u64, a: u64, b: u64) -> f64 {
        match (a * switches / 38 == b * switches / 38, rng.random_bool(0.05)) {
            (true, _) => rng.random_range(0.0_f64..1.0).powi(4) * 40.0 + 0.1,
            (false, true) => rng.random_range(0.2..20.0),
            (false, false) => rng.random_range(30.0..600.0),
        }
    }

    #[test]
    fn one_look_shows_two_switches_and_three() {
        for seed in 0..50 {
            for switches in [2, 3] {
                let time = |rng: &mut SmallRng, a, b| at_switches(rng, switches, a, b);
                let parts = parts(seed, false, time).unwrap();
                let pure = |part: &BTreeSet<u64>| {
                    let at: BTreeSet<u64> = part.iter().map(|member| member * switches / 38).collect();
                    at.len() == 1
                };
                assert!(parts.iter().all(pure), "{seed}: {parts:?}");
                assert!(parts.iter().map(BTreeSet::len).sum::<usize>() >= 34, "{seed}: {parts:?}");
            }
        }
    }

    #[test]
    fn neither_chance_nor_slow_machines_nor_late_ones_are_switches() {
        for seed in 0..200 {
            let quick = |rng: &mut SmallRng| (rng.random_range(0.0_f64..1.0).powi(4) * 100.0).max(0.1);
            let slow = |machine: u64| machine.is_multiple_of(5);
            for busy in [false, true] {
                let chance = parts(seed, busy, |rng, _, _| quick(rng));
                assert_eq!(chance, None, "{seed}");
                let some = |rng: &mut SmallRng, a, b| if slow(a) || slow(b) { 300.0 } else { quick(rng) };
                assert_eq!(parts(seed, busy, some), None, "{seed}");
                // Those that came at the same time, and wait for each other.
                let early = |rng: &mut SmallRng, a, b| match a < 19 && b < 19 {
                    true => rng.random_range(30.0..60.0),
                    false => rng.random_range(1.0..25.0),
                };
                assert_eq!(parts(seed, busy, early), None, "{seed}");
            }
        }
    }

    #[test]
    fn who_has_met_some_of_each_site_goes_to_the_soonest() {
        let sites: BTreeMap<u64, SiteId> = (0..6).map(|m| (m, SiteId((m / 3) as u16))).collect();
        let mut echoes = Echoes::default();
        assert_eq!(echoes.soonest(9, &sites), None);
        let times = [40, 3, 4, 60, 50, 2].into_iter().enumerate();
        let told: Vec<Echo> =
            times.map(|(m, ms)| Echo { member: m as u64, time: Duration::from_millis(ms) }).collect();
        echoes.tell(9, true, told.iter());
        assert_eq!(echoes.soonest(9, &sites), Some(SiteId(1)));
    }

    #[test]
    fn it_looks_once_at_what_is_new_when_most_have_told_and_not_too_often() {
        let t = Tuning::default();
        let mut echoes = Echoes::default();
        let some = [1, 2].map(|member| Echo { member, time: Duration::from_millis(member) });
        let at = |looks: f64| t.probe_look.mul_f64(looks);
        assert!(!echoes.look(at(1.0), &t, 1), "nothing");
        echoes.tell(0, true, some.iter());
        assert!(!echoes.look(at(1.0), &t, 2), "too few");
        assert!(echoes.look(at(1.0), &t, 1));
        assert!(!echoes.look(at(3.0), &t, 1), "nothing new");
        (1..200).for_each(|member| echoes.tell(member, true, some.iter()));
        assert!(!echoes.look(at(1.5), &t, 1), "too soon");
        assert!(!echoes.look(at(2.0), &t, 200), "too soon for so many");
        assert!(echoes.look(at(3.0), &t, 200));
    }
}
