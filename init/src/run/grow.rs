//! Makes file systems as long as their partitions. Comes when nobody is served from the targets any more: what changes
//! here would be another image's.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ezio_disk::{BlockTarget, grow_mounted};
use ezio_image::conf::units::human_size;
use ezio_image::filesystem::{self, Growing, Resize};
use ezio_image::plan::Growth;

use crate::target::mount::{Access, Mounted};
use crate::target::patches;
use crate::target::volume::OnDisk;

/// blkid's name of a physical volume.
const LVM: &str = "LVM2_member";

/// A file system to be grown, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct GrowthOnDevice {
    /// Its partition on the disk that was written; none where the target is what the file system is on.
    pub(super) partition: Option<OnDisk>,
    /// Node of its partition.
    pub(super) device: PathBuf,
    pub(super) growth: Growth,
}

impl GrowthOnDevice {
    /// Grows it, and says how long it is then. The deployed system is whole before and after, and whenever this fails.
    pub(crate) fn carry_out(&self) -> anyhow::Result<String> {
        let Self { device, growth, .. } = self;
        let failed = || {
            format!(
                "{}, on {}: the system is deployed and whole, with this file system at its old size",
                growth,
                device.display()
            )
        };
        if growth.filesystem == LVM {
            return self.grow_lvm().with_context(failed);
        }
        let Some(size) = grow(device).with_context(failed)? else {
            bail!("{} holds no file system that can be grown", device.display())
        };
        Ok(format!("{} of {} has {} now", growth.filesystem, growth.name, human_size(size)))
    }
}

/// Makes the file system on a device as long as that, and gives its length; none where there is none that can be grown.
pub(crate) fn grow(device: &Path) -> anyhow::Result<Option<u64>> {
    let target = BlockTarget::open_exclusive(device)?;
    let growing =
        filesystem::growing(&target, 0, target.size()).with_context(|| device.display().to_string())?;
    match growing {
        None => return Ok(None),
        Some(Growing::Written(patches)) => {
            patches::write(&target, &patches)?;
            // It is opened anew below.
            drop(target);
        }
        Some(Growing::Mounted(resize)) => {
            // The kernel wants it for itself.
            drop(target);
            let mounted = Mounted::open(device, resize.kind(), Access::Write)?;
            grow_mounted(&mounted.tree().folder()?, resize).map_err(|error| {
                let why = explain(resize, &error);
                anyhow::Error::from(error).context(why)
            })?;
            mounted.close()?;
        }
    }
    let target = BlockTarget::open_exclusive(device)?;
    // What was read through the device before it was mounted may be cached still.
    target.drop_cache()?;
    let now = filesystem::inspect(&target, 0)?.with_context(|| format!("{} is empty", device.display()))?;
    Ok(Some(now.size))
}

/// What the kernel may have against it; it gives a number alone.
fn explain(resize: Resize, error: &io::Error) -> &'static str {
    match (resize, error.kind()) {
        (Resize::Ext { .. }, ErrorKind::PermissionDenied) => {
            "the kernel lets nobody make ext2/3/4 longer who lacks the capability CAP_SYS_RESOURCE, as in a container"
        }
        (Resize::Ext { .. }, _) => {
            "the kernel does not make this ext2/3/4 longer (it must have the feature resize_inode or meta_bg)"
        }
        (Resize::Xfs { .. }, _) => "the kernel does not make this XFS longer",
        (Resize::Btrfs, _) => "the kernel does not make this btrfs longer (it must lie on this device alone)",
    }
}
