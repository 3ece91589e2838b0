//! Devices whose drivers the initrd left out: their files are fetched together, then loaded.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ezio_contract::modules::Remote;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::depot::{Depot, NotHad};
use super::modules::ModuleLoader;
use super::{Seen, WithoutDriver};
use crate::screen::Screen;

/// Requests that are answered together: many times what a machine has devices.
const BATCH: usize = 256;

/// The loader, which the device thread and whoever fetches take turns at.
pub(super) type SharedLoader = Arc<Mutex<ModuleLoader>>;

pub(super) fn lock(loader: &SharedLoader) -> MutexGuard<'_, ModuleLoader> {
    loader.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Modaliases whose modules have to be fetched. Each comes once, so that the queue is no longer than the list of the
/// machine's devices.
pub(crate) struct Requests {
    pub(super) queue: mpsc::UnboundedReceiver<String>,
    pub(super) loader: SharedLoader,
    pub(super) seen: Arc<watch::Sender<Seen>>,
}

impl Requests {
    /// Answers requests for as long as it is polled.
    pub(crate) async fn serve(mut self, depot: &Depot, screen: &Screen) -> Infallible {
        loop {
            let mut batch = Vec::new();
            if self.queue.recv_many(&mut batch, BATCH).await == 0 {
                // No device will come any more.
                return std::future::pending().await;
            }
            let (missing, folder) = self.missing_for(&batch);
            let not_had = depot.fetch(missing, &folder).await;
            for modalias in &batch {
                self.load(modalias, &not_had, screen).await;
            }
            // The kernel has told of what the drivers found at once.
            self.seen.send_modify(|seen| {
                seen.fetching = seen.fetching.saturating_sub(batch.len());
                seen.last_change = Instant::now();
            });
        }
    }

    /// Files that these devices lack, each once.
    fn missing_for(&self, batch: &[String]) -> (Vec<(String, Remote)>, PathBuf) {
        let loader = lock(&self.loader);
        let mut missing: Vec<_> = batch.iter().flat_map(|modalias| loader.missing_for(modalias)).collect();
        missing.sort_by(|(a, _), (b, _)| a.cmp(b));
        missing.dedup_by(|(a, _), (b, _)| a == b);
        (missing, loader.folder().to_owned())
    }

    async fn load(&self, modalias: &str, not_had: &[NotHad], screen: &Screen) {
        let (loader, asked) = (Arc::clone(&self.loader), modalias.to_owned());
        let loading = tokio::task::spawn_blocking(move || {
            let mut loader = lock(&loader);
            loader.load_all_that_is_here(&asked);
            loader.missing_for(&asked)
        });
        // A panic in there has ended the process.
        let Ok(missing) = loading.await else { return };
        for NotHad { file, why } in not_had.iter().filter(|n| missing.iter().any(|(file, _)| *file == n.file))
        {
            let device = WithoutDriver { modalias: modalias.to_owned(), why: format!("{file}: {why}") };
            screen.step(&format!("devices: {device}"));
            self.seen.send_modify(|seen| seen.without_driver.push(device));
        }
    }
}
