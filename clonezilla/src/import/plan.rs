//! What an import will do: worked out before anything is written.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use ezio_image::conf::Bus;
use ezio_image::conf::units::human_size;
use ezio_image::extents::ExtentMap;
use ezio_image::layout::{Entry, Layout, Partition};
use ezio_image::manifest::{DiskInfo, DiskLabel, SourceKind};
use ezio_image::set::SetDisk;

use super::content::Stream;
use super::lvm;
use crate::directory::{Directory, Disk, Facts, Saved};

/// Type of Microsoft's reserved partition (MSR): room that Windows may use, without content.
const MSR: &str = "e3c9e316-0b5c-4db8-817d-f92df00215ae";

/// Which part of what was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// This disk.
    Disk(String),
    /// This partition alone.
    Partition(String),
}

/// Everything that will be imported.
pub struct Plan<'a> {
    pub(super) directory: &'a Directory,
    pub(super) kind: SourceKind,
    pub(super) disk: Option<DiskInfo>,
    pub(super) model: Option<String>,
    pub(super) layout: Option<Layout>,
    pub(super) boot_code: Option<Vec<u8>>,
    pub(super) hidden: Option<Vec<u8>>,
    pub(super) parts: Vec<PlannedPart>,
    /// What people should know, a sentence each.
    pub notes: Vec<String>,
}

/// One partition.
#[derive(Debug)]
pub(super) struct PlannedPart {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) facts: Facts,
    pub(super) content: PlannedContent,
}

/// How the content of a partition is kept.
#[derive(Debug)]
pub(super) enum PlannedContent {
    /// These runs, from partclone's stream.
    Blocks {
        /// The bytes in use.
        map: ExtentMap,
        /// Where they come from.
        saved: Saved,
    },
    /// Every byte.
    Whole {
        /// Where they come from.
        saved: Saved,
    },
    /// A physical volume of LVM, made of its logical ones.
    Lvm(Box<lvm::Volume>),
    /// Nothing: it is made anew.
    Swap,
    /// Nothing.
    Empty,
}

impl PlannedContent {
    /// What is stored of it, if anything: its runs, or none for every byte.
    pub(super) fn stored(&self) -> Option<Option<&ExtentMap>> {
        match self {
            Self::Blocks { map, .. } => Some(Some(map)),
            Self::Lvm(volume) => Some(Some(&volume.map)),
            Self::Whole { .. } => Some(None),
            Self::Swap | Self::Empty => None,
        }
    }
}

impl Which {
    /// As one of several: its name, and how it was attached, where the name tells.
    #[must_use]
    pub fn in_set(&self) -> SetDisk {
        let (Self::Disk(name) | Self::Partition(name)) = self;
        let kinds = [("nvme", Bus::Nvme), ("mmcblk", Bus::Mmc), ("vd", Bus::Virtio), ("hd", Bus::Ata)];
        let kind = kinds.into_iter().find(|(kind, _)| name.starts_with(kind));
        SetDisk { name: name.clone(), bus: kind.map(|(_, bus)| bus) }
    }
}

/// What there is to import: whole disks; else the one partition that was saved, or the disks that they are of.
///
/// # Errors
/// As [`Directory::open`], or there is no partition table.
pub fn choices(directory: &Directory) -> Result<Vec<Which>> {
    let disks = directory.disks()?;
    if !disks.is_empty() {
        return Ok(disks.into_iter().map(Which::Disk).collect());
    }
    match directory.partitions()?.as_slice() {
        [one] => Ok(vec![Which::Partition(one.clone())]),
        several => {
            let tables = directory.tables();
            let of = |disk: &&String| several.iter().any(|part| is_of(part, disk));
            let disks: Vec<Which> = tables.iter().filter(of).cloned().map(Which::Disk).collect();
            ensure!(!disks.is_empty(), "{} has no partition table (sda-pt.sf)", directory.path().display());
            Ok(disks)
        }
    }
}

