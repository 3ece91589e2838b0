//! Devices, as they come: a thread loads modules for all that is there and for all that the kernel
//! announces, and whoever waits for a device is woken when something has changed.

pub(crate) mod modules;
mod uevent;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::modules::{ModuleLoader, coldplug_modaliases};
use self::uevent::{Received, UeventSocket};

/// Wakes the thread now and then, so that it notices when nobody listens any more.
const WAKE_UP: Duration = Duration::from_secs(5);

/// What the device thread has seen so far.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// All that was there at the start has been looked at.
    coldplugged: bool,
    /// When the last change was.
    last_change: Instant,
}

/// Devices as they come.
#[derive(Debug, Clone)]
pub(crate) struct Devices {
    seen: watch::Receiver<Seen>,
}

impl Devices {
    /// Begins to listen, then loads what is there.
    pub(crate) fn start(sys: &Path, loader: ModuleLoader) -> anyhow::Result<Self> {
        let socket = UeventSocket::open()?;
        let (sender, seen) = watch::channel(Seen { coldplugged: false, last_change: Instant::now() });
        let sys = sys.to_owned();
        thread::Builder::new()
            .name("devices".into())
            .spawn(move || watch_devices(&sys, &socket, loader, &sender))
            .context("starting the device thread")?;
        Ok(Self { seen })
    }

    /// Waits until `ready` gives something, looking again at every change; `None` when `bound` is over.
    pub(crate) async fn wait_for<T>(
        &mut self,
        bound: Duration,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + bound;
        loop {
            self.seen.mark_unchanged();
            if let Some(found) = ready() {
                return Some(found);
            }
            if !matches!(timeout_at(end, self.seen.changed()).await, Ok(Ok(()))) {
                return ready();
            }
        }
    }

    /// Waits until no device has come or gone for `quiet`, at most `bound`.
    pub(crate) async fn settle(&mut self, quiet: Duration, bound: Duration) {
        let end = Instant::now() + bound;
        loop {
            let seen = *self.seen.borrow_and_update();
            let calm = if seen.coldplugged { seen.last_change + quiet } else { end };
            tokio::select! {
                () = sleep_until(calm.min(end)) => return,
                changed = self.seen.changed() => if changed.is_err() { return },
            }
        }
    }
}

fn watch_devices(sys: &Path, socket: &UeventSocket, mut loader: ModuleLoader, seen: &watch::Sender<Seen>) {
    loader.load_always();
    coldplug(sys, &mut loader);
    seen.send_replace(Seen { coldplugged: true, last_change: Instant::now() });
    while !seen.is_closed() {
        match socket.receive(WAKE_UP) {
            Ok(Received::Quiet) => continue,
            Ok(Received::Lost) => coldplug(sys, &mut loader),
            Ok(Received::Event(event)) => {
                if event.action == "add"
                    && let Some(modalias) = &event.modalias
                {
                    loader.load_for(modalias);
                }
            }
            Err(e) => {
                tracing::warn!("devices that come from now on are not seen: {e}");
                return;
            }
        }
        seen.send_replace(Seen { coldplugged: true, last_change: Instant::now() });
    }
}

/// Loads modules until no device asks for more: a bus driver brings devices of its own.
fn coldplug(sys: &Path, loader: &mut ModuleLoader) {
    const ROUNDS: usize = 8;
    for _ in 0..ROUNDS {
        let loaded: usize = coldplug_modaliases(sys).iter().map(|modalias| loader.load_for(modalias)).sum();
        if loaded == 0 {
            return;
        }
    }
}
