//! From a checked image to a plan.

use std::sync::Arc;

use uuid::Uuid;

use super::grow::{self, Arrangement, Growth};
use super::stale::Stale;
use super::{CLEARED, Payload, Plan, PlanError, Room, Step, clear, fits};
use crate::conf::{Grow, Regenerate};
use crate::directory::{CheckedImage, Torrent};
use crate::filesystem::refuses_new_id;
use crate::layout::{Layout, NewIds, Partition, Table, TableImage};
use crate::manifest::{Content, PartitionInfo, SourceKind, UNPARTITIONED};
use crate::swap;

impl CheckedImage {
    /// Smallest disk that the whole image can go to, in bytes; `None` for the image of one partition.
    #[must_use]
    pub fn needed_for_disk(&self) -> Option<u64> {
        let disk = self.manifest.disk.as_ref()?;
        let raw = self.torrents.values().map(|t| &t.metainfo).filter(|m| m.is_raw());
        let raw = raw.map(|m| m.total_length()).max().unwrap_or(0);
        Some(match (self.manifest.source.kind, &self.layout) {
            (SourceKind::RawDisk, _) => disk.minimum_size.max(raw),
            (_, Some(layout)) => disk.minimum_size.max(layout.minimum_size()),
            (_, None) => disk.minimum_size,
        })
    }

    /// Smallest partition that partition `wanted` of the image can go to, in bytes; without a name
    /// the only one with content.
    ///
    /// # Errors
    /// It is not clear which one is meant, or there is none.
    pub fn needed_for_partition(&self, wanted: Option<&str>) -> Result<u64, PlanError> {
        Ok(self.partition(wanted)?.0.needed())
    }

    /// The plan for a whole disk of `size` bytes.
    ///
    /// # Errors
    /// It is the image of one partition, does not fit the disk, or has nothing that could grow as it is asked to.
    pub fn plan_for_disk(&self, size: u64, sector_size: u32, grow: &Grow) -> Result<Plan, PlanError> {
        let image = &*self.for_sectors_of(sector_size)?;
        match (image.manifest.source.kind, &image.layout) {
            (SourceKind::Partition, _) => Err(PlanError::NotADisk { image: image.manifest.name.clone() }),
            (SourceKind::RawDisk, _) if *grow != Grow::None => Err(PlanError::Grow {
                name: grow.to_string(),
                why: format!("{} is a raw copy of a disk, of which nothing is known", image.manifest.name),
            }),
            (SourceKind::Disk, Some(layout)) => image.plan_with_table(layout, size, sector_size, grow),
            (SourceKind::RawDisk | SourceKind::Disk, _) => image.plan_without_table(size, sector_size, grow),
        }
    }

    /// The plan for a partition that exists already: its table stays as it is.
    ///
    /// # Errors
    /// It is not clear which of its partitions is meant, or it does not fit.
    pub fn plan_for_partition(
        &self,
        wanted: Option<&str>,
        room: Room,
        grow: &Grow,
    ) -> Result<Plan, PlanError> {
        let Room { size, start, sector_size } = room;
        let (info, torrent) = self.partition(wanted)?;
        self.refuse_sectors(info, sector_size)?;
        // Not the end of the last used block: the file system would say that it is longer than its partition.
        fits(&format!("{} of {}", info.name, self.manifest.name), info.needed(), size)?;
        let growth = growth_of_target(info, grow, size)?;
        let title = format!("image {}, {}, to a partition of {size} bytes", self.manifest.name, info.name);
        let start = start.filter(|_| says_its_start(info));
        let plan = Plan::of_one_payload(title, payload(info, torrent, 0, size), start);
        Ok(Plan { notes: self.manifest.notes.clone(), growth, ..plan })
    }

    /// The image with new ids in its partition table, and which took the place of which.
    ///
    /// # Errors
    /// It has no table, or a Windows that would not start any more.
    pub fn with_new_table_ids(&self, fresh: impl FnMut() -> Uuid) -> Result<(Self, NewIds), PlanError> {
        let refuse = |why: &str| self.no_new_ids(Regenerate::DiskGuid, why);
        let layout = self.layout.as_ref().filter(|_| self.manifest.source.kind == SourceKind::Disk);
        let layout = layout.ok_or_else(|| refuse("there is no partition table of its own in it"))?;
        if self.manifest.partitions.iter().any(|p| p.filesystem.as_deref() == Some("ntfs")) {
            return Err(refuse("the boot store of Windows finds its disk and partitions by these ids"));
        }
        let (layout, ids) = layout.renewed(fresh);
        Ok((self.changed(|image| image.layout = Some(layout)), ids))
    }

