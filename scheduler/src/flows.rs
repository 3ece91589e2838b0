//! Who is near whom, by how fast streams are: two groups between which all streams are slow, while each of their ends has fast
//! ones, have a thin link between them.
//!
//! A slow machine has no fast stream, so nothing is slow beside what its link carries: it tells no two groups apart. Nor does
//! chance, for a group is told by all the streams between it and the others together.

use std::collections::{BTreeMap, BTreeSet};

use super::routes::SiteId;
use super::tuning::Tuning;

/// Rounds of what comes to rest by itself, at most: where groups are clear half of them are enough, and where they are not there is
/// nothing to find.
const ROUNDS: usize = 24;

/// What went from one machine to another: bytes, and the seconds in which there was something to send.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    bytes: f64,
    busy: f64,
}

impl Flow {
    fn rate(&self, packet: f64) -> f64 {
        (self.bytes + packet) / self.busy.max(1e-6)
    }
}

/// The rates at which machines can send, and receive.
pub(super) struct Ends {
    sends: BTreeMap<u64, f64>,
    receives: BTreeMap<u64, f64>,
}

/// What went between machines.
#[derive(Debug, Default)]
pub(super) struct Flows(BTreeMap<(u64, u64), Flow>);

/// How near pairs of machines are: the logarithm of the rate between them, beside the best of their ends'; 0 is near.
pub(super) struct Nearness {
    near: BTreeMap<u64, Vec<(u64, f64)>>,
    tuning: Tuning,
}

impl Flows {
    pub(super) fn add(&mut self, from: u64, to: u64, bytes: f64, busy: f64) {
        let flow = self.0.entry((from, to)).or_default();
        flow.bytes += bytes;
        flow.busy += busy;
    }

    /// Keeps so much of what was, and adds what is new.
    pub(super) fn merge(&mut self, keep: f64, new: &Self) {
        self.0.retain(|_, flow| {
            flow.bytes *= keep;
            flow.busy *= keep;
            flow.busy > 0.001
        });
        new.0.iter().for_each(|(&(from, to), flow)| self.add(from, to, flow.bytes, flow.busy));
    }

    /// The site that streams to are fastest on the geometric mean.
    pub(super) fn fastest_to(&self, sites: &BTreeMap<u64, SiteId>, t: &Tuning) -> Option<SiteId> {
        let mut means = BTreeMap::<SiteId, Mean>::new();
        for ((_, to), flow) in &self.0 {
            if let Some(&site) = sites.get(to) {
                means.entry(site).or_default().add(flow.rate(t.packet).ln());
            }
        }
        means.into_iter().max_by(|a, b| a.1.get().total_cmp(&b.1.get())).map(|(site, _)| site)
    }

    /// What each machine can do: the rate that few of its streams exceed.
    pub(super) fn ends(&self, t: &Tuning) -> Ends {
        let (mut sends, mut receives) = (BTreeMap::<u64, Vec<f64>>::new(), BTreeMap::<u64, Vec<f64>>::new());
        for (&(from, to), flow) in &self.0 {
            sends.entry(from).or_default().push(flow.rate(t.packet));
            receives.entry(to).or_default().push(flow.rate(t.packet));
        }
        let best = |rates: BTreeMap<u64, Vec<f64>>| -> BTreeMap<u64, f64> {
            let best = |mut rates: Vec<f64>| {
                rates.sort_by(|a, b| b.total_cmp(a));
                rates[(rates.len() as f64 * t.best.min(0.9)) as usize]
            };
            rates.into_iter().map(|(member, rates)| (member, best(rates))).collect()
        };
        Ends { sends: best(sends), receives: best(receives) }
    }

    /// How fast all streams are, beside what their ends can do.
    pub(super) fn nearness(&self, ends: &Ends, t: &Tuning) -> Nearness {
        let mut pairs = BTreeMap::<(u64, u64), (f64, f64)>::new();
        for (&(from, to), flow) in &self.0 {
            let Some((sends, receives)) = ends.sends.get(&from).zip(ends.receives.get(&to)) else { continue };
            let log = (flow.rate(t.packet) / sends.min(*receives)).clamp(t.slowest, 1.0).ln();
            let pair = pairs.entry((from.min(to), from.max(to))).or_default();
            *pair = (pair.0 + log, pair.1 + 1.0);
        }
        Nearness::new(pairs.into_iter().map(|(pair, (sum, count))| (pair, sum / count)), t)
    }
}

