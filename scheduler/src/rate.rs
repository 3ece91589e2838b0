//! Rates, measured in the steps of the scheduler's tick.

use std::time::Duration;

use super::tuning::Tuning;

/// Bytes a second, averaged over a while.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    bytes: u64,
    per_s: f64,
    weight: f64,
}

impl Rate {
    pub(super) fn add(&mut self, bytes: u32) {
        self.bytes += u64::from(bytes);
    }

    /// Closes a step of length `step` in which bytes could have flowed.
    pub(super) fn step(&mut self, step: Duration, memory: Duration) {
        let t = step.as_secs_f64();
        if t <= 0.0 {
            return;
        }
        // A plain mean at first, an exponential one later.
        let keep = (-t / memory.as_secs_f64()).exp();
        self.weight = self.weight * keep + (1.0 - keep);
        let sample = self.bytes as f64 / t;
        self.per_s += (sample - self.per_s) * ((1.0 - keep) / self.weight.max(1e-9));
        self.bytes = 0;
    }

    pub(super) fn per_s(&self) -> f64 {
        self.per_s
    }

    /// Whether there has been a step.
    pub(super) fn known(&self) -> bool {
        self.weight > 0.0
    }
}

/// What the own link carries, in bytes a second: the most that it did for a while, in either direction.
///
/// How much is asked for ahead must not follow the rate of the moment: who once got less would then ask for less, and get
/// less again, while others fill the queues.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkRate {
    lately: f64,
    most: f64,
}

impl LinkRate {
    /// Closes a step in which bytes flowed at `per_s`.
    pub(super) fn step(&mut self, step: Duration, per_s: f64, tuning: &Tuning) {
        let t = step.as_secs_f64();
        self.lately += (per_s - self.lately) * (1.0 - (-t / tuning.link_burst.as_secs_f64()).exp());
        self.most = (self.most * (-t / tuning.link_forget.as_secs_f64()).exp()).max(self.lately);
    }

    pub(super) fn per_s(&self) -> f64 {
        self.most
    }
}
