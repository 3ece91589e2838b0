//! Mounts a partition of a target. The mount is attached nowhere: no path leads to it, and it goes with the last handle,
//! even when this process dies.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ezio_image::filesystem::Kind;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::syncfs;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

use super::tree::Tree;

/// Longest complaint of a file system driver that is passed on, in bytes.
const MAX_COMPLAINT: usize = 1024;

/// Succeeds where nobody else has the device for himself, be it by a mount.
fn exclusive(device: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).custom_flags(nix::libc::O_EXCL).open(device).map(drop)
}

/// What may be done to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// They are looked at; not a byte of the partition changes.
    Read,
    /// They are changed.
    Write,
}

/// A mounted file system.
pub(crate) struct Mounted {
    tree: Tree,
    device: PathBuf,
    access: Access,
}

/// The kernel's driver of a file system; none where there is none for what is in the partition.
fn driver(kind: Kind) -> Option<&'static str> {
    match kind {
        // Debian's kernel has this one for all three.
        Kind::Ext => Some("ext4"),
        Kind::Xfs => Some("xfs"),
        Kind::Btrfs => Some("btrfs"),
        Kind::Fat => Some("vfat"),
        Kind::Ntfs => Some("ntfs3"),
        Kind::Luks | Kind::Lvm | Kind::BitLocker => None,
    }
}

/// What a mount is told. Who only reads must not replay a journal either; of XFS, the disk that an image was taken from
/// may be mounted in the same system.
fn options(kind: Kind, access: Access) -> &'static [&'static str] {
    match (kind, access) {
        (Kind::Ext, Access::Read) => &["ro", "noload"],
        (Kind::Xfs, Access::Read) => &["ro", "norecovery", "nouuid"],
        (Kind::Xfs, Access::Write) => &["nouuid"],
        (_, Access::Read) => &["ro"],
        (_, Access::Write) => &[],
    }
}

impl Mounted {
    /// Mounts what is on `device`.
    pub(crate) fn open(device: &Path, kind: Kind, access: Access) -> anyhow::Result<Self> {
        let what = || format!("mounting {} ({kind})", device.display());
        let Some(driver) = driver(kind) else {
            bail!("{}: what is in it cannot be reached", what());
        };
        let context = fsopen(driver, FsOpenFlags::FSOPEN_CLOEXEC)
            .with_context(|| format!("{}: this kernel has no driver {driver}", what()))?;
        let made = (|| {
            fsconfig_set_string(context.as_fd(), "source", device)?;
            for option in options(kind, access) {
                fsconfig_set_flag(context.as_fd(), *option)?;
            }
            fsconfig_create(context.as_fd())
        })();
        made.with_context(|| format!("{}{}", what(), complaint(&context)))?;
        let never = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NOATIME;
        let flags = match access {
            Access::Read => never | MountAttrFlags::MOUNT_ATTR_RDONLY,
            Access::Write => never,
        };
        let root = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).with_context(what)?;
        Ok(Self { tree: Tree::new(root), device: device.to_owned(), access })
    }

    /// Its files.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Takes it off. When this is well, all changes are on the medium and nobody holds the device any more.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let Self { tree, device, access } = self;
        if access == Access::Write {
            syncfs(tree.folder()?)
                .with_context(|| format!("writing out what was changed on {}", device.display()))?;
        }
        drop(tree);
        exclusive(&device)
            .with_context(|| format!("{} is still in use after it was taken off", device.display()))
    }
}

/// What the driver says of a mount that failed.
fn complaint(context: &OwnedFd) -> String {
    let mut text = [0; MAX_COMPLAINT];
    match rustix::io::read(context, &mut text) {
        // "e ext4: …": how grave it is, then who speaks.
        Ok(length) => {
            format!(": {}", String::from_utf8_lossy(&text[..length]).trim_start_matches("e ").trim())
        }
        Err(_) => String::new(),
    }
}
