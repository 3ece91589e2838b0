//! Counts what reaches a device: how often its heads would have to move, and how long the runs are.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Writes to a device so far. A seek is a write that does not begin where the one before ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WriteStats {
    /// Bytes written.
    pub bytes: u64,
    /// Calls that wrote them.
    pub writes: u64,
    /// Runs: the first write, and each that does not begin where the one before ended.
    pub runs: u64,
    /// Runs that begin before the end of the one before: the way back.
    pub backward_runs: u64,
    /// Longest run in bytes.
    pub longest_run: u64,
}

impl WriteStats {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            writes: self.writes + other.writes,
            runs: self.runs + other.runs,
            backward_runs: self.backward_runs + other.backward_runs,
            longest_run: self.longest_run.max(other.longest_run),
        }
    }
}

/// Takes note of each write.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stats: WriteStats,
    end: Option<u64>,
    run: u64,
}

impl Recorder {
    pub(crate) fn wrote(&self, offset: u64, length: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.end != Some(offset) {
            state.stats.runs += 1;
            state.stats.backward_runs += u64::from(state.end.is_some_and(|end| offset < end));
            state.run = 0;
        }
        state.run += length;
        state.end = Some(offset + length);
        state.stats.bytes += length;
        state.stats.writes += 1;
        state.stats.longest_run = state.stats.longest_run.max(state.run);
    }

    pub(crate) fn stats(&self) -> WriteStats {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_runs_and_ways_back() {
        let recorder = Recorder::default();
        for (offset, length) in [(0, 10), (10, 10), (40, 5), (20, 20), (40, 1)] {
            recorder.wrote(offset, length);
        }
        let stats = recorder.stats();
        assert_eq!(stats.bytes, 46);
        assert_eq!(stats.runs, 3);
        assert_eq!(stats.backward_runs, 1);
        assert_eq!(stats.longest_run, 21);
    }
}