/// Is it a partition of this disk, by its name?
fn is_of(partition: &str, disk: &str) -> bool {
    let rest = partition.strip_prefix(disk).map(|rest| rest.strip_prefix('p').unwrap_or(rest));
    rest.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

impl<'a> Plan<'a> {
    /// Looks at what was saved.
    ///
    /// # Errors
    /// What is damaged, incomplete or not understood.
    pub fn make(directory: &'a Directory, which: &Which) -> Result<Self> {
        match which {
            Which::Disk(name) => Self::of_disk(directory, name),
            Which::Partition(name) => Self::of_partition(directory, name),
        }
    }

    fn of_disk(directory: &'a Directory, name: &str) -> Result<Self> {
        let disk = Disk::read(directory, name)?;
        let layout = &disk.layout;
        let partitions = directory.partitions()?;
        let mut plan = Self::new(directory, SourceKind::Disk);
        for partition in layout.partitions() {
            let content = plan.content_of(layout, partition, &partitions)?;
            plan.parts.push(content);
        }
        plan.disk = Some(DiskInfo {
            size: disk.size,
            sector_size: layout.sector_size(),
            label: DiskLabel::of(layout),
            minimum_size: layout.minimum_size(),
        });
        plan.note_what_is_left_out(name)?;
        (plan.model, plan.boot_code, plan.hidden) = (disk.model, disk.boot_code, disk.hidden);
        plan.layout = Some(disk.layout);
        Ok(plan)
    }

    fn of_partition(directory: &'a Directory, name: &str) -> Result<Self> {
        let table = directory.tables().into_iter().find(|disk| is_of(name, disk));
        let table = table.with_context(|| {
            format!("{} has no partition table that tells the size of {name}", directory.path().display())
        })?;
        let layout = Disk::read(directory, &table)?.layout;
        let partition = layout.partitions().iter().find(|p| layout.partition_name(p.number) == name);
        let partition = partition.with_context(|| {
            format!("{name} is not in the partition table of {}", directory.path().display())
        })?;
        let mut plan = Self::new(directory, SourceKind::Partition);
        let mut part = plan.content_of(&layout, partition, &directory.partitions()?)?;
        (part.number, part.offset) = (0, 0);
        ensure!(!matches!(part.content, PlannedContent::Empty), "nothing of {name} was saved");
        plan.parts.push(part);
        Ok(plan)
    }

    fn new(directory: &'a Directory, kind: SourceKind) -> Self {
        let (parts, notes) = (Vec::new(), Vec::new());
        let (disk, model, layout, boot_code, hidden) = (None, None, None, None, None);
        Self { directory, kind, disk, model, layout, boot_code, hidden, parts, notes }
    }

    fn content_of(
        &mut self,
        layout: &Layout,
        partition: &Partition,
        saved: &[String],
    ) -> Result<PlannedPart> {
        let directory = self.directory;
        let name = layout.partition_name(partition.number);
        let range = layout.byte_range(partition);
        let size = range.end - range.start;
        let mut facts = Facts::of_partition(directory, &name);
        let content = if partition.is_extended() {
            facts = Facts::default();
            self.note_boot_code_of(&name)?;
            PlannedContent::Empty
        } else if let Some(swap) = Facts::of_swap(directory, &name) {
            facts = swap;
            PlannedContent::Swap
        } else if is_reserved(partition) {
            PlannedContent::Empty
        } else if let Some(volume) = lvm::Volume::find(directory, &name, size, &mut self.notes)? {
            let (filesystem, uuid) = (Some("LVM2_member".to_owned()), Some(volume.uuid.clone()));
            facts = Facts { filesystem, uuid, label: None };
            PlannedContent::Lvm(Box::new(volume))
        } else if let Some(files) = directory.saved(&name) {
            let known = facts.filesystem.clone();
            facts.filesystem = known.or_else(|| Some(files.filesystem.clone()).filter(|fs| fs != "dd"));
            let content = plan_content(directory, files, size)?;
            if matches!(content, PlannedContent::Whole { .. }) {
                let kind = facts.filesystem.as_deref().unwrap_or("what nobody knows");
                self.notes.push(format!("{name}: Clonezilla saved every byte of it ({kind}): copied whole"));
            }
            content
        } else if saved.contains(&name) {
            bail!(directory.missing(&name));
        } else {
            self.notes.push(format!("{name} was not saved: it is empty in this image, whatever was on it"));
            facts = Facts::default();
            PlannedContent::Empty
        };
        Ok(PlannedPart { name, number: partition.number, offset: range.start, size, facts, content })
    }

    /// Clonezilla keeps the first sector of an extended partition, and images of ezio do not.
    fn note_boot_code_of(&mut self, extended: &str) -> Result<()> {
        let file = format!("{extended}-ebr");
        if self.directory.has(&file) {
            let code = self.directory.bytes(&file)?;
            if code.iter().take(446).any(|&b| b != 0) {
                self.notes.push(format!("{extended}: the boot code in its first sector is not kept"));
            }
        }
        Ok(())
    }

    fn note_what_is_left_out(&mut self, disk: &str) -> Result<()> {
        let has = |file: &str| self.directory.has(file);
        if has("efi-nvram.dat") {
            self.notes.push("the firmware's boot entries (efi-nvram.dat) are not kept".to_owned());
        }
        if has(&format!("{disk}-hidden-data-after-mbr.notes.txt")) {
            let what =
                "Clonezilla did not save what lies between the MBR and the first partition: it was too large";
            self.notes.push(what.to_owned());
        }
        Ok(())
    }

    /// Bytes that will be read of contents.
    #[must_use]
    pub fn total_length(&self) -> u64 {
        self.parts.iter().map(PlannedPart::content_length).sum()
    }

    /// Bytes that the image will take at least; contents that are kept whole are sparse.
    #[must_use]
    pub fn needed_room(&self) -> u64 {
        let is_map = |part: &&PlannedPart| matches!(part.content.stored(), Some(Some(_)));
        let blocks = self.parts.iter().filter(is_map);
        blocks.map(PlannedPart::content_length).sum()
    }
}

impl PlannedPart {
    fn content_length(&self) -> u64 {
        match &self.content {
            PlannedContent::Blocks { map, .. } => map.total_length(),
            PlannedContent::Lvm(volume) => volume.map.total_length(),
            PlannedContent::Whole { .. } => self.size,
            PlannedContent::Swap | PlannedContent::Empty => 0,
        }
    }
}

fn plan_content(directory: &Directory, saved: &Saved, size: u64) -> Result<PlannedContent> {
    let stream = Stream::open(directory, saved, size)?;
    let saved = saved.clone();
    Ok(match stream.map(size)? {
        Some(map) => PlannedContent::Blocks { map, saved },
        None => PlannedContent::Whole { saved },
    })
}

fn is_reserved(partition: &Partition) -> bool {
    matches!(&partition.entry, Entry::Gpt { type_guid, .. } if type_guid.to_string() == MSR)
}

impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            let filesystem = part.facts.filesystem.as_deref().unwrap_or("unknown");
            let content = match &part.content {
                PlannedContent::Blocks { map, .. } => {
                    format!("{} in use, in {} runs", human_size(map.total_length()), map.extents().len())
                }
                PlannedContent::Lvm(volume) => {
                    format!(
                        "{} of {} logical volumes",
                        human_size(volume.map.total_length()),
                        volume.info.volumes.len()
                    )
                }
                PlannedContent::Whole { .. } => "kept whole".to_owned(),
                PlannedContent::Swap => "made anew".to_owned(),
                PlannedContent::Empty => "no content".to_owned(),
            };
            writeln!(f, "{:<12} {:>10}  {filesystem:<10} {content}", part.name, human_size(part.size))?;
        }
        writeln!(f, "{} to read", human_size(self.total_length()))
    }
}
