//! Which targets get the image, and the plan for each: made and checked before anything is touched.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use ezio_disk::{Disk, LocateError, PartitionSpan, choose, locate};
use ezio_image::conf::{Grow, Orders, Overwrite, Regenerate, Target, Write};
use ezio_image::layout::NewIds;
use ezio_image::plan::{Plan, Room};

use super::grow::GrowthOnDevice;
use super::image::Image;
use crate::target::volume::OnDisk;

const BOOT_ENTRIES: &str =
    "boot entries for the loaders found there, in place of those for what was there before";

/// What goes where.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// Names of the images.
    pub(crate) images: Vec<String>,
    /// At least one.
    pub(crate) targets: Vec<PlannedTarget>,
    /// Firmware that starts by UEFI gets boot entries for what is on them then.
    pub(crate) boot_entries: bool,
}

/// One target, and what is done to it.
#[derive(Debug)]
pub(crate) struct PlannedTarget {
    /// Device node.
    pub(crate) path: PathBuf,
    /// As people know it.
    pub(crate) name: String,
    /// Size in bytes when it was chosen.
    pub(crate) size: u64,
    pub(crate) plan: Plan,
    /// What may be on it.
    pub(crate) overwrite: Overwrite,
    /// It may be in use by somebody else.
    pub(crate) shared: bool,
    /// Ids of partitions that its table gets in place of others.
    pub(crate) new_ids: NewIds,
}

impl Assignment {
    /// Chooses the targets among these disks, and checks that the images (one for each of `orders.writes`) fit them.
    pub(crate) fn make(images: &[Image], orders: &Orders, disks: &[Disk]) -> anyhow::Result<Self> {
        ensure!(
            orders.writes.len() == 1 || !orders.identity.regenerate.contains(&Regenerate::FsUuid),
            "regenerate = [\"fs-uuid\"] is for machines with one image: what is on one disk may name file systems of another"
        );
        let mut free = disks.to_vec();
        let mut targets: Vec<PlannedTarget> = Vec::new();
        for (image, write) in images.iter().zip(&orders.writes) {
            let orders = Orders { grow: grow_of(image, orders, images).clone(), ..orders.clone() };
            let planned = targets_for(image, write, &orders, &free)
                .with_context(|| format!("image {}", image.name()))?;
            for disk in free.iter_mut().filter(|disk| planned.iter().any(|target| target.path == disk.path)) {
                disk.take_for(image.name());
            }
            targets.extend(planned);
        }
        let boot_entries = orders.uefi.entries && orders.writes.iter().any(is_for_disk);
        let images = images.iter().map(|image| image.name().to_owned()).collect();
        Ok(Self { images, targets, boot_entries })
    }

    /// Bytes to receive: what several targets get comes once.
    pub(crate) fn payload_bytes(&self) -> u64 {
        let payloads = self.targets.iter().flat_map(|target| target.plan.payloads());
        let each: HashMap<_, u64> = payloads
            .map(|payload| (payload.metainfo.info_hash().as_string(), payload.extents.total_length()))
            .collect();
        each.values().sum()
    }

    /// What the plans say beside their steps; with several images, of which disk.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for target in &self.targets {
            for note in target.plan.notes() {
                let note = match self.images.as_slice() {
                    [_] => note.clone(),
                    _ => format!("{}: {note}", target.path.display()),
                };
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    /// The targets as people know them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.targets.iter().map(|t| t.name.clone()).collect()
    }

    /// The targets' device nodes, parted by blanks.
    pub(crate) fn paths(&self) -> String {
        let paths: Vec<String> = self.targets.iter().map(|t| t.path.display().to_string()).collect();
        paths.join(" ")
    }
}

/// A partition that is to grow by its name is of the image that has one, where there are several.
fn grow_of<'a>(image: &Image, orders: &'a Orders, images: &[Image]) -> &'a Grow {
    let elsewhere =
        |name: &str| !image.has_partition(name) && images.iter().any(|other| other.has_partition(name));
    if orders.grow.partition().is_some_and(elsewhere) { &Grow::None } else { &orders.grow }
}

fn is_for_disk(write: &Write) -> bool {
    matches!(write.target, Target::WholeDisk { .. })
}

