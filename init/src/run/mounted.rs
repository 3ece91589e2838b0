//! A file system of a target, mounted for a moment where nobody else looks for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// On a running system and in the initrd alike; gone after a restart.
const FOLDER: &str = "/run";

/// A mounted file system. It is unmounted when dropped; whoever wrote to it calls [`Mounted::unmount`], which tells whether
/// all of it is on the medium.
#[derive(Debug)]
pub(crate) struct Mounted {
    /// None once it is unmounted.
    folder: Option<PathBuf>,
}

impl Mounted {
    /// Mounts what is on `device`, to be changed. The kernel asks for the module if it lacks it.
    pub(crate) fn mount(device: &Path, filesystem: &str) -> anyhow::Result<Self> {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        let folder = Path::new(FOLDER).join(format!("ezio-{}-{name}", std::process::id()));
        let context = || format!("mounting the {filesystem} on {}", device.display());
        fs::create_dir_all(&folder).with_context(context)?;
        // Nothing on a target is ever run.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
        let mounted = mount(Some(device), &folder, Some(filesystem), flags, options(filesystem));
        if let Err(error) = mounted {
            // It is empty, and stays so.
            let _ = fs::remove_dir(&folder);
            return Err(error).with_context(context);
        }
        Ok(Self { folder: Some(folder) })
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(FOLDER))
    }

    /// Writes everything out and unmounts it.
    pub(crate) fn unmount(mut self) -> anyhow::Result<()> {
        let Some(folder) = self.folder.take() else { return Ok(()) };
        umount2(&folder, MntFlags::UMOUNT_NOFOLLOW)
            .with_context(|| format!("unmounting {}", folder.display()))?;
        fs::remove_dir(&folder).with_context(|| format!("removing {}", folder.display()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            // An error is on its way already; the kernel writes out what there is when the last user has gone.
            let _ = umount2(&folder, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
            let _ = fs::remove_dir(&folder);
        }
    }
}

/// XFS refuses a second file system with the UUID of one that is mounted: the golden disk may be, where this is made.
fn options(filesystem: &str) -> Option<&'static str> {
    (filesystem == "xfs").then_some("nouuid")
}
