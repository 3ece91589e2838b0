//! Values over time in bounded memory: the longer they go on, the longer are the slots that each is the average of.

use crate::fleet::RatesView;

/// Slots of a series: as many points as a chart shows apart on a screen. Before there are more, two become one.
const SLOTS: usize = 240;
/// What was not looked at for so long is taken to have been as it is then, in seconds: a busy server looks late.
const LATE_S: u64 = 5;

/// Values of `N` kinds over time.
#[derive(Debug, Clone)]
pub(super) struct Series<const N: usize> {
    /// When the first slot begins, in seconds since 1970.
    since: f64,
    /// Length of a slot, in seconds.
    step_s: u64,
    /// Averages; none where nothing was known.
    slots: Vec<Option<[f32; N]>>,
    /// Of how many values the last slot is the average.
    count: u32,
}

impl<const N: usize> Series<N> {
    pub(super) fn begin(now: f64, values: [f32; N]) -> Self {
        Self { since: now, step_s: 1, slots: vec![Some(values)], count: 1 }
    }

    pub(super) fn push(&mut self, now: f64, values: [f32; N]) {
        while self.slot_at(now) >= SLOTS {
            self.coarsen();
        }
        let at = self.slot_at(now);
        if at >= self.slots.len() {
            let late = (at - self.slots.len()) as u64 * self.step_s <= LATE_S;
            self.slots.resize(at, late.then_some(values));
            self.slots.push(Some(values));
            self.count = 1;
        } else if let Some(Some(last)) = self.slots.last_mut() {
            // The same slot still, or the clock was set back.
            self.count = self.count.saturating_add(1);
            for (average, value) in last.iter_mut().zip(values) {
                *average += (value - *average) / self.count as f32;
            }
        }
    }

    fn slot_at(&self, now: f64) -> usize {
        // A negative number becomes 0.
        ((now - self.since) / self.step_s as f64) as usize
    }

    fn coarsen(&mut self) {
        self.step_s = self.step_s.saturating_mul(2);
        self.slots = self.slots.chunks(2).map(average).collect();
    }

    /// What is known of the time after `after`.
    pub(super) fn view(&self, after: f64) -> RatesView {
        let ends = |at: usize| self.since + (at + 1) as f64 * self.step_s as f64;
        let later = self.slots.iter().enumerate().filter(|(at, _)| ends(*at) > after);
        let rounded = |values: &[f32; N]| values.iter().map(|value| value.round() as u64).collect();
        let samples = later.filter_map(|(at, slot)| Some((at, rounded(slot.as_ref()?))));
        RatesView { since: self.since, step_s: self.step_s, samples: samples.collect() }
    }
}

/// Of the one or two slots that become one.
fn average<const N: usize>(slots: &[Option<[f32; N]>]) -> Option<[f32; N]> {
    let known: Vec<&[f32; N]> = slots.iter().flatten().collect();
    let sum = |kind: usize| known.iter().map(|values| values[kind]).sum::<f32>();
    (!known.is_empty()).then(|| std::array::from_fn(|kind| sum(kind) / known.len() as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(seconds: impl IntoIterator<Item = u32>) -> Series<2> {
        let mut seconds = seconds.into_iter().map(|s| (1000.0 + f64::from(s), [s as f32, 2.0]));
        let (now, values) = seconds.next().unwrap();
        let mut series = Series::begin(now, values);
        seconds.for_each(|(now, values)| series.push(now, values));
        series
    }

    #[test]
    fn a_long_run_is_whole_within_bounds() {
        for length in [1_u32, 239, 240, 241, 1000, 86_400] {
            let series = series(0..length);
            let RatesView { since, step_s, samples } = series.view(0.0);
            assert!(samples.len() <= SLOTS && series.slots.capacity() <= 2 * SLOTS, "{length}");
            assert!(length <= 240 || samples.len() >= SLOTS / 2, "{length}: {}", samples.len());
            assert_eq!(
                (since, samples.keys().copied().max()),
                (1000.0, Some((length - 1) as usize / step_s as usize))
            );
            // Each slot is the average of its seconds.
            for (at, values) in samples.iter().take(samples.len() - 1) {
                let middle = (*at as f64 + 0.5) * step_s as f64 - 0.5;
                assert!(
                    (values[0] as f64 - middle).abs() <= 1.0 && values[1] == 2,
                    "{length}, {at}: {values:?}"
                );
            }
        }
    }

    #[test]
    fn what_nobody_knew_is_left_out_and_no_clock_breaks_it() {
        let mut series = series([0, 1, 8]);
        assert_eq!(series.view(0.0).samples.into_keys().collect::<Vec<_>>(), [0, 1, 8]);
        series.push(900.0, [10.0, 2.0]);
        assert_eq!(series.view(0.0).samples[&8], [9, 2], "set back: it counts for the last slot");
        series.push(1e12, [8.0, 2.0]);
        let later = series.view(0.0);
        assert_eq!(later.samples.len(), 2, "set forward: the slots are long");
        assert!(later.samples.into_keys().all(|at| at < SLOTS));
    }

    #[test]
    fn a_late_look_leaves_no_gap() {
        let samples = series([0, 1, 3, 9]).view(0.0).samples;
        assert_eq!(
            samples.into_values().map(|values| values[0]).collect::<Vec<_>>(),
            [0, 1, 3, 3, 9, 9, 9, 9, 9, 9]
        );
    }

    #[test]
    fn who_has_the_beginning_asks_for_the_rest() {
        let series = series(0..10);
        assert_eq!(series.view(1008.0).samples.into_keys().collect::<Vec<_>>(), [8, 9]);
        assert_eq!(series.view(1009.5).samples.len(), 1, "a slot that has not ended comes again");
        assert!(series.view(f64::NAN).samples.is_empty() && series.view(2000.0).samples.is_empty());
    }
}
