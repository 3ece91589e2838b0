//! Threads of a swarm, and the wait for their end.

use std::convert::Infallible;
use std::io;
use std::thread;

use tokio::sync::mpsc;

/// Counts the threads that it has started.
pub(crate) struct Threads {
    /// Each thread has a clone; nothing is sent.
    running: mpsc::Sender<Infallible>,
    ended: mpsc::Receiver<Infallible>,
}

impl Threads {
    pub(crate) fn new() -> Self {
        let (running, ended) = mpsc::channel(1);
        Self { running, ended }
    }

    /// Starts one.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let running = self.running.clone();
        let run = move || {
            // All that it holds is gone before it counts as ended.
            run();
            drop(running);
        };
        thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    /// Waits until the last has ended.
    pub(crate) async fn ended(self) {
        let Self { running, mut ended } = self;
        drop(running);
        ended.recv().await;
    }
}
