//! One direction of a link: a token bucket before a line, with a finite queue (what `tc … tbf` does).

/// Time in nanoseconds since the start.
pub(super) type Nanos = u64;

/// A link.
#[derive(Debug, Clone)]
pub(super) struct Link {
    ns_per_byte: f64,
    /// Bytes that may wait.
    limit: f64,
    /// The bucket holds `(now - empty) / ns_per_byte` bytes, at most `burst`.
    empty: f64,
    burst_ns: f64,
    last: f64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
}

impl Link {
    pub(super) fn new(bits_per_s: f64, burst: u32, queue_s: f64) -> Self {
        let ns_per_byte = 8e9 / bits_per_s;
        let burst_ns = f64::from(burst) * ns_per_byte;
        Self {
            ns_per_byte,
            limit: bits_per_s / 8.0 * queue_s + f64::from(burst),
            empty: -burst_ns,
            burst_ns,
            last: 0.0,
            bytes: 0,
            dropped: 0,
        }
    }

    /// A packet of `bytes` comes at `now`: when it leaves; none when the queue is full. An ACK is never dropped (the next
    /// would make up for it).
    pub(super) fn take(&mut self, now: Nanos, bytes: u32, ack: bool) -> Option<Nanos> {
        let now = now as f64;
        let waiting = (self.last - now).max(0.0) / self.ns_per_byte;
        if !ack && waiting + f64::from(bytes) > self.limit {
            self.dropped += 1;
            return None;
        }
        self.empty = self.empty.max(now - self.burst_ns) + f64::from(bytes) * self.ns_per_byte;
        let leaves = now.max(self.empty).max(self.last);
        self.last = leaves;
        self.bytes += u64::from(bytes);
        Some(leaves as Nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_its_rate_after_its_burst_and_drops_beyond_its_queue() {
        let mut link = Link::new(8e6, 10_000, 0.030);
        assert_eq!(link.take(0, 10_000, false), Some(0));
        assert_eq!(link.take(0, 1000, false), Some(1_000_000));
        let taken = (0..100).filter(|_| link.take(0, 1000, false).is_some()).count();
        assert_eq!(taken, 39, "30 ms of queue and the burst, less the one that waits");
        assert_eq!(link.take(2_000_000_000, 10_000, false), Some(2_000_000_000));
    }
}
