//! A bound on bytes a second, shared by all connections: a token bucket.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tokens gather for so long at most: what may go at once after a pause.
const BURST: Duration = Duration::from_millis(50);
/// Less than this is not worth a system call.
const LEAST: f64 = 4096.0;

pub(super) struct RateLimit {
    rate: f64,
    state: Mutex<(f64, Instant)>,
}

impl RateLimit {
    pub(super) fn new(bytes_per_s: u64) -> Self {
        Self { rate: (bytes_per_s as f64).max(1.0), state: Mutex::new((0.0, Instant::now())) }
    }

    /// At most `want` bytes may go now; or nothing before the time given has passed.
    pub(super) fn take(&self, want: usize) -> Result<usize, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let burst = (self.rate * BURST.as_secs_f64()).max(2.0 * LEAST);
        let tokens = (state.0 + self.rate * now.duration_since(state.1).as_secs_f64()).min(burst);
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

    #[test]
    fn over_a_second_the_rate_holds_within_five_per_cent() {
        let limit = RateLimit::new(10_000_000);
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < Duration::from_millis(800) {
            match limit.take(64 << 10) {
                Ok(n) => {
                    sent += n - n / 3;
                    limit.settle(n, n - n / 3);
                }
                Err(wait) => std::thread::sleep(wait),
            }
        }
        let rate = sent as f64 / start.elapsed().as_secs_f64();
        assert!((9_500_000.0..10_500_000.0).contains(&rate), "{rate}");
    }
}
