//! A queue between tasks and threads. It is bounded by what its users may have under way.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

pub(super) struct Queue<T> {
    state: Mutex<(VecDeque<T>, bool)>,
    news: Condvar,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { state: Mutex::new((VecDeque::new(), false)), news: Condvar::new() }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&self, item: T) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(item);
        self.news.notify_one();
    }

    /// The next item; none once the queue is closed.
    pub(super) fn pop(&self) -> Option<T> {
        self.pop_some(1).pop()
    }

    /// All that is there, up to `most` items, and at least one; none once the queue is closed.
    pub(super) fn pop_some(&self, most: usize) -> Vec<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .news
            .wait_while(state, |(items, closed)| items.is_empty() && !*closed)
            .unwrap_or_else(PoisonError::into_inner);
        let (items, closed) = &mut *state;
        let count = if *closed { 0 } else { items.len().min(most) };
        items.drain(..count).collect()
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        state.0.clear();
        self.news.notify_all();
    }
}
