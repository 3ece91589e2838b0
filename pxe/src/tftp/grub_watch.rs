//! Machines that have loaded GRUB, until GRUB asks for its configuration. Where a DHCP server names another boot server
//! than this one, GRUB may turn there, and nobody would know why the machine stands still.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::throttle::Throttle;

/// How long GRUB may take from its own arrival to its first file.
const GRUB_STARTS: Duration = Duration::from_secs(20);
/// Machines that are watched on that way at a time.
const MAX_WATCHED: usize = 1024;

type Watched = Mutex<HashSet<IpAddr>>;

/// Says in the log which machine got lost, and what to do.
pub(super) struct GrubWatch {
    watched: Arc<Watched>,
    /// What the other DHCP server should name.
    advertised: IpAddr,
    throttle: Arc<Throttle>,
}

fn lock(watched: &Watched) -> MutexGuard<'_, HashSet<IpAddr>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GrubWatch {
    pub(super) fn new(advertised: IpAddr, throttle: Arc<Throttle>) -> Self {
        Self { watched: Arc::default(), advertised, throttle }
    }

    /// GRUB runs there and finds its way here.
    pub(super) fn has_asked(&self, client: IpAddr) {
        lock(&self.watched).remove(&client);
    }

    /// GRUB was sent there.
    pub(super) fn has_grub(&self, client: IpAddr) {
        {
            let mut watched = lock(&self.watched);
            if watched.len() >= MAX_WATCHED || !watched.insert(client) {
                return;
            }
        }
        let (watched, throttle) = (Arc::clone(&self.watched), Arc::clone(&self.throttle));
        let advertised = self.advertised;
        tokio::spawn(async move {
            tokio::time::sleep(GRUB_STARTS).await;
            if lock(&watched).remove(&client) {
                throttle.warn("grub", || {
                    format!(
                        "{client} has loaded GRUB, but GRUB does not ask here for its configuration: older than 2.12, it takes \
                         the boot server from the DHCP server that leased the address. Set next-server to {advertised} there"
                    )
                });
            }
        });
    }
}
