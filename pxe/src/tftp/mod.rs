//! TFTP: the tree of names, for firmware and programs that know nothing else.

mod grub_watch;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ezio_contract::{Arch, MachineId, netboot};
use ezio_netproto::tftp::name::slashed;
use ezio_netproto::tftp::server::{File, Handler, Outcome};

use crate::names::{Asker, Names};
use crate::throttle::Throttle;
use grub_watch::GrubWatch;

/// Counts for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent_files: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Serves the tree.
pub(crate) struct Files {
    names: Arc<Names>,
    throttle: Arc<Throttle>,
    counters: Arc<Counters>,
    grub: GrubWatch,
    /// `http://ADDRESS:PORT` of this server.
    base: String,
}

impl Files {
    /// `advertised` is the address that clients call this server, `base` the URL with it.
    pub(crate) fn new(
        names: Arc<Names>,
        throttle: Arc<Throttle>,
        counters: Arc<Counters>,
        advertised: IpAddr,
        base: String,
    ) -> Self {
        let grub = GrubWatch::new(advertised, Arc::clone(&throttle));
        Self { names, throttle, counters, grub, base }
    }
}

impl Handler for Files {
    fn open(&self, path: &str, client: SocketAddr) -> Option<File> {
        if slashed(path).starts_with("grub/") {
            self.grub.has_asked(client.ip());
        }
        let asker = Asker { address: client.ip(), base: self.base.clone(), machine: MachineId::default() };
        self.names.open(path, &asker).map(|found| Arc::new(found.bytes) as File)
    }

    fn ended(&self, path: &str, client: SocketAddr, outcome: Outcome) {
        match outcome {
            Outcome::Sent { bytes } => {
                self.counters.sent_files.fetch_add(1, Ordering::Relaxed);
                self.counters.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                tracing::info!("tftp: {client} has {:?} ({bytes} bytes)", slashed(path));
                if slashed(path).rsplit('/').next().is_some_and(is_grub) {
                    self.grub.has_grub(client.ip());
                }
            }
            // Boot programs try many names that need not exist.
            Outcome::NotFound => tracing::debug!("tftp: {client} asks for {path:?}, which is not served"),
            Outcome::Cancelled(why) => tracing::debug!("tftp: {client} cancelled {path:?}: {why}"),
            Outcome::Silent { bytes } => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                self.throttle
                    .warn("tftp", || format!("{client} fell silent after {bytes} bytes of {path:?}"));
            }
            Outcome::Refused(why) | Outcome::Garbage(why) | Outcome::Failed(why) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                self.throttle.warn("tftp", || format!("{client}: {why}"));
            }
        }
    }
}

fn is_grub(file: &str) -> bool {
    Arch::ALL.into_iter().any(|arch| file == netboot::grub(arch))
}
