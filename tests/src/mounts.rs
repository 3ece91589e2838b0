//! Mounts that nobody else sees.

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// From now on only this thread, and what it starts, sees what it mounts. Else whoever copies the mounts of the system
/// meanwhile (as `ip netns exec` does) holds them, and their loop devices, for as long as it runs.
///
/// # Errors
/// We are not root.
pub fn keep_private() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("making mounts private")
}
