//! What the server knows of the members' probes ([`super::probe`]): which of them came back soon, and which late.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::Echo;
use super::flows::Nearness;
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
    /// A member tells of its echoes, anew.
    pub(super) fn replace<'a>(&mut self, from: u64, echoes: impl Iterator<Item = &'a Echo>) {
        self.times.insert(from, echoes.map(|echo| (echo.member, echo.time.as_secs_f64())).collect());
        self.fresh = true;
    }

    /// Whether there are some that were not looked at yet.
    pub(super) fn are_fresh(&self) -> bool {
        self.fresh
    }

    /// Who may be near by what is new, if it is time to look.
    pub(super) fn look(&mut self, now: Duration, t: &Tuning, machines: u32) -> Vec<Nearness> {
        let pause = t.probe_look.max(t.look_for_each * machines);
        let told = self.times.values().filter(|times| !times.is_empty()).count();
        if !self.fresh
            || now.saturating_sub(self.looked) < pause
            || (told as f64) < t.probe_told * f64::from(machines)
        {
            return Vec::new();
        }
        (self.fresh, self.looked) = (false, now);
        self.nearness(t)
    }

    /// Pairs are near, or far where an echo was late. What is late, that is asked of the times alone: they fall into two classes, with
    /// a threshold between that leaves the least variance within them (Otsu 1979), on a logarithmic scale; or either class into
    /// two, since some cables are slower than others, and full queues slower than empty ones. The threshold is right that shows
    /// parts most clearly. Where nothing is far all classes are chance, and so are the pairs in them.
    fn nearness(&self, t: &Tuning) -> Vec<Nearness> {
        let times =
            || self.times.iter().flat_map(|(&a, times)| times.iter().map(move |(&b, &time)| (a, b, time)));
        let mut logs: Vec<f64> = times().map(|(_, _, time)| log(time)).collect();
        logs.sort_by(f64::total_cmp);
        // How far below the late ones the soon ones are does not matter.
        let late = logs.get(logs.len() * 9 / 10).copied().unwrap_or_default();
        let far = -t.probe_times.ln();
        logs.iter_mut().for_each(|log| *log = log.max(late + far));
        let (soon, late) = logs.split_at(upper(&logs));
        let thresholds = [late, &soon[upper(soon)..], &late[upper(late)..]].map(|class| class.first());
        let pairs = |threshold: f64| {
            let mut pairs = BTreeMap::<(u64, u64), f64>::new();
            for (a, b, time) in times() {
                // One way alone it is the link of one of them that is full.
                let pair = pairs.entry((a.min(b), a.max(b))).or_insert(far);
                if log(time) < threshold {
                    *pair = 0.0;
                }
            }
            Nearness::new(pairs, t)
        };
        thresholds.into_iter().flatten().map(|threshold| pairs(*threshold)).collect()
    }
}

/// The logarithm of a time; less than what a kernel needs to wake somebody is chance.
fn log(seconds: f64) -> f64 {
    seconds.max(1e-5).ln()
}

/// Where the upper class of these begins, which are in order.
fn upper(logs: &[f64]) -> usize {
    let all: f64 = logs.iter().sum();
    let (mut best, mut first, mut below) = (0.0, logs.len(), 0.0);
    for (at, log) in logs.iter().enumerate() {
        let (lower, upper) = (at as f64, (logs.len() - at) as f64);
        let apart = (all - below) / upper - below / lower.max(1.0);
        if lower * upper * apart * apart > best {
            (best, first) = (lower * upper * apart * apart, at);
        }
        below += log;
    }
    first
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// The clearest cut of a room of 38 where each has probed ten, and how clear it is.
    fn cut(seed: u64, millis: impl Fn(&mut SmallRng, u64, u64) -> f64) -> Option<(f64, Vec<BTreeSet<u64>>)> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut echoes = Echoes::default();
        for from in 0..38 {
            let mut echo = |_| {
                let member = (from + rng.random_range(1..38)) % 38;
                Echo { member, time: Duration::from_secs_f64(millis(&mut rng, from, member) / 1e3) }
            };
            echoes.replace(from, (0..10).map(&mut echo).collect::<Vec<_>>().iter());
        }
        let t = Tuning::default();
        let nearness = echoes.look(Duration::from_secs(1), &t, 38);
        let cuts = nearness.iter().filter_map(|nearness| {
            let parts = nearness.cut(&(0..38).collect(), t.clearly)?;
            Some((nearness.gap(&parts, false)?, parts))
        });
        cuts.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    #[test]
    fn one_look_shows_two_switches() {
        for seed in 0..50 {
            let time = |rng: &mut SmallRng, a: u64, b: u64| match (a < 19) == (b < 19) {
                true => rng.random_range(0.1..40.0),
                false => rng.random_range(80.0..600.0),
            };
            let (gap, parts) = cut(seed, time).unwrap();
            assert!(gap >= Tuning::default().probe_clearly, "{gap}");
            assert!(parts.contains(&(0..19).collect()) && parts.len() == 2, "{seed}: {parts:?}");
        }
    }

    #[test]
    fn neither_chance_nor_slow_machines_are_switches() {
        for seed in 0..200 {
            let quick = |rng: &mut SmallRng| (rng.random_range(0.0_f64..1.0).powi(4) * 100.0).max(0.1);
            let slow = |machine: u64| machine.is_multiple_of(5);
            let chance = cut(seed, |rng, _, _| quick(rng));
            let some = cut(seed, |rng, a, b| if slow(a) || slow(b) { 300.0 } else { quick(rng) });
            for (gap, parts) in [chance, some].into_iter().flatten() {
                assert!(gap < Tuning::default().probe_clearly, "{seed}: {gap} {parts:?}");
            }
        }
    }

    #[test]
    fn it_looks_once_at_what_is_new_when_most_have_told_and_not_too_often() {
        let t = Tuning::default();
        let mut echoes = Echoes::default();
        let some = [1, 2].map(|member| Echo { member, time: Duration::from_millis(member) });
        let at = |looks: f64| t.probe_look.mul_f64(looks);
        assert!(echoes.look(at(1.0), &t, 1).is_empty(), "nothing");
        echoes.replace(0, some.iter());
        assert!(echoes.look(at(1.0), &t, 2).is_empty(), "too few");
        assert!(!echoes.look(at(1.0), &t, 1).is_empty());
        assert!(echoes.look(at(3.0), &t, 1).is_empty(), "nothing new");
        (1..40).for_each(|member| echoes.replace(member, some.iter()));
        assert!(echoes.look(at(1.5), &t, 1).is_empty(), "too soon");
        assert!(echoes.look(at(2.0), &t, 40).is_empty(), "too soon for so many");
        assert!(!echoes.look(at(3.0), &t, 40).is_empty());
    }
}
