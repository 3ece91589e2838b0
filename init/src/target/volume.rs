//! Where a file system of a target is: on a partition, or on a logical volume of LVM that is one stretch of one. Device-mapper
//! is not needed for that: for a moment the kernel takes the logical volume for the partition.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ezio_disk::{BlockTarget, PartitionNode, PartitionSpan, partitions};
use ezio_image::lvm::PhysicalVolume;

/// Why a logical volume is not looked into.
pub(crate) const IN_ONE_PIECE: &str = "only logical volumes that are linear and in one piece are reached";

/// A partition on a disk that the kernel knows.
#[derive(Debug, Clone)]
pub(crate) struct OnDisk {
    pub(crate) disk: PathBuf,
    pub(crate) span: PartitionSpan,
}

/// A volume.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    /// Node of the partition; of a target without partitions, its own.
    device: PathBuf,
    within: Within,
}

#[derive(Debug, Clone)]
enum Within {
    /// All of the device.
    All,
    /// A logical volume, by its name and that of its group; and where it lies, which is of the same number.
    Logical { name: String, partition: OnDisk, place: PartitionSpan },
    /// Logical volumes that are not one stretch.
    Scattered { names: String },
}

impl Volume {
    /// All of a device.
    pub(crate) fn whole(device: PathBuf) -> Self {
        Self { device, within: Within::All }
    }

    /// A logical volume that is these bytes of its partition.
    pub(crate) fn logical(device: PathBuf, partition: OnDisk, name: String, bytes: Range<u64>) -> Self {
        let (start, length) = (partition.span.start + bytes.start, bytes.end - bytes.start);
        let place = PartitionSpan { start, length, ..partition.span };
        Self { device, within: Within::Logical { name, partition, place } }
    }

    /// Why nothing can be read in it, if that is so.
    pub(crate) fn out_of_reach(&self) -> Option<&'static str> {
        matches!(self.within, Within::Scattered { .. }).then_some(IN_ONE_PIECE)
    }

    /// Lets `work` have it as a device, which is there for as long as it takes.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let Within::Logical { partition, place, .. } = &self.within else { return work(&self.device) };
        let disk = BlockTarget::open_shared(&partition.disk)?;
        disk.replace_partition(*place)?;
        let done = work(&self.device);
        // Whatever came of it.
        disk.replace_partition(partition.span)?;
        done
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.within {
            Within::All => self.device.display().fmt(f),
            Within::Logical { name, .. } | Within::Scattered { names: name } => {
                write!(f, "{} in {}", name, self.device.display())
            }
        }
    }
}

/// The volumes of a target, by sysfs: those of its partitions in the order of their numbers, or all of it where it has none.
pub(crate) fn volumes_of(target: &Path, sys: &Path) -> anyhow::Result<Vec<Volume>> {
    let disk = target.canonicalize().with_context(|| format!("looking for {}", target.display()))?;
    let partitions = partitions(sys, &disk);
    if partitions.is_empty() {
        return Ok(vec![Volume::whole(disk)]);
    }
    let mut volumes = Vec::new();
    for PartitionNode { path: device, number, start, size: length, .. } in partitions {
        let looking = || format!("looking at {}", device.display());
        let physical = BlockTarget::open_shared(&device).with_context(looking)?;
        match PhysicalVolume::read(&physical).with_context(looking)? {
            None => volumes.push(Volume::whole(device)),
            Some(physical) => {
                let span = PartitionSpan { number, start, length };
                volumes.extend(logical(&physical, &device, &OnDisk { disk: disk.clone(), span }));
            }
        }
    }
    Ok(volumes)
}

/// The logical volumes of a physical one.
fn logical(physical: &PhysicalVolume, device: &Path, partition: &OnDisk) -> Vec<Volume> {
    let (mut volumes, mut scattered) = (Vec::new(), Vec::new());
    for volume in &physical.logical {
        let name = format!("{}/{}", physical.group, volume.name);
        match volume.only_place(&physical.label.uuid) {
            Some(bytes) => {
                volumes.push(Volume::logical(device.to_owned(), partition.clone(), name, bytes));
            }
            None => scattered.push(name),
        }
    }
    if !scattered.is_empty() {
        let within = Within::Scattered { names: scattered.join(", ") };
        volumes.push(Volume { device: device.to_owned(), within });
    }
    volumes
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Sysfs counts in 512 bytes. What the partitions hold is looked at: these are files of nothing.
    #[test]
    fn partitions_are_found_by_sysfs_in_order() {
        let root = tempfile::tempdir().unwrap();
        let disk = root.path().join("sda");
        fs::write(&disk, "").unwrap();
        let sys = root.path().join("sys");
        let shown = || {
            let volumes = volumes_of(&disk, &sys).unwrap();
            volumes.iter().map(|volume| volume.device.clone()).collect::<Vec<_>>()
        };
        let real = disk.canonicalize().unwrap();
        assert_eq!(shown(), std::slice::from_ref(&real));
        for (name, number) in [("sda10", "10\n"), ("sda2", "2\n")] {
            let folder = sys.join("block/sda").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(root.path().join(name), "").unwrap();
            for (file, text) in [("partition", number), ("start", "2048\n"), ("size", "4096\n")] {
                fs::write(folder.join(file), text).unwrap();
            }
        }
        fs::create_dir_all(sys.join("block/sda/queue")).unwrap();
        assert_eq!(shown(), ["sda2", "sda10"].map(|name| real.with_file_name(name)));
    }
}
