//! Keeps a noisy or hostile client from filling the log: so many lines of a kind in a while, then a count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(10);
const LINES: u32 = 50;

#[derive(Debug)]
struct Kind {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

/// Counts lines of each kind. Kinds are fixed names, so that their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    kinds: Mutex<HashMap<&'static str, Kind>>,
}

impl Throttle {
    /// May a line of this kind be logged now? If so, how many were suppressed since the last.
    pub(crate) fn allow(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(kind).or_insert(Kind { since: now, lines: 0, suppressed: 0 });
        if now.duration_since(kind.since) >= WINDOW {
            (kind.since, kind.lines) = (now, 0);
        }
        if kind.lines >= LINES {
            kind.suppressed += 1;
            return None;
        }
        kind.lines += 1;
        Some(std::mem::take(&mut kind.suppressed))
    }

    /// Logs what clients do, unless there is too much of its kind.
    pub(crate) fn info(&self, kind: &'static str, text: impl FnOnce() -> String) {
        match self.allow(kind, Instant::now()) {
            Some(0) => tracing::info!("{kind}: {}", text()),
            Some(n) => tracing::info!("{kind}: {} ({n} more lines were not logged)", text()),
            None => {}
        }
    }

    /// Logs a warning about what came from outside, unless there were too many of its kind.
    pub(crate) fn warn(&self, kind: &'static str, text: impl FnOnce() -> String) {
        match self.allow(kind, Instant::now()) {
            Some(0) => tracing::warn!("{kind}: {}", text()),
            Some(n) => tracing::warn!("{kind}: {} ({n} more like this were not logged)", text()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_few_lines_and_a_count() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let allowed = (0..1000).filter(|_| throttle.allow("dhcp", start).is_some()).count();
        assert_eq!(allowed, 50);
        assert_eq!(throttle.allow("tftp", start), Some(0));
        assert_eq!(throttle.allow("dhcp", start + WINDOW), Some(950));
        assert_eq!(throttle.allow("dhcp", start + WINDOW), Some(0));
    }
}