/// Sum and number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean(f64, f64);

impl Mean {
    fn add(&mut self, value: f64) {
        self.0 += value;
        self.1 += 1.0;
    }

    fn get(self) -> f64 {
        if self.1 == 0.0 { 0.0 } else { self.0 / self.1 }
    }
}

impl Nearness {
    /// By how near each of these pairs is.
    pub(super) fn new(pairs: impl IntoIterator<Item = ((u64, u64), f64)>, t: &Tuning) -> Self {
        let mut near = BTreeMap::<u64, Vec<(u64, f64)>>::new();
        for ((a, b), log) in pairs {
            near.entry(a).or_default().push((b, log));
            near.entry(b).or_default().push((a, log));
        }
        Self { near, tuning: t.clone() }
    }

    fn of(&self, member: u64) -> &[(u64, f64)] {
        self.near.get(&member).map_or(&[], Vec::as_slice)
    }

    /// Machines that can be told.
    pub(super) fn members(&self) -> impl Iterator<Item = u64> {
        let streams = self.tuning.streams as usize;
        self.near.iter().filter(move |(_, pairs)| pairs.len() >= streams).map(|(&member, _)| member)
    }

    /// How near a machine is to each site that enough of its streams go to, the nearest first.
    fn to_sites(&self, member: u64, site: impl Fn(u64) -> Option<SiteId>) -> Vec<(f64, SiteId)> {
        let mut means = BTreeMap::<SiteId, Mean>::new();
        for &(other, log) in self.of(member) {
            if let Some(site) = site(other) {
                means.entry(site).or_default().add(log);
            }
        }
        let told = means.into_iter().filter(|(_, mean)| mean.1 >= self.tuning.streams.into());
        let mut told: Vec<(f64, SiteId)> = told.map(|(site, mean)| (mean.get(), site)).collect();
        told.sort_by(|a, b| b.0.total_cmp(&a.0));
        told
    }

    /// Machines that make a group, at least.
    pub(super) fn least(&self) -> usize {
        self.tuning.group as usize
    }

    /// Whether no other site is about as near to a machine as this one.
    pub(super) fn is_clear(&self, member: u64, own: SiteId, site: impl Fn(u64) -> Option<SiteId>) -> bool {
        let told = self.to_sites(member, site);
        let mean =
            |sought: bool| told.iter().find(|(_, site)| (*site == own) == sought).map(|(mean, _)| *mean);
        mean(true).zip(mean(false)).is_none_or(|(own, rival)| own - rival >= self.tuning.apart.ln())
    }

    /// The site that a machine is nearest to; none if another, or its own, is about as near.
    pub(super) fn nearest(
        &self,
        member: u64,
        site: impl Fn(u64) -> Option<SiteId>,
        own: Option<SiteId>,
    ) -> Option<SiteId> {
        let told = self.to_sites(member, site);
        let (best, site) = *told.first()?;
        let rival = match own {
            Some(own) => told.iter().find(|(_, site)| *site == own),
            None => told.get(1),
        };
        rival.is_some_and(|(mean, _)| best - mean >= self.tuning.nearer.ln()).then_some(site)
    }

    /// How many times slower streams between these parts are than those within the worst of them; none while too few streams
    /// say so: between them, and within all of them, or within `some`.
    pub(super) fn gap(&self, parts: &[BTreeSet<u64>], some: bool) -> Option<f64> {
        let mut within = vec![Mean::default(); parts.len()];
        let mut across = Mean::default();
        for (part, members) in parts.iter().enumerate() {
            for &(other, log) in members.iter().flat_map(|&member| self.of(member)) {
                if members.contains(&other) {
                    within[part].add(log);
                } else if parts.iter().any(|p| p.contains(&other)) {
                    across.add(log);
                }
            }
        }
        let enough = |(mean, part): &(Mean, &BTreeSet<u64>)| {
            mean.1 >= (part.len() as f64 / 2.0).max(self.tuning.streams.into())
        };
        let told: Vec<f64> =
            within.into_iter().zip(parts).filter(enough).map(|(mean, _)| mean.get()).collect();
        if told.len() < parts.len() && !some {
            return None;
        }
        let worst = told.into_iter().reduce(f64::min)?;
        let all: usize = parts.iter().map(BTreeSet::len).sum();
        if across.1 < all as f64 {
            return None;
        }
        Some((worst - across.get()).exp())
    }

