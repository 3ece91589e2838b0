//! Devices, as they come: a thread loads modules for all that is there and for all that the kernel
//! announces, and whoever waits for a device is woken when something has changed. Modules that the initrd left out are
//! fetched as soon as there is a network.

pub(crate) mod depot;
pub(crate) mod modprobe;
pub(crate) mod modules;
mod on_demand;
mod uevent;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use ezio_disk::Coming;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::modules::{ModuleLoader, coldplug_modaliases};
pub(crate) use self::on_demand::Requests;
use self::on_demand::{SharedLoader, lock};
use self::uevent::{Received, UeventSocket, last_number};

/// Wakes the thread now and then, so that it notices when nobody listens any more.
const WAKE_UP: Duration = Duration::from_secs(5);

/// Where disks may come without a word beforehand: when none has come or gone for so long, all are there. Enough for a
/// USB disk, which gets a second to start.
const QUIET: Duration = Duration::from_secs(2);
/// A driver that gives a disk up says nothing.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the device thread has seen so far.
#[derive(Debug, Clone)]
struct Seen {
    /// Number of the kernel's message up to which all devices have been looked at and have their modules, or wait for
    /// them; none before those that were there at the start have been.
    message: Option<u64>,
    /// When the last change was.
    last_change: Instant,
    /// Devices whose modules are being fetched, or will be.
    fetching: usize,
    /// Devices whose modules could not be had, and why.
    without_driver: Vec<WithoutDriver>,
}

/// A device whose modules could not be had.
#[derive(Debug, Clone)]
struct WithoutDriver {
    modalias: String,
    why: String,
}

impl WithoutDriver {
    /// Keyboards and mice (interface class 3 of USB; behind it the bus `hid`) have no disk; whatever else lacks its
    /// driver may.
    fn may_have_a_disk(&self) -> bool {
        !self.modalias.starts_with("hid:") && !self.modalias.contains("ic03isc")
    }
}

impl fmt::Display for WithoutDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no driver for {}: {}", self.modalias, self.why)
    }
}

/// Devices as they come.
#[derive(Debug, Clone)]
pub(crate) struct Devices {
    sys: PathBuf,
    seen: watch::Receiver<Seen>,
}

/// What the device thread does for a device: its modules are loaded, or fetched first.
struct Drivers {
    loader: SharedLoader,
    to_fetch: mpsc::UnboundedSender<String>,
    seen: Arc<watch::Sender<Seen>>,
}

impl Devices {
    /// Begins to listen, then loads what is there. Devices whose modules have to be fetched wait for whoever serves
    /// the requests.
    pub(crate) fn start(sys: &Path, loader: ModuleLoader) -> anyhow::Result<(Self, Requests)> {
        let socket = UeventSocket::open()?;
        let start =
            Seen { message: None, last_change: Instant::now(), fetching: 0, without_driver: Vec::new() };
        let (sender, seen) = watch::channel(start);
        let (loader, sender) = (Arc::new(Mutex::new(loader)), Arc::new(sender));
        let (to_fetch, queue) = mpsc::unbounded_channel();
        let requests = Requests { queue, loader: Arc::clone(&loader), seen: Arc::clone(&sender) };
        let drivers = Drivers { loader, to_fetch, seen: sender };
        let devices = Self { sys: sys.to_owned(), seen };
        let sys = sys.to_owned();
        thread::Builder::new()
            .name("devices".into())
            .spawn(move || watch_devices(&sys, &socket, &drivers))
            .context("starting the device thread")?;
        Ok((devices, requests))
    }