    /// Are all its file systems such that they can get new ids?
    ///
    /// # Errors
    /// One cannot, or nothing is known of them.
    pub fn allows_new_volume_ids(&self) -> Result<(), PlanError> {
        let refuse = |why: &str| self.no_new_ids(Regenerate::FsUuid, why);
        if self.manifest.source.kind != SourceKind::Disk {
            return Err(refuse("nothing is known of the file systems in it"));
        }
        let keeps = |name: &str, filesystem: Option<&str>| {
            let (kind, why) = filesystem.and_then(|kind| Some((kind, refuses_new_id(kind)?)))?;
            Some(refuse(&format!("{name} ({kind}) keeps its id: {why}")))
        };
        for info in self.manifest.partitions.iter().filter(|info| info.content != Content::Empty) {
            let logical = info.logical_volumes();
            let refused = logical.iter().find_map(|(volume, in_one_piece)| match in_one_piece {
                true => keeps(&volume.name, volume.filesystem.as_deref()),
                false => Some(refuse(&format!(
                    "the logical volume {} keeps its id: it is not linear and in one piece",
                    volume.name
                ))),
            });
            let own = || keeps(&info.name, info.filesystem.as_deref().filter(|_| logical.is_empty()));
            if let Some(error) = refused.or_else(own) {
                return Err(error);
            }
        }
        Ok(())
    }

    fn no_new_ids(&self, what: Regenerate, why: &str) -> PlanError {
        PlanError::NoNewIds { what, image: self.manifest.name.clone(), why: why.to_owned() }
    }

    fn partition(&self, wanted: Option<&str>) -> Result<(&PartitionInfo, &Torrent), PlanError> {
        let partitions = self.manifest.partitions.iter().filter(|p| !p.is_unpartitioned());
        let filled: Vec<_> = partitions.filter_map(|p| Some((p, self.torrents.get(&p.name)?))).collect();
        let has = || filled.iter().map(|(p, _)| p.name.clone()).collect();
        let image = self.manifest.name.clone();
        match (wanted, &filled[..]) {
            (None, [one]) => Ok(*one),
            (None, _) => Err(PlanError::WhichPartition { image, has: has() }),
            (Some(name), _) => filled
                .iter()
                .find(|(p, _)| p.name == name)
                .copied()
                .ok_or_else(|| PlanError::NoSuchPartition { image, wanted: name.to_owned(), has: has() }),
        }
    }

    /// A raw disk, or one file system on all of a disk.
    fn plan_without_table(&self, size: u64, sector_size: u32, grow: &Grow) -> Result<Plan, PlanError> {
        let image = &self.manifest.name;
        fits(&format!("the image {image}"), self.needed_for_disk().unwrap_or_default(), size)?;
        let mut steps = clear_disk(size);
        let payload_of = |p: &PartitionInfo| Some(payload(p, self.torrents.get(&p.name)?, 0, size));
        let payloads: Vec<_> = self.manifest.partitions.iter().filter_map(payload_of).collect();
        steps.extend(Stale::new(&payloads, &steps).clear(0..size, "on the disk"));
        steps.extend(payloads.into_iter().map(Step::Payload));
        let swap = self.manifest.partitions.iter().find(|p| p.content == Content::Swap);
        steps.extend(swap.map(swap_step).transpose()?);
        let (what, growth) = match (self.manifest.source.kind, &self.manifest.partitions[..]) {
            (SourceKind::Disk, [info]) => ("without a partition table", growth_of_target(info, grow, size)?),
            _ => ("raw", None),
        };
        steps.extend([Step::Sync, Step::Reread]);
        let title = format!("image {image}, {what}, to a disk of {size} bytes with sectors of {sector_size}");
        Ok(Plan { title, steps, layout: None, growth, notes: self.manifest.notes.clone() })
    }

    fn plan_with_table(
        &self,
        layout: &Layout,
        size: u64,
        sector_size: u32,
        grow: &Grow,
    ) -> Result<Plan, PlanError> {
        let needed = self.needed_for_disk().unwrap_or_default();
        // First the layout, whose words are about sectors and its own need.
        layout.encode(size, sector_size)?;
        fits(&format!("the image {}", self.manifest.name), needed, size)?;
        let Arrangement { layout, partitions, growth, notes } = self.arrange(layout, size, grow)?;
        let table = layout.encode(size, sector_size)?;
        let payload_of = |p: &PartitionInfo| Some(payload(p, self.torrents.get(&p.name)?, p.offset, p.size));
        let payloads: Vec<_> = partitions.iter().filter_map(payload_of).collect();
        refuse_moved_over(&payloads, &partitions, &self.manifest.partitions, grow)?;
        let mut steps = clear_disk(size);
        steps.extend(clear_stale(&layout, &table, &partitions, size, &payloads, &steps));
        // Payload first: it is what takes long, and all of it must be done before the table.
        steps.extend(payloads.into_iter().map(Step::Payload));
        for info in partitions.iter().filter(|p| p.content == Content::Swap) {
            steps.push(swap_step(info)?);
        }
        let moved =
            partitions.iter().zip(&self.manifest.partitions).filter(|(now, then)| now.offset != then.offset);
        for info in moved.map(|(now, _)| now).filter(|info| says_its_start(info)) {
            steps.push(Step::Relocate { volume: info.offset..info.offset + info.size, start: info.offset });
        }
        steps.extend(self.hidden_step(&layout));
        let boot_code = self.boot_code.as_deref().unwrap_or_default();
        let kind = match layout.table() {
            Table::Gpt { .. } => "GPT",
            Table::Dos { .. } => "MBR",
        };
        let count = layout.partitions().len();
        let what = format!(
            "{kind} with {count} partitions, {}",
            if boot_code.is_empty() { "no boot code" } else { "boot code" }
        );
        steps.push(Step::Sync);
        steps.push(Step::Table { image: table.with_boot_code(boot_code), what });
        steps.extend([Step::Sync, Step::Reread]);
        let title =
            format!("image {} to a disk of {size} bytes with sectors of {sector_size}", self.manifest.name);
        let notes = self.manifest.notes.iter().cloned().chain(notes).collect();
        Ok(Plan { title, steps, layout: Some(layout), growth, notes })
    }

