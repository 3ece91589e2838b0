//! Devices, as they come: a thread loads modules for all that is there and for all that the kernel
//! announces, and whoever waits for a device is woken when something has changed.

pub(crate) mod modules;
mod uevent;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use ezio_disk::Coming;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::modules::{ModuleLoader, coldplug_modaliases};
use self::uevent::{Received, UeventSocket, last_number};

/// Wakes the thread now and then, so that it notices when nobody listens any more.
const WAKE_UP: Duration = Duration::from_secs(5);

/// Where disks may come without a word beforehand: when none has come or gone for so long, all are there. Enough for a
/// USB disk, which gets a second to start.
const QUIET: Duration = Duration::from_secs(2);
/// A driver that gives a disk up says nothing.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the device thread has seen so far.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Number of the kernel's message up to which all devices have been looked at and have their modules; none before
    /// those that were there at the start have.
    message: Option<u64>,
    /// When the last change was.
    last_change: Instant,
}

/// Devices as they come.
#[derive(Debug, Clone)]
pub(crate) struct Devices {
    sys: PathBuf,
    seen: watch::Receiver<Seen>,
}

impl Devices {
    /// Begins to listen, then loads what is there.
    pub(crate) fn start(sys: &Path, loader: ModuleLoader) -> anyhow::Result<Self> {
        let socket = UeventSocket::open()?;
        let (sender, seen) = watch::channel(Seen { message: None, last_change: Instant::now() });
        let devices = Self { sys: sys.to_owned(), seen };
        let sys = sys.to_owned();
        thread::Builder::new()
            .name("devices".into())
            .spawn(move || watch_devices(&sys, &socket, loader, &sender))
            .context("starting the device thread")?;
        Ok(devices)
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

    /// Waits until all disks are there, at most `bound`. `coming` looks for those that are not.
    pub(crate) async fn settle(&mut self, bound: Duration, coming: impl Fn() -> Coming) {
        let end = Instant::now() + bound;
        while Instant::now() < end {
            let seen = *self.seen.borrow_and_update();
            let up_to_date = seen.message >= Some(last_number(&self.sys));
            let next = match coming() {
                _ if !up_to_date => end,
                Coming::Nothing => return,
                Coming::Perhaps if seen.last_change.elapsed() >= QUIET => return,
                Coming::Perhaps => seen.last_change + QUIET,
                Coming::Surely => Instant::now() + LOOK_AGAIN,
            };
            tokio::select! {
                () = sleep_until(next.min(end)) => {}
                changed = self.seen.changed() => if changed.is_err() { return },
            }
        }
    }
}

fn watch_devices(sys: &Path, socket: &UeventSocket, mut loader: ModuleLoader, seen: &watch::Sender<Seen>) {
    let mut message = last_number(sys);
    loader.load_always();
    coldplug(sys, &mut loader);
    seen.send_replace(Seen { message: Some(message), last_change: Instant::now() });
    while !seen.is_closed() {
        match socket.receive(WAKE_UP) {
            Ok(Received::Quiet) => continue,
            Ok(Received::Lost) => {
                message = last_number(sys);
                coldplug(sys, &mut loader);
            }
            Ok(Received::Event(event)) => {
                if event.action == "add"
                    && let Some(modalias) = &event.modalias
                {
                    loader.load_for(modalias);
                }
                message = message.max(event.number);
            }
            Err(e) => {
                tracing::warn!("devices that come from now on are not seen: {e}");
                return;
            }
        }
        seen.send_replace(Seen { message: Some(message), last_change: Instant::now() });
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