    /// Refuses to go on where the driver of a device that may have a disk could not be fetched: the choice among the
    /// disks that are seen would be another than that among all.
    pub(crate) fn ensure_no_disk_is_hidden(&self) -> anyhow::Result<()> {
        let seen = self.seen.borrow();
        let hiding = seen.without_driver.iter().filter(|device| device.may_have_a_disk());
        let reasons: Vec<String> = hiding.map(ToString::to_string).collect();
        ensure!(reasons.is_empty(), "disks may be hidden: {}", reasons.join("; "));
        Ok(())
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

    /// Waits until all disks are there, at most `bound` after the last module was fetched, which has a bound of its own.
    /// `coming` looks for those that are not.
    pub(crate) async fn settle(&mut self, bound: Duration, coming: impl Fn() -> Coming) {
        let mut end = Instant::now() + bound;
        while Instant::now() < end {
            let (message, last_change, fetching) = {
                let seen = self.seen.borrow_and_update();
                (seen.message, seen.last_change, seen.fetching > 0)
            };
            if fetching {
                end = Instant::now() + bound;
            }
            let up_to_date = message >= Some(last_number(&self.sys)) && !fetching;
            let next = match coming() {
                _ if !up_to_date => end,
                Coming::Nothing => return,
                Coming::Perhaps if last_change.elapsed() >= QUIET => return,
                Coming::Perhaps => last_change + QUIET,
                Coming::Surely => Instant::now() + LOOK_AGAIN,
            };
            tokio::select! {
                () = sleep_until(next.min(end)) => {}
                changed = self.seen.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl Drivers {
    /// Loads the modules that a device asks for, or has them fetched. Says how many files were tried.
    fn ask(&self, modalias: &str) -> usize {
        let asked = lock(&self.loader).load_for(modalias);
        if asked.missing {
            self.seen.send_modify(|seen| seen.fetching += 1);
            // Where nobody fetches any more, the machine has come to its end.
            let _ = self.to_fetch.send(modalias.to_owned());
        }
        asked.tried
    }

    /// Loads modules until no device asks for more: a bus driver brings devices of its own.
    fn coldplug(&self, sys: &Path) {
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            let loaded: usize = coldplug_modaliases(sys).iter().map(|modalias| self.ask(modalias)).sum();
            if loaded == 0 {
                return;
            }
        }
    }

    fn seen_up_to(&self, message: u64) {
        self.seen.send_modify(|seen| (seen.message, seen.last_change) = (Some(message), Instant::now()));
    }
}

fn watch_devices(sys: &Path, socket: &UeventSocket, drivers: &Drivers) {
    let mut message = last_number(sys);
    lock(&drivers.loader).load_always();
    drivers.coldplug(sys);
    drivers.seen_up_to(message);
    while !drivers.seen.is_closed() {
        match socket.receive(WAKE_UP) {
            Ok(Received::Quiet) => continue,
            Ok(Received::Lost) => {
                message = last_number(sys);
                drivers.coldplug(sys);
            }
            Ok(Received::Event(event)) => {
                if event.action == "add"
                    && let Some(modalias) = &event.modalias
                {
                    drivers.ask(modalias);
                }
                message = message.max(event.number);
            }
            Err(e) => {
                tracing::warn!("devices that come from now on are not seen: {e}");
                return;
            }
        }
        drivers.seen_up_to(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_may_be_hidden_where_any_driver_is_missing_but_that_of_a_keyboard() {
        let device = |modalias: &str| WithoutDriver {
            modalias: modalias.to_owned(),
            why: "modules/x.ko: no such file".to_owned(),
        };
        let refused = |modaliases: &[&str]| {
            let without_driver = modaliases.iter().map(|modalias| device(modalias)).collect();
            let seen = Seen { message: None, last_change: Instant::now(), fetching: 0, without_driver };
            let devices = Devices { sys: PathBuf::new(), seen: watch::channel(seen).1 };
            devices.ensure_no_disk_is_hidden().map_err(|error| error.to_string())
        };
        let keyboard =
            ["usb:v046DpC31Cd4920dc00dsc00dp00ic03isc01ip01in00", "hid:b0003g0001v0000046Dp0000C31C"];
        assert_eq!(refused(&keyboard), Ok(()));
        let stick = "usb:v0781p5581d0100dc00dsc00dp00ic08isc06ip50in00";
        let error = refused(&[keyboard[0], "pci:v00008086d00002922bc01", stick]).unwrap_err();
        assert_eq!(
            error,
            format!(
                "disks may be hidden: no driver for pci:v00008086d00002922bc01: modules/x.ko: no such file; no driver for \
                 {stick}: modules/x.ko: no such file"
            )
        );
    }
}
