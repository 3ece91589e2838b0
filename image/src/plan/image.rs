//! From the parts of an image to a plan, each part checked against the others.

use std::sync::Arc;

use uuid::Uuid;

use super::grow::{self, Arrangement};
use super::stale::Stale;
use super::{CLEARED, ImageParts, Payload, Plan, PlanError, Room, Step, clear, fits};
use crate::conf::Grow;
use crate::layout::{Layout, LayoutError, NewIds, Partition, Table, TableImage};
use crate::manifest::{Content, PartitionInfo, SourceKind, UNPARTITIONED};
use crate::swap;

impl ImageParts {
    /// Smallest disk that the whole image can go to, in bytes; `None` for the image of one partition.
    #[must_use]
    pub fn needed_for_disk(&self) -> Option<u64> {
        let disk = self.manifest.disk.as_ref()?;
        let raw = self.metainfos.values().filter(|m| m.is_raw()).map(|m| m.total_length()).max().unwrap_or(0);
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
        Ok(self.partition(wanted)?.needed())
    }

    /// The plan for a whole disk of `size` bytes.
    ///
    /// # Errors
    /// The image contradicts itself, does not fit the disk, or has nothing that could grow as it is asked to.
    pub fn plan_for_disk(&self, size: u64, sector_size: u32, grow: &Grow) -> Result<Plan, PlanError> {
        self.manifest.check()?;
        match (self.manifest.source.kind, &self.layout) {
            (SourceKind::Partition, _) => Err(PlanError::NotADisk { image: self.manifest.name.clone() }),
            (SourceKind::RawDisk, _) if *grow != Grow::None => Err(PlanError::Grow {
                name: grow.to_string(),
                why: format!("{} is a raw copy of a disk, of which nothing is known", self.manifest.name),
            }),
            (SourceKind::RawDisk, _) => self.plan_for_raw_disk(size, sector_size),
            (SourceKind::Disk, None) => Err(PlanError::Mismatch("the partition table is missing".to_owned())),
            (SourceKind::Disk, Some(layout)) => self.plan_with_table(layout, size, sector_size, grow),
        }
    }

    /// The plan for a partition that exists already: its table stays as it is.
    ///
    /// # Errors
    /// The image contradicts itself, it is not clear which of its partitions is meant, or it does
    /// not fit.
    pub fn plan_for_partition(
        &self,
        wanted: Option<&str>,
        room: Room,
        grow: &Grow,
    ) -> Result<Plan, PlanError> {
        let Room { size, start } = room;
        self.manifest.check()?;
        let info = self.partition(wanted)?;
        let mut payload = self.payload(info, 0)?;
        // Not the end of the last used block: the file system would say that it is longer than its partition.
        fits(&format!("{} of {}", info.name, self.manifest.name), info.needed(), size)?;
        payload.room = size;
        let growth = match grow {
            Grow::None => None,
            Grow::Partition(name) if *name != info.name => {
                let why = format!("the target is a partition, and {} is what goes there", info.name);
                return Err(PlanError::Grow { name: name.clone(), why });
            }
            _ => grow::growth(info, None, size)?,
        };
        let title = format!("image {}, {}, to a partition of {size} bytes", self.manifest.name, info.name);
        let plan = Plan::of_one_payload(title, payload, start.filter(|_| says_its_start(info)));
        Ok(Plan { notes: self.manifest.notes.clone(), growth, ..plan })
    }

    /// The image with new ids in its partition table, and which took the place of which.
    ///
    /// # Errors
    /// It has no table, or a Windows that would not start any more.
    pub fn with_new_table_ids(&self, fresh: impl FnMut() -> Uuid) -> Result<(Self, NewIds), PlanError> {
        let refuse =
            |why: &str| PlanError::NoNewIds { image: self.manifest.name.clone(), why: why.to_owned() };
        let layout = self.layout.as_ref().filter(|_| self.manifest.source.kind == SourceKind::Disk);
        let layout = layout.ok_or_else(|| refuse("there is no partition table of its own in it"))?;
        if self.manifest.partitions.iter().any(|p| p.filesystem.as_deref() == Some("ntfs")) {
            return Err(refuse("the boot store of Windows finds its disk and partitions by these ids"));
        }
        let (layout, ids) = layout.renewed(fresh);
        Ok((Self { layout: Some(layout), ..self.clone() }, ids))
    }

