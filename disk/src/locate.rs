//! Finding the one partition that is meant.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use ezio_image::conf::{DiskRule, PartitionSelector};
use ezio_image::filesystem;
use ezio_image::layout::{Entry, Layout, Table};
use thiserror::Error;

use crate::choose::{objections, too_small_by};
use crate::discover::{Disk, SYSFS_SECTOR};

/// A partition that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTarget {
    /// Device node.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Byte of the disk at which it begins; none of a volume that lies on no disk alone.
    pub start: Option<u64>,
    /// Bytes a logical sector.
    pub sector_size: u32,
    /// The disk that it is on, as people know it.
    pub disk: String,
}

impl fmt::Display for PartitionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.path.display(), self.disk)
    }
}

/// Why there is no partition to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LocateError {
    /// None has that name.
    #[error("there is no partition {wanted}{}", rows(seen))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Partitions that there are.
        seen: Vec<String>,
    },
    /// Several have it.
    #[error("{} partitions are {wanted}, and only one may be{}", found.len(), rows(found))]
    Several {
        /// What was asked for.
        wanted: String,
        /// Those that have that name.
        found: Vec<String>,
    },
    /// It may not be written.
    #[error("the partition {partition} cannot be written: it {}", reasons.join(", "))]
    Refused {
        /// The partition.
        partition: String,
        /// Everything that speaks against it.
        reasons: Vec<String>,
        /// It is its size alone: it would do for a smaller image.
        only_too_small: bool,
    },
}

fn rows(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

/// One thing that could be meant.
struct Candidate<'a> {
    disk: &'a Disk,
    path: &'a Path,
    size: u64,
    start: Option<u64>,
    links: &'a [PathBuf],
    labels: Vec<String>,
    part_uuid: Option<String>,
    in_use: Option<&'a str>,
}

impl Candidate<'_> {
    fn is(&self, selector: &PartitionSelector) -> bool {
        match selector {
            PartitionSelector::Path(path) => self.path == path || self.links.contains(path),
            PartitionSelector::Label(label) => self.labels.contains(label),
            PartitionSelector::PartUuid(uuid) => {
                self.part_uuid.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(uuid))
            }
        }
    }

    fn describe(&self) -> String {
        let mut out = format!("{} on {}", self.path.display(), self.disk);
        for label in &self.labels {
            out += &format!(" LABEL={label}");
        }
        if let Some(uuid) = &self.part_uuid {
            out += &format!(" PARTUUID={uuid}");
        }
        out
    }
}

/// Finds the partition that `selector` names, on a disk that `rule` allows, with `needed` bytes.
/// Reads partition tables and superblocks of the disks through their nodes, where it may.
///
/// # Errors
/// None or several have that name, or it is in use, too small, or on a disk that does not fit.
pub fn locate(
    disks: &[Disk],
    selector: &PartitionSelector,
    rule: &DiskRule,
    needed: u64,
) -> Result<PartitionTarget, LocateError> {
    let candidates: Vec<Candidate<'_>> = disks.iter().flat_map(candidates_of).collect();
    let mut found: Vec<&Candidate<'_>> = candidates.iter().filter(|c| c.is(selector)).collect();
    if found.is_empty() {
        let seen = candidates.iter().filter(|c| !c.disk.is_virtual).map(Candidate::describe).collect();
        return Err(LocateError::NotFound { wanted: selector.to_string(), seen });
    }
    // The same label on a disk that does not fit is no rival.
    if found.len() > 1 && found.iter().any(|c| refusals(c, rule, needed).is_empty()) {
        found.retain(|c| disk_objections(c, rule).is_empty());
    }
    if found.len() > 1 {
        let found = found.iter().map(|c| c.describe()).collect();
        return Err(LocateError::Several { wanted: selector.to_string(), found });
    }
    let one = found[0];
    let reasons = refusals(one, rule, needed);
    if !reasons.is_empty() {
        let only_too_small = refusals(one, rule, 0).is_empty();
        return Err(LocateError::Refused { partition: one.describe(), reasons, only_too_small });
    }
    Ok(PartitionTarget {
        path: one.path.to_path_buf(),
        size: one.size,
        start: one.start,
        sector_size: one.disk.sector_size,
        disk: one.disk.to_string(),
    })
}

