//! What a capture will do: worked out in full before anything is written, printed by `--dry-run`.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ezio_image::conf::units::human_size;
use ezio_image::extents::ExtentMap;
use ezio_image::layout::{BOOT_CODE_LENGTH, Entry, Layout, LayoutError, Partition, boot_code};
use ezio_image::manifest::{DiskInfo, DiskLabel, LvmInfo, RAW_DISK, SourceKind, UNPARTITIONED};
use ezio_image::names::safe_name;

use super::opaque;
use super::partition::{Planner, Stretch};
use super::source::{Kind, Source};
use super::{lvm, probe, unpartitioned};
use crate::cli::CaptureArgs;
use crate::stop::Stop;

/// Bytes of sector 0 that can mean anything.
const MBR_LENGTH: u64 = 512;

/// Everything that will be captured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kind: SourceKind,
    pub(crate) disk: Option<DiskInfo>,
    pub(crate) layout: Option<Layout>,
    pub(crate) boot_code: Option<Vec<u8>>,
    pub(crate) parts: Vec<PlannedPart>,
    /// What the user should know, a line each.
    pub(crate) notes: Vec<String>,
}

/// One partition, or a raw disk.
#[derive(Debug)]
pub(crate) struct PlannedPart {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) filesystem: Option<String>,
    pub(crate) filesystem_size: Option<u64>,
    pub(crate) block_size: Option<u64>,
    pub(crate) uuid: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) content: PlannedContent,
    /// What is in it, where it is a physical volume of LVM.
    pub(crate) lvm: Option<LvmInfo>,
}

/// How a partition's content is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlannedContent {
    /// These runs.
    Blocks(ExtentMap),
    /// Every byte.
    Raw,
    /// Nothing: it is made anew.
    Swap,
    /// Nothing.
    Empty,
}

impl PlannedPart {
    /// Bytes that it needs on a target: those of its file system, used or not.
    fn needed(&self) -> u64 {
        match self.content {
            PlannedContent::Raw => self.size,
            _ => self.filesystem_size.unwrap_or(self.size),
        }
    }

    /// Bytes to read.
    pub(crate) fn content_length(&self) -> u64 {
        match &self.content {
            PlannedContent::Blocks(map) => map.total_length(),
            PlannedContent::Raw => self.size,
            PlannedContent::Swap | PlannedContent::Empty => 0,
        }
    }
}

impl Plan {
    /// Looks at the source, a disk of this name where it is one.
    pub(crate) fn make(source: &Source, disk: &str, args: &CaptureArgs, stop: &Stop) -> Result<Self> {
        if source.kind == Kind::PartitionDevice {
            return Self::of_partition(source, args, stop);
        }
        if args.raw {
            return Ok(Self::of_raw_disk(source, "as --raw says"));
        }
        let probed = probe::probe(stop, &source.path, 0, source.size)?;
        match Layout::read_from_disk(&source.file, source.size, source.sector_size, &format!("/dev/{disk}")) {
            // Boot sectors of file systems look like an MBR to some; blkid tells them apart.
            Ok(layout) if probed.filesystem.is_none() => Self::of_disk(source, layout, args, stop),
            Ok(_) => Self::of_disk_without_table(source, args, stop),
            // Of some, to blkid too.
            Err(LayoutError::NoTable) if probed.filesystem.is_some() => {
                Self::of_disk_without_table(source, args, stop)
            }
            Err(error) if probed.table.is_some() => {
                let what = format!("cannot capture {} (--raw copies it whole)", source.path.display());
                Err(anyhow::Error::new(error).context(what))
            }
            Err(LayoutError::Read { offset, message }) => {
                bail!("cannot read byte {offset} of {}: {message}", source.path.display())
            }
            Err(_) if probed.filesystem.is_some() => Self::of_disk_without_table(source, args, stop),
            Err(_) => Ok(Self::of_raw_disk(source, "no partition table and no file system known to blkid")),
        }
    }

