//! A bound on bytes a second, shared by all connections: a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tokens gather for so long at most: what may go at once after a pause.
const BURST: Duration = Duration::from_millis(50);
/// Less than this is not worth a system call.
const LEAST: f64 = 4096.0;

pub(super) struct RateLimit {
    rate: f64,
    /// Tokens, and when they were counted.
    state: Mutex<(f64, Instant)>,
}

impl RateLimit {
    pub(super) fn new(bytes_per_s: u64) -> Self {
        Self { rate: (bytes_per_s as f64).max(1.0), state: Mutex::new((0.0, Instant::now())) }
    }

    /// At most `want` bytes may go now; or nothing before the time given has passed.
    pub(super) fn take(&self, want: usize) -> Result<usize, Duration> {
        self.take_at(Instant::now(), want)
    }

    fn take_at(&self, now: Instant, want: usize) -> Result<usize, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = (self.rate * BURST.as_secs_f64()).max(2.0 * LEAST);
        let tokens = (state.0 + self.rate * now.saturating_duration_since(state.1).as_secs_f64()).min(burst);
        *state = (tokens, now);
        let need = LEAST.min(want as f64);
        if tokens < need {
            return Err(Duration::from_secs_f64(((need - tokens) / self.rate).clamp(0.001, 1.0)));
        }
        let granted = want.min(tokens as usize);
        state.0 -= granted as f64;
        Ok(granted)
    }

    /// Of what was granted, `used` bytes have gone, perhaps a little more.
    pub(super) fn settle(&self, granted: usize, used: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += granted as f64 - used as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes a second over a minute of a clock of our own, for a socket that takes `share` of what it is granted.
    fn rate_of(limit: &RateLimit, share: f64) -> f64 {
        let start = Instant::now();
        let (mut now, mut sent) = (start, 0);
        while now - start < Duration::from_secs(60) {
            match limit.take_at(now, 64 << 10) {
                Ok(granted) => {
                    let used = (granted as f64 * share) as usize;
                    limit.settle(granted, used);
                    sent += used;
                    now += Duration::from_micros(300);
                }
                // Timers of the runtime are a millisecond late at most.
                Err(wait) => now += wait + Duration::from_millis(1),
            }
        }
        sent as f64 / 60.0
    }

    #[test]
    fn the_rate_holds_to_a_hundredth_slow_or_fast_with_sockets_that_take_all_or_a_part() {
        for rate in [20_000, 1_000_000, 50_000_000] {
            for share in [1.0, 0.7] {
                let measured = rate_of(&RateLimit::new(rate), share) / rate as f64;
                assert!((0.99..1.01).contains(&measured), "{measured} of {rate}, {share}");
            }
        }
    }
}