    fn partition(&self, wanted: Option<&str>) -> Result<&PartitionInfo, PlanError> {
        let filled = self.manifest.partitions.iter().filter(|p| p.has_torrent() && !p.is_unpartitioned());
        let filled: Vec<_> = filled.collect();
        let has = || filled.iter().map(|p| p.name.clone()).collect();
        let image = self.manifest.name.clone();
        match (wanted, &filled[..]) {
            (None, [one]) => Ok(one),
            (None, _) => Err(PlanError::WhichPartition { image, has: has() }),
            (Some(name), _) => filled
                .iter()
                .find(|p| p.name == name)
                .copied()
                .ok_or_else(|| PlanError::NoSuchPartition { image, wanted: name.to_owned(), has: has() }),
        }
    }

    /// The payload of a partition, checked against the manifest.
    fn payload(&self, info: &PartitionInfo, base: u64) -> Result<Payload, PlanError> {
        let mismatch = |what: String| PlanError::Mismatch(format!("{}: {what}", info.name));
        let metainfo =
            self.metainfos.get(&info.name).ok_or_else(|| mismatch("its torrent is missing".to_owned()))?;
        let found = metainfo.info_hash().as_string();
        let expected = info.torrent_info_hash().unwrap_or_default();
        if !found.eq_ignore_ascii_case(expected) {
            return Err(mismatch(format!(
                "its torrent has the info hash {found}, the manifest says {expected}"
            )));
        }
        if let Content::Blocks { used, .. } = info.content
            && used != metainfo.total_length()
        {
            let length = metainfo.total_length();
            return Err(mismatch(format!("its torrent has {length} bytes, the manifest says {used}")));
        }
        if matches!(info.content, Content::Raw { .. }) != metainfo.is_raw() {
            return Err(mismatch("one says raw, the other blocks in use".to_owned()));
        }
        let extents =
            metainfo.extents().map_err(|source| PlanError::Torrent { name: info.name.clone(), source })?;
        if extents.target_end() > info.size {
            return Err(mismatch(format!(
                "its torrent writes up to byte {} of a partition of {} bytes",
                extents.target_end(),
                info.size
            )));
        }
        Ok(Payload {
            name: info.name.clone(),
            metainfo: Arc::clone(metainfo),
            extents: Arc::new(extents),
            base,
            room: info.size,
        })
    }

    fn plan_for_raw_disk(&self, size: u64, sector_size: u32) -> Result<Plan, PlanError> {
        let [info] = &self.manifest.partitions[..] else {
            return Err(PlanError::Mismatch("a raw disk has one part".to_owned()));
        };
        let mut payload = self.payload(info, 0)?;
        let needed = self.needed_for_disk().unwrap_or(info.size);
        fits(&format!("the image {}", self.manifest.name), needed, size)?;
        if let Some(disk) = &self.manifest.disk
            && disk.sector_size != sector_size
        {
            return Err(LayoutError::SectorSize { disk: sector_size, image: disk.sector_size }.into());
        }
        payload.room = size;
        let title = format!(
            "image {}, raw, to a disk of {size} bytes with sectors of {sector_size}",
            self.manifest.name
        );
        let mut steps = clear_disk(size);
        let old = Stale::new(std::slice::from_ref(&payload), &steps).clear(0..size, "on the disk");
        steps.extend(old);
        steps.extend([Step::Payload(payload), Step::Sync, Step::Reread]);
        Ok(Plan { title, steps, layout: None, growth: None, notes: self.manifest.notes.clone() })
    }