    fn hidden_step(&self, layout: &Layout) -> Option<Step> {
        let bytes = self.hidden.clone().filter(|bytes| !bytes.is_empty())?;
        let what = "hidden sectors after the MBR".to_owned();
        Some(Step::Write { offset: u64::from(layout.sector_size()), bytes, what })
    }
}

/// How the file system grows where the target is what it is on.
fn growth_of_target(info: &PartitionInfo, grow: &Grow, size: u64) -> Result<Option<Growth>, PlanError> {
    match (grow, grow.partition()) {
        (Grow::None, _) => Ok(None),
        (_, Some(name)) if *name != info.name => {
            let why = format!("{} is what goes there, onto all of the target", info.name);
            Err(PlanError::Grow { name: name.to_owned(), why })
        }
        _ => grow::growth(info, None, size, grow).map(|(growth, _)| growth),
    }
}

fn payload(info: &PartitionInfo, torrent: &Torrent, base: u64, room: u64) -> Payload {
    let (metainfo, extents) = (Arc::clone(&torrent.metainfo), Arc::clone(&torrent.extents));
    Payload { name: info.name.clone(), metainfo, extents, base, room }
}

/// Clears old signatures in partitions, between them, and where a system on the whole disk would have its own.
fn clear_stale(
    layout: &Layout,
    table: &TableImage,
    partitions: &[PartitionInfo],
    size: u64,
    payloads: &[Payload],
    cleared: &[Step],
) -> Vec<Step> {
    let mut stale = Stale::new(payloads, cleared);
    // An extended partition is the logical ones and the gaps between them.
    let extended = |info: &PartitionInfo| layout.partition(info.number).is_some_and(Partition::is_extended);
    let mut steps = Vec::new();
    for info in partitions.iter().filter(|info| !extended(info) && !info.is_unpartitioned()) {
        steps.extend(stale.clear(info.offset..info.offset + info.size, &format!("in {}", info.name)));
    }
    for gap in layout.gaps(size) {
        steps.extend(stale.clear(gap, "between partitions"));
    }
    // Of a boot record in an extended partition the table is not all.
    let sector = u64::from(layout.sector_size());
    let records = table.writes().iter().map(|(at, _)| at / sector * sector..(at / sector + 1) * sector);
    steps.extend(stale.clear_places(records, "old boot records".to_owned()));
    steps.extend(stale.clear(0..size, "on the disk"));
    steps
}

fn clear_disk(size: u64) -> Vec<Step> {
    let head = size.min(CLEARED);
    let tail = (size - head).min(CLEARED);
    let mut steps = vec![clear(0..head, "old table and boot code")];
    if tail > 0 {
        steps.push(clear(size - tail..size, "old backup of a GPT"));
    }
    steps
}

/// A partition that moves or grows must not come to lie where something is kept that lies outside all partitions.
fn refuse_moved_over(
    payloads: &[Payload],
    now: &[PartitionInfo],
    then: &[PartitionInfo],
    grow: &Grow,
) -> Result<(), PlanError> {
    let outside = payloads.iter().filter(|payload| payload.name == UNPARTITIONED);
    let runs: Vec<_> = outside.flat_map(|payload| payload.extents.extents()).collect();
    let place = |info: &PartitionInfo| (info.offset, info.size);
    let changed = now.iter().zip(then).filter(|(now, then)| place(now) != place(then)).map(|(now, _)| now);
    for info in changed {
        let end = info.offset + info.size;
        if let Some(run) = runs.iter().find(|run| run.offset < end && info.offset < run.offset + run.length) {
            let (name, at) = (&info.name, run.offset);
            let why =
                format!("{name} would come to where byte {at} lies, which is kept outside all partitions");
            return Err(PlanError::Grow { name: grow.to_string(), why });
        }
    }
    Ok(())
}

/// May its boot sector say where it lies?
fn says_its_start(info: &PartitionInfo) -> bool {
    matches!(info.filesystem.as_deref(), Some("vfat" | "exfat" | "ntfs"))
}

fn swap_step(info: &PartitionInfo) -> Result<Step, PlanError> {
    let bytes = swap::signature(info.size, info.uuid.as_deref(), info.label.as_deref())
        .map_err(|source| PlanError::Swap { name: info.name.clone(), source })?;
    Ok(Step::Write { offset: info.offset, bytes, what: format!("swap {}", info.name) })
}
