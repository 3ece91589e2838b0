//! LVM that fills its partition: the physical volume, a logical one, and the file system on that. Device-mapper is not needed:
//! the logical volume is one stretch of the partition.

use anyhow::{Context, anyhow};
use ezio_disk::BlockTarget;
use ezio_image::conf::units::human_size;
use ezio_image::layout::ReadAt;
use ezio_image::lvm::PhysicalVolume;
use ezio_image::swap;

use super::grow::{GrowthOnDevice, grow};
use crate::target::volume::Volume;

impl GrowthOnDevice {
    /// Grows it, and says how long it is then.
    pub(super) fn grow_lvm(&self) -> anyhow::Result<String> {
        let Self { device, growth, partition } = self;
        let target = BlockTarget::open_exclusive(device)?;
        let volume = PhysicalVolume::read(&target)?.context("there is no LVM that can be read")?;
        let wanted = growth.volume.as_ref().map(|volume| volume.name.as_str());
        let is_swap =
            |start: u64| target.read_vec(start, swap::PAGE).is_ok_and(|page| swap::is_signature(&page));
        let grown = volume
            .grown(target.size(), wanted, |_, place| is_swap(place.start))
            .map_err(|why| anyhow!(why))?;
        let writes = volume.writes(&target, &grown)?.context("its metadata find no room")?;
        for (offset, bytes) in writes {
            target.write_all_at(offset, &bytes)?;
            // What is next makes it valid.
            target.sync()?;
        }
        let size = target.size();
        drop(target);
        let mut said = format!("LVM of {} has {} now", growth.name, human_size(size));
        if let (Some(place), Some(partition), Some(wanted)) = (&grown.volume, partition, &growth.volume) {
            let logical =
                Volume::logical(device.clone(), partition.clone(), wanted.name.clone(), place.clone());
            let size = logical
                .with(grow)?
                .with_context(|| format!("{} holds no file system that can be grown", wanted.name))?;
            said += &format!(", and {} of {} in it {}", wanted.filesystem, wanted.name, human_size(size));
        }
        Ok(said)
    }
}
