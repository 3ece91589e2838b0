//! Parts of a room, by how long echoes between its machines took.
//!
//! A pair of machines is near or far. How long echoes of each kind take is not known beforehand: it depends on links, cables and
//! what fills them. But where it is known who is where, it can be counted; and once it is counted, that parting of the
//! room is best which makes the times likeliest that were seen. So one is found by the other in turn (classification EM,
//! Celeux and Govaert 1992), from several guesses at what is soon. The best parting for given likelihoods is looked for by moving single
//! machines, and then whole parts, as long as that gains (Blondel and others 2008).
//!
//! How many parts there are comes out of that; two that are likelier as one are joined. Whether they are true is told by how much of
//! what there is to know of a pair, near or far, its time
//! tells. Where all are at one switch it tells an eighth, with slow machines there up to two fifths, with cables
//! between six tenths and more.

use std::collections::{BTreeMap, BTreeSet};

use super::tuning::Tuning;

/// Classes of times: half powers of two, from [`SOONEST`] on.
const CLASSES: usize = 42;

/// Seconds: less than a kernel needs to wake somebody, and chance below that.
const SOONEST: f64 = 1e-5;

/// Rounds of what comes to rest by itself, at most.
const ROUNDS: usize = 24;

/// Turns between times and parts, at most.
const TURNS: usize = 6;

/// Guesses at what is soon: so much of all.
const SOON: [f64; 4] = [0.1, 0.25, 0.5, 0.75];

/// By how much a class of times says that a pair is near, instead of far: a logarithm.
type Weights = [f64; CLASSES];

/// Who weighs how much for being together with whom.
type Graph = Vec<Vec<(usize, f64)>>;

/// How long echoes between some machines took.
pub(super) struct Times {
    members: Vec<u64>,
    busy: bool,
    /// Two of them, and the class of the shorter time of both ways: the longer one may come from the link of one of them.
    pairs: Vec<(usize, usize, usize)>,
}

/// A parting of the room.
struct Parting {
    /// The part of each machine.
    of: Vec<usize>,
    /// How much likelier it makes the times, less what it takes to say it: nats.
    gain: f64,
    /// How much of what there is to know of a pair, near or far, its time tells.
    tells: f64,
}

/// How many pairs of each class of times are apart, and together.
type Counts = [[f64; 2]; CLASSES];

impl Times {
    /// Of all pairs of these for which there is a time, in seconds.
    pub(super) fn new(
        group: &BTreeSet<u64>,
        busy: bool,
        times: impl Iterator<Item = (u64, u64, f64)>,
    ) -> Self {
        let members: Vec<u64> = group.iter().copied().collect();
        let mut pairs = BTreeMap::<(usize, usize), f64>::new();
        for (a, b, time) in times {
            let Some((a, b)) = members.binary_search(&a).ok().zip(members.binary_search(&b).ok()) else {
                continue;
            };
            let least = pairs.entry((a.min(b), a.max(b))).or_insert(f64::MAX);
            *least = time.clamp(SOONEST, *least);
        }
        let mut soonest = vec![f64::MAX; members.len()];
        for (&(a, b), &time) in &pairs {
            (soonest[a], soonest[b]) = (time.min(soonest[a]), time.min(soonest[b]));
        }
        let class = |((a, b), time): ((usize, usize), f64)| {
            let beside = if busy { soonest[a].max(soonest[b]) } else { SOONEST };
            (a, b, ((2.0 * (time / beside).log2()).round() as usize).min(CLASSES - 1))
        };
        Self { members, busy, pairs: pairs.into_iter().map(class).collect() }
    }

    /// The parts of these machines, if there are several, without those that are in none.
    pub(super) fn parts(&self, t: &Tuning) -> Option<Vec<BTreeSet<u64>>> {
        let mut classes: Vec<usize> = self.pairs.iter().map(|(_, _, class)| *class).collect();
        classes.sort_unstable();
        let mut soon = SOON.map(|part| classes.get((classes.len() as f64 * part) as usize).copied()).to_vec();
        soon.dedup();
        let mut partings = Vec::new();
        for soon in soon.into_iter().flatten() {
            let mut next = Some(self.judged(self.settled(self.first_weights(soon)), t));
            // Each is likelier than the one before, so that ends.
            while let Some(parting) = next {
                next = self.joined(&parting, t);
                partings.push(parting);
            }
        }
        let least = if self.busy { t.probe_tells_busy } else { t.probe_tells };
        partings.retain(|parting| parting.gain > 0.0 && parting.tells >= least);
        let most = partings.iter().map(|parting| parting.tells).fold(0.0, f64::max);
        let alike = partings.into_iter().filter(|parting| parting.tells >= most - t.probe_alike);
        let best = alike.max_by(|a, b| a.gain.total_cmp(&b.gain))?;
        let mut parts = BTreeMap::<usize, BTreeSet<u64>>::new();
        for (&member, &part) in self.members.iter().zip(&best.of) {
            parts.entry(part).or_default().insert(member);
        }
        let parts: Vec<_> = parts.into_values().filter(|part| part.len() >= t.group as usize).collect();
        (parts.len() > 1).then_some(parts)
    }