    fn of_raw_disk(source: &Source, why: &str) -> Self {
        let whole = Stretch { name: RAW_DISK.to_owned(), number: 0, offset: 0, size: source.size };
        let part = whole.part(PlannedContent::Raw);
        let disk = DiskInfo {
            size: source.size,
            sector_size: source.sector_size,
            label: DiskLabel::None,
            minimum_size: source.size,
        };
        let plan = Self::new(SourceKind::RawDisk, Some(disk), vec![part]);
        Self { notes: vec![format!("{RAW_DISK}: {why}: copied whole")], ..plan }
    }

    /// A file system that has the whole disk; what is no disk of its own (a logical volume) is as a partition.
    fn of_disk_without_table(source: &Source, args: &CaptureArgs, stop: &Stop) -> Result<Self> {
        let mut plan = Self::of_partition(source, args, stop)?;
        if source.is_mapping() {
            return Ok(plan);
        }
        plan.kind = SourceKind::Disk;
        plan.disk = Some(DiskInfo {
            size: source.size,
            sector_size: source.sector_size,
            label: DiskLabel::None,
            minimum_size: plan.parts.iter().map(PlannedPart::needed).sum(),
        });
        plan.notes.push(
            "there is no partition table: the file system goes onto a whole disk, or onto a partition that ezio.conf names"
                .to_owned(),
        );
        Ok(plan)
    }

    fn of_partition(source: &Source, args: &CaptureArgs, stop: &Stop) -> Result<Self> {
        let name = match &args.name {
            Some(name) => name.clone(),
            None => partition_name(source),
        };
        let whole = Stretch { name, number: 0, offset: 0, size: source.size };
        let mut planner = Planner::new(source, args.raw, args.force, stop);
        let part = planner.plan(whole)?;
        let mut plan = Self::new(SourceKind::Partition, None, vec![part]);
        plan.notes = planner.notes;
        Ok(plan)
    }

    fn of_disk(source: &Source, layout: Layout, args: &CaptureArgs, stop: &Stop) -> Result<Self> {
        ensure!(!layout.partitions().is_empty(), "{} has an empty partition table", source.path.display());
        if let Some(what) = opaque::refusal(&layout) {
            bail!(
                "{} {what}, whose volumes may lie on several disks: --raw copies it whole",
                source.path.display()
            );
        }
        refuse_cut_short(source, layout.minimum_size())?;
        let mut planner = Planner::new(source, false, args.force, stop);
        for partition in layout.partitions() {
            let found = lvm::find(source, layout.byte_range(partition).start);
            planner.physical.extend(found.context("cannot read the heads of partitions")?);
        }
        let mut parts = Vec::new();
        for partition in layout.partitions() {
            parts.push(plan_partition(&mut planner, &layout, partition)?);
        }
        let disk = DiskInfo {
            size: source.size,
            sector_size: source.sector_size,
            label: DiskLabel::of(&layout),
            minimum_size: layout.minimum_size(),
        };
        let mut plan = Self::new(SourceKind::Disk, Some(disk), parts);
        plan.notes = planner.notes;
        plan.boot_code = read_boot_code(source)?;
        let unpartitioned = unpartitioned::look(source, &layout, stop)?;
        plan.parts.extend(unpartitioned.map.map(|map| outside_all(source.size, map)));
        plan.notes.extend(unpartitioned.notes);
        plan.layout = Some(layout);
        Ok(plan)
    }

    fn new(kind: SourceKind, disk: Option<DiskInfo>, parts: Vec<PlannedPart>) -> Self {
        Self { kind, disk, layout: None, boot_code: None, parts, notes: Vec::new() }
    }

    /// Does sector 0 hold a program, rather than a flag or entries alone?
    pub(crate) fn has_boot_code(&self) -> bool {
        let code = self.boot_code.iter().flatten().take(BOOT_CODE_LENGTH);
        code.into_iter().any(|byte| *byte != 0)
    }