fn targets_for(
    image: &Image,
    write: &Write,
    orders: &Orders,
    disks: &[Disk],
) -> anyhow::Result<Vec<PlannedTarget>> {
    match &write.target {
        Target::WholeDisk { all } => {
            let chosen = choose(disks, &write.disk, image.needed_for_disk()?, *all);
            let chosen = chosen.map_err(|error| with_help(error.is_about_size(), error, image))?;
            chosen.iter().map(|disk| for_disk(image, disk, orders, write.overwrite)).collect()
        }
        Target::Partition(selector) => {
            let wanted = write.partition.as_deref();
            let target = locate(disks, selector, &write.disk, image.needed_for_partition(wanted)?);
            let target = target.map_err(|error| {
                let small = matches!(error, LocateError::Refused { only_too_small: true, .. });
                with_help(small, error, image)
            })?;
            let name = target.to_string();
            ensure!(
                orders.identity.regenerate.is_empty(),
                "regenerate makes ids of a whole disk anew, but the target is one partition"
            );
            let room = Room { size: target.size, start: target.start, sector_size: Some(target.sector_size) };
            let plan = image.plan_for_partition(wanted, room, &orders.grow).with_context(|| name.clone())?;
            let (path, size) = (target.path, target.size);
            let (overwrite, new_ids) = (write.overwrite, NewIds::new());
            Ok(vec![PlannedTarget { path, name, size, plan, overwrite, shared: false, new_ids }])
        }
    }
}

/// A refusal, and where a smaller image would do, what makes one.
fn with_help(would_do: bool, error: impl Into<anyhow::Error>, image: &Image) -> anyhow::Error {
    let error = error.into();
    match image {
        Image::Directory(parts) if would_do => {
            let name = &parts.manifest.name;
            anyhow!(
                "{error}\n  on the server, \"image-builder shrink {name} -o OUT\" makes an image that needs less room"
            )
        }
        _ => error,
    }
}

fn for_disk(
    image: &Image,
    disk: &Disk,
    orders: &Orders,
    overwrite: Overwrite,
) -> anyhow::Result<PlannedTarget> {
    let name = disk.to_string();
    if orders.identity.regenerate.contains(&Regenerate::FsUuid) {
        image.allows_new_volume_ids()?;
    }
    let (image, new_ids) = match orders.identity.regenerate.contains(&Regenerate::DiskGuid) {
        true => image.with_new_table_ids().map(|(image, ids)| (Cow::Owned(image), ids))?,
        false => (Cow::Borrowed(image), NewIds::new()),
    };
    let plan =
        image.plan_for_disk(disk.size, disk.sector_size, &orders.grow).with_context(|| name.clone())?;
    let (path, size) = (disk.path.clone(), disk.size);
    Ok(PlannedTarget { path, name, size, plan, overwrite, shared: false, new_ids })
}

impl PlannedTarget {
    /// Partition nodes that the kernel should show afterwards, below sysfs: `block/sda/sda1`.
    pub(crate) fn expected_nodes(&self) -> Vec<PathBuf> {
        let partitions = self.plan.layout().map(|layout| layout.partitions()).unwrap_or_default();
        let disk = Path::new("block").join(self.path.file_name().unwrap_or_default());
        partitions.iter().map(|p| disk.join(self.partition_name(p.number))).collect()
    }

    /// The file system that is to be made longer, and the node that its partition has by then.
    pub(crate) fn growth(&self) -> Option<GrowthOnDevice> {
        let growth = self.plan.growth()?.clone();
        let device = match growth.number {
            Some(number) => self.path.with_file_name(self.partition_name(number)),
            None => self.path.clone(),
        };
        let spans = self.plan.layout().map(PartitionSpan::of).unwrap_or_default();
        let span = spans.into_iter().find(|span| Some(span.number) == growth.number);
        let partition = span.map(|span| OnDisk { disk: self.path.clone(), span });
        Some(GrowthOnDevice { partition, device, growth })
    }

    /// Kernel's name of a partition of this disk: "nvme0n1" + "p1", "sda" + "1": a number is parted from a number.
    fn partition_name(&self, number: u32) -> String {
        let disk = self.path.file_name().unwrap_or_default().to_string_lossy();
        let separator = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
        format!("{disk}{separator}{number}")
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for target in &self.targets {
            writeln!(f, "{}:", target.name)?;
            writeln!(f, "{}", target.plan.to_string().trim_end())?;
        }
        if self.boot_entries {
            writeln!(f, "then, on a UEFI machine: {BOOT_ENTRIES}")?;
        }
        Ok(())
    }
}