    /// The clearest cut of a group into parts between which streams are `least` times slower, or more. A star of three switches
    /// shows in no cut into two: half of what is within two of its parts taken together crosses as well.
    pub(super) fn cut(&self, group: &BTreeSet<u64>, least: f64) -> Option<Vec<BTreeSet<u64>>> {
        let mut parts = vec![group.clone()];
        let mut best: Option<(f64, Vec<BTreeSet<u64>>)> = None;
        while parts.len() < self.tuning.parts as usize {
            parts = self.one_more(parts);
            // Fewer are machines that are slow for another reason.
            let least = (group.len() / 10).max(self.tuning.group as usize);
            if parts.iter().any(|part| part.len() < least) {
                break;
            }
            let gap = self.gap(&parts, false).unwrap_or(0.0);
            if best.as_ref().is_none_or(|(most, _)| gap > self.tuning.more_parts * *most) {
                best = Some((gap, parts.clone()));
            }
        }
        best.filter(|(gap, _)| *gap >= least).map(|(_, parts)| parts)
    }

    /// Cuts the part in two that hangs together least; then each machine goes to the part that it is nearest to.
    fn one_more(&self, mut parts: Vec<BTreeSet<u64>>) -> Vec<BTreeSet<u64>> {
        let within = |part: &BTreeSet<u64>| {
            let mut mean = Mean::default();
            let pairs = part.iter().flat_map(|&member| self.of(member));
            pairs.filter(|(other, _)| part.contains(other)).for_each(|(_, log)| mean.add(*log));
            mean.get()
        };
        let loosest = (0..parts.len()).min_by(|&a, &b| within(&parts[a]).total_cmp(&within(&parts[b])));
        let group = parts.swap_remove(loosest.unwrap_or(0));
        let side = self.principal(&group);
        let (right, left) = group.into_iter().partition(|member| side[member] > 0.0);
        parts.extend([left, right]);
        let mut own: BTreeMap<u64, usize> =
            parts.iter().enumerate().flat_map(|(at, part)| part.iter().map(move |&m| (m, at))).collect();
        for _ in 0..ROUNDS {
            let old = own.clone();
            for (&member, at) in &mut own {
                let mut means = vec![Mean::default(); parts.len()];
                for (other, log) in self.of(member).iter().filter(|(other, _)| *other != member) {
                    if let Some(part) = old.get(other) {
                        means[*part].add(*log);
                    }
                }
                let known = (0..means.len()).filter(|&part| means[part].1 > 0.0);
                let nearest = known.max_by(|&a, &b| means[a].get().total_cmp(&means[b].get()));
                *at = nearest.filter(|_| means[*at].1 > 0.0).unwrap_or(*at);
            }
            if own == old {
                break;
            }
        }
        let mut moved = vec![BTreeSet::new(); parts.len()];
        for (member, part) in own {
            moved[part].insert(member);
        }
        moved
    }