    fn plan_with_table(
        &self,
        layout: &Layout,
        size: u64,
        sector_size: u32,
        grow: &Grow,
    ) -> Result<Plan, PlanError> {
        self.check_layout(layout)?;
        let needed = self.needed_for_disk().unwrap_or_default();
        // First the layout, whose words are about sectors and its own need.
        layout.encode(size, sector_size)?;
        fits(&format!("the image {}", self.manifest.name), needed, size)?;
        let Arrangement { layout, partitions, growth, notes } = self.arrange(layout, size, grow)?;
        let table = layout.encode(size, sector_size)?;
        let filled = partitions.iter().filter(|p| p.has_torrent());
        let payloads: Vec<_> =
            filled.map(|info| self.payload(info, info.offset)).collect::<Result<_, _>>()?;
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
        steps.extend(self.hidden_step(&layout)?);
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

    /// The table and the manifest name the same partitions at the same places.
    fn check_layout(&self, layout: &Layout) -> Result<(), PlanError> {
        let mismatch = |what: String| Err(PlanError::Mismatch(what));
        if let Some(disk) = &self.manifest.disk
            && disk.sector_size != layout.sector_size()
        {
            return mismatch(format!(
                "the table counts in sectors of {} bytes, the manifest of {}",
                layout.sector_size(),
                disk.sector_size
            ));
        }
        for info in self.partitions() {
            let Some(p) = layout.partition(info.number) else {
                return mismatch(format!("{}: the table has no partition {}", info.name, info.number));
            };
            let range = layout.byte_range(p);
            if (range.start, range.end - range.start) != (info.offset, info.size) {
                return mismatch(format!(
                    "{}: the table puts it at byte {} with {} bytes, the manifest at {} with {}",
                    info.name,
                    range.start,
                    range.end - range.start,
                    info.offset,
                    info.size
                ));
            }
        }
        match layout
            .partitions()
            .iter()
            .find(|p| self.manifest.partitions.iter().all(|i| i.number != p.number))
        {
            Some(p) => mismatch(format!("partition {} of the table is not in the manifest", p.number)),
            None => self.check_unpartitioned(layout),
        }
    }

    /// The partitions of the table.
    fn partitions(&self) -> impl Iterator<Item = &PartitionInfo> {
        self.manifest.partitions.iter().filter(|info| !info.is_unpartitioned())
    }

    /// What is said to lie outside all partitions does, and leaves the table alone.
    fn check_unpartitioned(&self, layout: &Layout) -> Result<(), PlanError> {
        let Some(info) = self.manifest.partitions.iter().find(|info| info.is_unpartitioned()) else {
            return Ok(());
        };
        // Not behind the last partition: smaller disks have nothing there.
        let size = layout.minimum_size();
        let table = layout.encode(size, layout.sector_size())?;
        let table = table.writes().iter().map(|(at, bytes)| *at..*at + bytes.len() as u64);
        let taken: Vec<_> = table.collect();
        let gaps = layout.gaps(size);
        let payload = self.payload(info, 0)?;
        let misplaced = payload.extents.extents().iter().find(|run| {
            let end = run.offset + run.length;
            let in_gap = gaps.iter().any(|gap| gap.start <= run.offset && end <= gap.end);
            !in_gap || taken.iter().any(|taken| taken.start < end && run.offset < taken.end)
        });
        match misplaced {
            Some(run) => Err(PlanError::Mismatch(format!(
                "{}: byte {} belongs to a partition or to the table, or lies behind all partitions",
                info.name, run.offset
            ))),
            None => Ok(()),
        }
    }

    fn hidden_step(&self, layout: &Layout) -> Result<Option<Step>, PlanError> {
        let Some(bytes) = self.hidden.as_ref().filter(|b| !b.is_empty()) else { return Ok(None) };
        if matches!(layout.table(), Table::Gpt { .. }) {
            let what = "there are hidden sectors, but a GPT lies in their place".to_owned();
            return Err(PlanError::Mismatch(what));
        }
        let offset = u64::from(layout.sector_size());
        let end = offset + bytes.len() as u64;
        let first = layout.first_partition_offset().unwrap_or(u64::MAX);
        if end > first {
            return Err(PlanError::Mismatch(format!(
                "the hidden sectors end at byte {end}, the first partition begins at {first}"
            )));
        }
        Ok(Some(Step::Write {
            offset,
            bytes: bytes.clone(),
            what: "hidden sectors after the MBR".to_owned(),
        }))
    }
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
    let uuid = match &info.uuid {
        None => None,
        Some(text) => Some(Uuid::try_parse(text).map_err(|_| {
            PlanError::Mismatch(format!("{}: {text:?} is not the UUID of a swap partition", info.name))
        })?),
    };
    let bytes = swap::signature(info.size, uuid, info.label.as_deref())
        .map_err(|source| PlanError::Swap { name: info.name.clone(), source })?;
    Ok(Step::Write { offset: info.offset, bytes, what: format!("swap {}", info.name) })
}