    /// Bytes to read in all.
    pub(crate) fn total_length(&self) -> u64 {
        self.parts.iter().map(PlannedPart::content_length).sum()
    }
}

/// A copy of a disk that ended too early has all of its table.
fn refuse_cut_short(source: &Source, needed: u64) -> Result<()> {
    let missing = needed.saturating_sub(source.size);
    ensure!(
        missing == 0,
        "{} is cut short: it has {} bytes, its partition table needs {needed}, {missing} ({}) are missing",
        source.path.display(),
        source.size,
        human_size(missing)
    );
    Ok(())
}

fn plan_partition(planner: &mut Planner<'_>, layout: &Layout, partition: &Partition) -> Result<PlannedPart> {
    let range = layout.byte_range(partition);
    let stretch = Stretch {
        name: layout.partition_name(partition.number),
        number: partition.number,
        offset: range.start,
        size: range.end.saturating_sub(range.start),
    };
    if partition.is_extended() || is_reserved(partition) {
        return Ok(stretch.part(PlannedContent::Empty));
    }
    planner.plan(stretch)
}

/// What lies outside all partitions.
fn outside_all(size: u64, map: ExtentMap) -> PlannedPart {
    let whole = Stretch { name: UNPARTITIONED.to_owned(), number: 0, offset: 0, size };
    whole.part(PlannedContent::Blocks(map))
}

/// Microsoft's reserved partition (MSR): room that Windows may use, without content.
fn is_reserved(partition: &Partition) -> bool {
    const MSR: &str = "e3c9e316-0b5c-4db8-817d-f92df00215ae";
    matches!(&partition.entry, Entry::Gpt { type_guid, .. } if type_guid.to_string() == MSR)
}

fn read_boot_code(source: &Source) -> Result<Option<Vec<u8>>> {
    Ok(boot_code(&read(source, 0, MBR_LENGTH)?).map(<[u8]>::to_vec))
}

fn read(source: &Source, offset: u64, length: u64) -> Result<Vec<u8>> {
    use ezio_image::layout::ReadAt;
    let length = usize::try_from(length).context("too much to read at once")?;
    source
        .file
        .read_vec(offset, length)
        .with_context(|| format!("cannot read {length} bytes at byte {offset} of {}", source.path.display()))
}

/// Name of a partition that is captured alone.
fn partition_name(source: &Source) -> String {
    let base = source.base_name();
    let stem = match source.kind {
        Kind::File => Path::new(&base).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or(base),
        Kind::Device | Kind::PartitionDevice => base,
    };
    safe_name(&stem)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(disk) = &self.disk {
            let table = match disk.label {
                DiskLabel::Gpt => "GPT",
                DiskLabel::Dos => "MBR",
                DiskLabel::None => "no partition table",
            };
            writeln!(f, "disk of {}, sectors of {} bytes, {table}", human_size(disk.size), disk.sector_size)?;
        }
        if let Some(code) = &self.boot_code {
            let more =
                if code.len() > BOOT_CODE_LENGTH { ", with the flags or entries of its MBR" } else { "" };
            writeln!(f, "boot code: {}{more}", human_size(code.len() as u64))?;
        }
        for part in &self.parts {
            let filesystem = part.filesystem.as_deref().unwrap_or("unknown");
            let content = match &part.content {
                PlannedContent::Blocks(map) => {
                    format!("{} in use, in {} runs", human_size(map.total_length()), map.extents().len())
                }
                PlannedContent::Raw => "copied whole".to_owned(),
                PlannedContent::Swap => "made anew".to_owned(),
                PlannedContent::Empty => "no content".to_owned(),
            };
            writeln!(f, "{:<12} {:>10}  {filesystem:<10} {content}", part.name, human_size(part.size))?;
        }
        writeln!(f, "{} to read", human_size(self.total_length()))
    }
}
