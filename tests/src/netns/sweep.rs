//! Clean-up: namespaces and work folders carry their owner's process id in their names, so that
//! Ctrl-C, and the next run after a crash, can remove exactly what belongs to nobody any more.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::command::output;

const PREFIX: &str = "ezio-room-";
const WORK_ROOT: &str = "/dev/shm";

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// Prefix of everything that this process makes.
pub(super) fn own_prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// A folder in memory for images and targets; removed when dropped.
#[derive(Debug)]
pub struct WorkFolder(std::path::PathBuf);

impl WorkFolder {
    /// Makes a new, empty one that every user may enter.
    ///
    /// # Errors
    /// `/dev/shm` is not writable.
    pub fn create() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let name = format!("{}{}", own_prefix(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(WORK_ROOT).join(name);
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        // opentracker and transmission drop to users of their own.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("open up {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn namespaces() -> Vec<String> {
    let list = output("ip", &["netns", "list"]).unwrap_or_default();
    list.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// Kills every process in a namespace.
pub(super) fn kill_namespace(space: &str) -> Result<()> {
    let pids = output("ip", &["netns", "pids", space])?;
    for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        // It may have ended by itself in the meantime.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Ok(())
}

/// Removes namespaces by prefix, with the processes in them. Errors are of no use to anyone here.
pub(super) fn remove_namespaces(prefix: &str) {
    remove(namespaces().into_iter().filter(|name| name.starts_with(prefix)));
}

fn remove(spaces: impl Iterator<Item = String>) {
    for space in spaces {
        let _ = kill_namespace(&space);
        let _ = output("ip", &["netns", "del", &space]);
    }
}

fn remove_folders(which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(WORK_ROOT).into_iter().flatten().flatten() {
        if which(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes what processes of ours that are gone have left behind.
pub fn sweep() {
    remove(namespaces().into_iter().filter(|name| is_orphan(name)));
    remove_folders(is_orphan);
}

/// From here on SIGINT and SIGTERM remove what this process has made, and end it. To be called
/// first in `main`: every later thread inherits the blocked signals.
///
/// # Errors
/// The signals cannot be blocked, or the thread cannot be started.
pub fn clean_up_on_interrupt() -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block().context("block SIGINT and SIGTERM")?;
    let wait = move || {
        if signals.wait().is_ok() {
            let prefix = own_prefix();
            remove_namespaces(&prefix);
            remove_folders(|name| name.starts_with(&prefix));
            std::process::exit(130);
        }
    };
    std::thread::Builder::new().name("interrupt".into()).spawn(wait).context("start the signal thread")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_owns_is_an_orphan() {
        assert!(!is_orphan(&format!("{}0-sw", own_prefix())));
        assert!(is_orphan("ezio-room-4194305-0-sw"), "above the kernel's largest process id");
        assert!(!is_orphan("ezio-room-x"));
        assert!(!is_orphan("cls7"));
    }
}