    /// What times say where pairs are near whose times are of this class or below.
    fn first_weights(&self, soon: usize) -> Weights {
        let few = self.pairs.iter().filter(|(_, _, class)| *class <= soon).count();
        // A pair that is near is soon nine times of ten, to begin with.
        let (near, far) = (0.9, (few as f64 / self.pairs.len() as f64).min(0.8));
        let weight = |class| if class <= soon { near / far } else { (1.0 - near) / (1.0 - far) };
        std::array::from_fn(|class| f64::ln(weight(class)))
    }

    /// The part of each machine, by what times say, and by what they say then.
    fn settled(&self, mut weights: Weights) -> Vec<usize> {
        let mut of = Vec::new();
        for _ in 0..TURNS {
            let mut graph: Graph = vec![Vec::new(); self.members.len()];
            for &(a, b, class) in &self.pairs {
                graph[a].push((b, weights[class]));
                graph[b].push((a, weights[class]));
            }
            let parted = gather(&graph);
            if parted == of {
                break;
            }
            of = parted;
            weights = self.weights(&of);
        }
        of
    }

    /// The same, but for two parts that are one, if that is likelier: to move single machines does not join what is large.
    fn joined(&self, parting: &Parting, t: &Tuning) -> Option<Parting> {
        let (of, sizes) = (&parting.of, sizes(&parting.of));
        let mut between = BTreeMap::<(usize, usize), Weights>::new();
        for &(a, b, class) in &self.pairs {
            let parts = (of[a].min(of[b]), of[a].max(of[b]));
            if parts.0 != parts.1 && sizes[parts.0].min(sizes[parts.1]) >= t.group as usize {
                between.entry(parts).or_insert([0.0; CLASSES])[class] += 1.0;
            }
        }
        let counts = self.counts(of);
        let told = |between: &Weights| {
            let both: Counts =
                std::array::from_fn(|c| [counts[c][0] - between[c], counts[c][1] + between[c]]);
            told(&both).0
        };
        let best = between.into_iter().map(|(parts, between)| (told(&between), parts));
        let (_, (a, b)) = best.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let joined: Vec<usize> = of.iter().map(|&part| if part == b { a } else { part }).collect();
        let settled = self.settled(self.weights(&joined));
        let best = [joined, settled].map(|of| self.judged(of, t)).into_iter();
        best.max_by(|a, b| a.gain.total_cmp(&b.gain))
            .filter(|joined| joined.gain > parting.gain && joined.tells >= parting.tells - t.probe_alike)
    }

    fn judged(&self, of: Vec<usize>, t: &Tuning) -> Parting {
        let counts = self.counts(&of);
        let (told, entropy) = told(&counts);
        let (members, pairs) = (self.members.len() as f64, self.pairs.len() as f64);
        // To say who is in which part or in none, and how likely each time is, takes so much (Schwarz 1978): that has to tell more.
        let (parts, rest): (Vec<_>, Vec<_>) =
            sizes(&of).into_iter().filter(|size| *size > 0).partition(|size| *size >= t.group as usize);
        let choices = parts.len() + usize::from(!rest.is_empty());
        let classes = counts.iter().filter(|class| **class != [0.0; 2]).count();
        let takes = members * (choices as f64).ln() + classes as f64 * pairs.ln() / 2.0;
        Parting { of, gain: told * pairs - takes, tells: if entropy > 0.0 { told / entropy } else { 0.0 } }
    }

    /// Where machines are in these parts.
    fn counts(&self, of: &[usize]) -> Counts {
        let mut counts = [[0.0; 2]; CLASSES];
        for &(a, b, class) in &self.pairs {
            counts[class][usize::from(of[a] == of[b])] += 1.0;
        }
        counts
    }