/// Byte of its disk at which a partition's device begins, as sysfs has it; none of what is no partition.
#[must_use]
pub fn start_of(sys: &Path, device: &Path) -> Option<u64> {
    let node = device.canonicalize().ok()?;
    let start =
        std::fs::read_to_string(sys.join("class/block").join(node.file_name()?).join("start")).ok()?;
    start.trim().parse::<u64>().ok()?.checked_mul(SYSFS_SECTOR)
}

/// What speaks against the disk itself. That other partitions of it are in use does not, nor that
/// it is removable: the partition was named.
fn disk_objections(candidate: &Candidate<'_>, rule: &DiskRule) -> Vec<String> {
    let mut disk = candidate.disk.clone();
    disk.in_use = None;
    disk.is_virtual = false;
    let mut rule = rule.clone();
    if rule.removable.is_none() {
        rule.removable = Some(disk.removable || disk.bus == Some(ezio_image::conf::Bus::Usb));
    }
    objections(&disk, &rule).into_iter().map(|reason| format!("is on a disk that {reason}")).collect()
}

fn refusals(candidate: &Candidate<'_>, rule: &DiskRule, needed: u64) -> Vec<String> {
    let mut reasons = disk_objections(candidate, rule);
    reasons.extend(candidate.in_use.map(|how| format!("is {how}")));
    reasons.extend(too_small_by(candidate.size, needed).map(|words| format!("is {words}")));
    reasons
}

/// Label of the file system at `offset`. A disk that cannot be read has none here: writing to it will say why.
fn label(disk: &File, offset: u64) -> Option<String> {
    filesystem::inspect(disk, offset).ok().flatten()?.label
}

fn candidates_of(disk: &Disk) -> Vec<Candidate<'_>> {
    let file = File::open(&disk.path).ok();
    let layout = file.as_ref().and_then(|f| {
        Layout::read_from_disk(f, disk.size, disk.sector_size, &disk.path.to_string_lossy()).ok()
    });
    let mut candidates = Vec::new();
    // A volume (device-mapper, RAID) is itself what a path names.
    if disk.is_virtual {
        candidates.push(Candidate {
            disk,
            path: &disk.path,
            size: disk.size,
            start: None,
            links: &disk.links,
            labels: file.as_ref().and_then(|f| label(f, 0)).into_iter().collect(),
            part_uuid: None,
            in_use: disk.in_use.as_deref(),
        });
    }
    for p in &disk.partitions {
        let mut labels: Vec<String> = p.partition_label.iter().cloned().collect();
        labels.extend(file.as_ref().and_then(|f| label(f, p.start)));
        let part_uuid = layout.as_ref().and_then(|l| part_uuid(l, p.number));
        if let Some(Entry::Gpt { name, .. }) =
            layout.as_ref().and_then(|l| l.partition(p.number)).map(|p| &p.entry)
        {
            labels.push(name.clone());
        }
        labels.retain(|label| !label.is_empty());
        labels.sort();
        labels.dedup();
        candidates.push(Candidate {
            disk,
            path: &p.path,
            size: p.size,
            start: Some(p.start),
            links: &p.links,
            labels,
            part_uuid,
            in_use: p.in_use.as_deref(),
        });
    }
    candidates
}

/// As the kernel prints it: a GPT's own id, or the MBR's disk id and the number.
fn part_uuid(layout: &Layout, number: u32) -> Option<String> {
    match (layout.table(), &layout.partition(number)?.entry) {
        (_, Entry::Gpt { uuid, .. }) => Some(uuid.hyphenated().to_string()),
        (Table::Dos { disk_id }, _) => Some(format!("{disk_id:08x}-{number:02x}")),
        _ => None,
    }
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
