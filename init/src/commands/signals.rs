//! SIGINT and SIGTERM, as something to wait for.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped(pub(crate) i32);

/// Listens from its creation on.
pub(crate) struct StopSignals {
    interrupted: Signal,
    terminated: Signal,
}

impl StopSignals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupted: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            terminated: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
        })
    }

    /// Waits for either.
    pub(crate) async fn received(&mut self) -> Stopped {
        let kind = tokio::select! {
            _ = self.interrupted.recv() => SignalKind::interrupt(),
            _ = self.terminated.recv() => SignalKind::terminate(),
        };
        Stopped(kind.as_raw_value())
    }
}