    /// The direction in which a group spreads most: the leading eigenvector of how near its pairs are, beside the mean.
    fn principal(&self, group: &BTreeSet<u64>) -> BTreeMap<u64, f64> {
        let pairs = |member: u64| self.of(member).iter().filter(|(other, _)| group.contains(other));
        let mut mean = Mean::default();
        group.iter().flat_map(|&member| pairs(member)).for_each(|(_, log)| mean.add(*log));
        let mean = mean.get();
        // Any start that is not orthogonal to it will do.
        let start = |member: u64| super::rank::mix(member, 0) as f64 / u64::MAX as f64 - 0.5;
        let mut x: BTreeMap<u64, f64> = group.iter().map(|&member| (member, start(member))).collect();
        // More than the least eigenvalue is below 0.
        let shift = group.iter().map(|&m| pairs(m).map(|(_, log)| (log - mean).abs()).sum::<f64>());
        let shift = shift.fold(0.0, f64::max) / 4.0;
        for _ in 0..ROUNDS {
            let next = |&member: &u64| {
                let sum: f64 = pairs(member).map(|(other, log)| (log - mean) * x[other]).sum();
                (member, sum + shift * x[&member])
            };
            let next: BTreeMap<u64, f64> = group.iter().map(next).collect();
            let length = next.values().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
            x = next.into_iter().map(|(member, value)| (member, value / length)).collect();
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A room whose machines stream to eight others each, by chance, at rates that differ up to fivefold; each stream goes at
    /// the rate that `rate` gives its ends, at most.
    fn room(machines: u64, seed: u64, rate: impl Fn(u64, u64) -> f64) -> Flows {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut flows = Flows::default();
        for from in 0..machines {
            for _ in 0..8 {
                let to = (from + rng.random_range(1..machines)) % machines;
                let bytes = rng.random_range(30_000.0..300_000.0);
                flows.add(from, to, bytes, bytes / (rate(from, to) * rng.random_range(0.2..1.0)));
            }
        }
        flows
    }

    fn nearness(flows: &Flows) -> Nearness {
        let tuning = Tuning::default();
        flows.nearness(&flows.ends(&tuning), &tuning)
    }

    /// The groups, each machine in that which it is nearest to.
    fn groups(flows: &Flows) -> Vec<BTreeSet<u64>> {
        let nearness = nearness(flows);
        let (mut open, mut sites) = (vec![nearness.members().collect()], BTreeMap::new());
        let mut next = 0;
        while let Some(group) = open.pop() {
            match nearness.cut(&group, Tuning::default().clearly) {
                Some(parts) => open.extend(parts),
                None => {
                    sites.extend(group.into_iter().map(|member| (member, SiteId(next))));
                    next += 1;
                }
            }
        }
        let site = |member: u64| sites.get(&member).copied();
        let mut groups = BTreeMap::<SiteId, BTreeSet<u64>>::new();
        for (&member, &own) in &sites {
            let site = nearness.nearest(member, site, Some(own)).unwrap_or(own);
            groups.entry(site).or_default().insert(member);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort();
        groups
    }

    #[test]
    fn switches_are_told_apart_by_what_streams_between_them_get() {
        for (machines, switches) in [(8, 2), (38, 2), (39, 3)] {
            let switch = |machine: u64| machine * switches / machines;
            let flows = room(machines, 1, |a, b| if switch(a) == switch(b) { 2.5e6 } else { 2.5e4 });
            let all = |at: u64| (0..machines).filter(|m| switch(*m) == at).collect::<BTreeSet<u64>>();
            assert_eq!(groups(&flows), (0..switches).map(all).collect::<Vec<_>>());
        }
    }

    #[test]
    fn neither_chance_nor_slow_machines_make_groups() {
        for seed in 0..200 {
            let slow = |machine: u64| if machine.is_multiple_of(5) { 2e5_f64 } else { 2.5e6 };
            for flows in [room(38, seed, |_, _| 2.5e6), room(38, seed, |a, b| slow(a).min(slow(b)))] {
                assert_eq!(groups(&flows).len(), 1, "{seed}");
            }
        }
    }

    #[test]
    fn whoever_comes_later_goes_to_the_site_that_it_is_nearest_to() {
        let flows = room(38, 1, |a, b| if (a < 19) == (b < 19) { 2.5e6 } else { 2.5e4 });
        let nearness = nearness(&flows);
        let site = |member: u64| (member != 3).then(|| SiteId(u16::from(member >= 19)));
        assert_eq!(nearness.nearest(3, site, None), Some(SiteId(0)));
        assert_eq!(nearness.nearest(3, site, Some(SiteId(1))), Some(SiteId(0)));
        assert_eq!(nearness.nearest(4, site, site(4)), None);
    }
}