    /// What times say, where machines are in these parts.
    fn weights(&self, of: &[usize]) -> Weights {
        let (counts, pairs) = (pooled(self.counts(of)), self.pairs.len() as f64);
        let near = counts.iter().map(|[_, together]| together).sum::<f64>();
        counts.map(|[apart, together]| {
            // One more pair of each kind, that could be of any time.
            let any = (apart + together) / pairs;
            let (soon, late) = ((together + any) / (near + 1.0), (apart + any) / (pairs - near + 1.0));
            if any > 0.0 { (soon / late).ln() } else { 0.0 }
        })
    }
}

/// Who is near answers sooner: classes among which the share of pairs that are together rises with the time have the same share (pool adjacent
/// violators, Ayer and others 1955). Else machines that came at the same time, and are all as busy, would be a part.
fn pooled(mut counts: Counts) -> Counts {
    let mut pools: Vec<(Vec<usize>, [f64; 2])> = Vec::new();
    for class in (0..CLASSES).filter(|class| counts[*class] != [0.0; 2]) {
        let (mut classes, mut pool) = (vec![class], counts[class]);
        while let Some((sooner, [apart, together])) =
            pools.pop_if(|(_, [apart, together])| *together * pool[0] < pool[1] * *apart)
        {
            classes.extend(sooner);
            pool = [pool[0] + apart, pool[1] + together];
        }
        pools.push((classes, pool));
    }
    for (classes, [apart, together]) in pools {
        for class in classes {
            let all = counts[class].iter().sum::<f64>() / (apart + together);
            counts[class] = [all * apart, all * together];
        }
    }
    counts
}

/// The mutual information between the time of a pair and whether it is near, and the entropy of the latter: nats a pair.
fn told(counts: &Counts) -> (f64, f64) {
    let pairs: f64 = counts.as_flattened().iter().sum();
    let counts = pooled(*counts).map(|class| class.map(|count| count / pairs));
    let entropy = |parts: &[f64]| -> f64 {
        parts.iter().filter(|part| **part > 0.0).map(|part| -part * part.ln()).sum()
    };
    let near = counts.iter().map(|class| class[1]).sum::<f64>();
    let all = entropy(&[near, 1.0 - near]);
    let left = entropy(counts.as_flattened()) - entropy(&counts.map(|class| class[0] + class[1]));
    (all - left, all)
}

/// How many machines are in each part.
fn sizes(of: &[usize]) -> Vec<usize> {
    let mut sizes = vec![0; of.iter().max().map_or(0, |last| last + 1)];
    of.iter().for_each(|part| sizes[*part] += 1);
    sizes
}

/// The part of each node, numbered from 0: within parts weights are large, between them small.
fn gather(graph: &Graph) -> Vec<usize> {
    let (of, parts) = move_nodes(graph, (0..graph.len()).collect());
    if parts == graph.len() {
        return of;
    }
    let mut merged: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); parts];
    for (node, others) in graph.iter().enumerate() {
        for (other, weight) in others.iter().filter(|(other, _)| of[*other] != of[node]) {
            *merged[of[node]].entry(of[*other]).or_default() += weight;
        }
    }
    let merged = gather(&merged.into_iter().map(|others| others.into_iter().collect()).collect());
    // What was put together may show where single ones belong.
    move_nodes(graph, of.iter().map(|part| merged[*part]).collect()).0
}

/// Moves single nodes to where they weigh most, or away from all; parts, and how many there are.
fn move_nodes(graph: &Graph, mut of: Vec<usize>) -> (Vec<usize>, usize) {
    let mut sizes = sizes(&of);
    sizes.resize(graph.len(), 0);
    let mut gains = vec![0.0; graph.len()];
    for _ in 0..ROUNDS {
        let mut moved = false;
        for (node, others) in graph.iter().enumerate() {
            others.iter().for_each(|(other, weight)| gains[of[*other]] += weight);
            let own = gains[of[node]];
            let best =
                others.iter().map(|(other, _)| of[*other]).max_by(|&a, &b| gains[a].total_cmp(&gains[b]));
            let to = match best.filter(|best| gains[*best] > own.max(0.0) + 1e-9) {
                Some(best) => best,
                None if own < -1e-9 => sizes.iter().position(|size| *size == 0).unwrap_or(of[node]),
                None => of[node],
            };
            others.iter().for_each(|(other, _)| gains[of[*other]] = 0.0);
            moved |= to != of[node];
            sizes[of[node]] -= 1;
            sizes[to] += 1;
            of[node] = to;
        }
        if !moved {
            break;
        }
    }
    let mut numbers = BTreeMap::new();
    for part in &mut of {
        let next = numbers.len();
        *part = *numbers.entry(*part).or_insert(next);
    }
    (of, numbers.len())
}
