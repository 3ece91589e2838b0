//! Restarts the machine, or switches it off.

use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};

/// Longest wait for the last writes of the system; a dead disk must not hold the machine.
const SYNC_BOUND: Duration = Duration::from_secs(60);

/// Writes out what is still in memory, then restarts or switches off. Comes back only if the kernel will not.
pub(crate) fn leave(mode: RebootMode) -> anyhow::Error {
    let (done, synced) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        nix::unistd::sync();
        // The receiver may have given up.
        let _ = done.send(());
    });
    let _ = synced.recv_timeout(SYNC_BOUND);
    match reboot(mode) {
        Err(error) => anyhow::Error::from(error).context("asking the kernel to restart or switch off"),
    }
}
