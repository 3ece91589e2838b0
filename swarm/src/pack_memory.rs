//! Memory of packs, which have all lengths up to that of their blocks. It is used again, as that of blocks is: to clear it for each
//! pack was 3 % of what a room of a real Debian had to do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Memory is taken in steps of so many bytes, so that what was one pack's fits most others.
const STEP: usize = 32 << 10;
/// Packs whose memory is kept for later, at most: as many as arrive before one of those that are kept has to go.
const IDLE: usize = 32;

#[derive(Default)]
pub(crate) struct PackMemory {
    /// Bytes of all packs there are.
    held: AtomicU64,
    idle: Mutex<Vec<Vec<u8>>>,
}

impl PackMemory {
    /// `length` bytes, to be filled: they are whatever was in them before.
    pub(crate) fn take(&self, length: usize) -> Vec<u8> {
        let most = length.next_multiple_of(STEP);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = idle.iter().rposition(|bytes| (length..=most).contains(&bytes.capacity()));
        let used = fits.map(|at| idle.swap_remove(at));
        drop(idle);
        let mut bytes = used.unwrap_or_else(|| Vec::with_capacity(most));
        bytes.resize(length, 0);
        bytes
    }

    /// These are a pack's from now on.
    pub(crate) fn hold(&self, bytes: &Vec<u8>) {
        self.held.fetch_add(bytes.capacity() as u64, Ordering::Relaxed);
    }

    /// And now no more.
    pub(crate) fn give(&self, bytes: Vec<u8>) {
        self.held.fetch_sub(bytes.capacity() as u64, Ordering::Relaxed);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(bytes);
        }
    }

    /// Bytes that packs take.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_a_packs_is_anothers_and_no_more_is_kept_than_is_said() {
        let memory = PackMemory::default();
        let make = |length| {
            let bytes = memory.take(length);
            memory.hold(&bytes);
            assert_eq!(bytes.len(), length);
            bytes
        };
        let (small, large) = (make(1000), make(40_000));
        let place = small.as_ptr();
        assert_eq!(memory.held(), 3 * STEP as u64);
        memory.give(large);
        memory.give(small);
        assert_eq!(memory.held(), 0);
        // The last that fits; not what is much too large.
        let again = make(20_000);
        assert_eq!(again.as_ptr(), place);
        assert_eq!(memory.idle.lock().unwrap().len(), 1);
        let many: Vec<Vec<u8>> = (0..100).map(|_| make(100)).collect();
        many.into_iter().for_each(|bytes| memory.give(bytes));
        assert_eq!(memory.idle.lock().unwrap().len(), IDLE);
    }
}
