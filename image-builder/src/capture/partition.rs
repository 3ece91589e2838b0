//! One partition: what is on it, whether it is fit to be captured, and which of its bytes are in use.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ezio_image::filesystem::{self, FileSystem};
use ezio_image::layout::ReadAt;

use super::cleanliness;
use super::loop_device::LoopDevice;
use super::plan::{PlannedContent, PlannedPart};
use super::probe;
use super::source::{Kind, Source};
use super::used_blocks::{self, Refused};
use super::{btrfs_copies, in_use, lvm, opaque};
use crate::stop::Stop;

/// Where a partition lies on the source, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Stretch {
    /// The partition with this content.
    pub(crate) fn part(self, content: PlannedContent) -> PlannedPart {
        let Self { name, number, offset, size } = self;
        PlannedPart {
            name,
            number,
            offset,
            size,
            filesystem: None,
            filesystem_size: None,
            block_size: None,
            uuid: None,
            label: None,
            content,
            lvm: None,
        }
    }
}

/// Plans partitions of one source.
pub(crate) struct Planner<'a> {
    pub(crate) source: &'a Source,
    pub(crate) raw: bool,
    pub(crate) force: bool,
    pub(crate) stop: &'a Stop,
    /// Physical volumes of LVM on the source.
    pub(super) physical: Vec<lvm::Found>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(source: &'a Source, raw: bool, force: bool, stop: &'a Stop) -> Self {
        Self { source, raw, force, stop, physical: Vec::new(), notes: Vec::new() }
    }

    /// Looks at one partition.
    pub(crate) fn plan(&mut self, stretch: Stretch) -> Result<PlannedPart> {
        self.stop.check()?;
        let probed = probe::probe(self.stop, &self.source.path, stretch.offset, stretch.size)?;
        let own = filesystem::inspect(&Window { source: self.source, offset: stretch.offset }, 0)
            .with_context(|| format!("cannot read the superblock of {}", stretch.name))?
            .unwrap_or_default();
        let mut lvm = None;
        let content = match probed.filesystem.as_deref() {
            _ if self.raw => self.copied_whole(&stretch, "as --raw says"),
            Some("swap") => PlannedContent::Swap,
            Some("swsuspend") => {
                let complaint = "holds a hibernated Linux: start the machine and shut it down";
                self.refuse_unless_forced(&stretch, "swap", complaint)?;
                PlannedContent::Swap
            }
            Some("LVM2_member") => match self.plan_lvm(&stretch)? {
                Some((content, info)) => {
                    lvm = Some(info);
                    content
                }
                None => self.copied_whole(
                    &stretch,
                    "is a physical volume of LVM without a volume group that can be read",
                ),
            },
            Some(filesystem) => self.plan_filesystem(&stretch, filesystem, &own)?,
            None => PlannedContent::Raw,
        };
        let mut part = PlannedPart { lvm, ..stretch.part(content) };
        part.filesystem_size = Some(own.size).filter(|size| (1..=part.size).contains(size));
        part.block_size = Some(own.block).filter(|block| *block > 0);
        // A swap area that was suspended to is swap again on the machines.
        part.filesystem = match probed.filesystem.as_deref() {
            Some("swsuspend") => Some("swap".to_owned()),
            other => other.map(str::to_owned),
        };
        (part.uuid, part.label) = (probed.uuid, probed.label);
        Ok(part)
    }

    fn plan_filesystem(&mut self, stretch: &Stretch, kind: &str, own: &FileSystem) -> Result<PlannedContent> {
        if let Some(why) = opaque::why(kind) {
            return Ok(self.copied_whole(stretch, why));
        }
        if let Some(complaint) = &own.unclean {
            self.refuse_unless_forced(stretch, kind, complaint)?;
        }
        if let Some(missing) = own.size.checked_sub(stretch.size).filter(|missing| *missing > 0) {
            let complaint = format!(
                "has {} bytes, {missing} more than lie there: it was cut short, or shrunk without its file system",
                own.size
            );
            self.refuse_unless_forced(stretch, kind, &complaint)?;
        }
        if let Some(why) = own.unmappable {
            return Ok(self.copied_whole(stretch, why));
        }
        let Some(program) = used_blocks::program_for(kind) else {
            return Ok(self.copied_whole(stretch, &format!("partclone does not know {kind}")));
        };
        if crate::find_program(program).is_none() {
            if crate::find_program("partclone.extfs").is_none() {
                bail!("partclone is not installed: it tells which blocks are in use (--raw does without)");
            }
            return Ok(self.copied_whole(stretch, &format!("there is no {program} here")));
        }
        if self.source.kind == Kind::File && stretch.offset == 0 && stretch.size == self.source.size {
            return self.map(stretch, kind, program, &self.source.path);
        }
        let device = LoopDevice::over(self.stop, &self.source.path, stretch.offset, stretch.size)
            .with_context(|| format!("cannot look at {}", stretch.name))?;
        self.map(stretch, kind, program, device.path())
    }

    fn copied_whole(&mut self, stretch: &Stretch, why: &str) -> PlannedContent {
        self.notes.push(format!("{}: {why}: copied whole", stretch.name));
        PlannedContent::Raw
    }

    fn map(
        &mut self,
        stretch: &Stretch,
        kind: &str,
        program: &'static str,
        device: &Path,
    ) -> Result<PlannedContent> {
        if let Some(complaint) = cleanliness::complaint_of_device(kind, self.stop, device)? {
            self.refuse_unless_forced(stretch, kind, &complaint)?;
        }
        let map = match used_blocks::map(self.stop, program, device, stretch.size, self.force) {
            Ok(map) => map,
            Err(error) if self.force && error.is::<Refused>() => {
                return Ok(self.copied_whole(stretch, &format!("{error:#}")));
            }
            Err(error) => {
                return Err(error.context(format!("cannot capture {} ({kind})", stretch.name)));
            }
        };
        let reader = Window { source: self.source, offset: stretch.offset };
        let Some(in_use) = in_use::bytes(self.stop, kind, &reader, device)? else {
            let why = format!("nothing tells how much of {kind} is in use, to hold partclone's map against");
            return Ok(self.copied_whole(stretch, &why));
        };
        if map.total_length() < in_use {
            let mapped = map.total_length();
            let why = format!("{in_use} bytes are in use, and partclone's map has {mapped}");
            return Ok(self.copied_whole(stretch, &why));
        }
        Ok(PlannedContent::Blocks(match kind {
            "ntfs" => filesystem::with_boot_copy(map, &reader, stretch.size)
                .context("cannot read the boot sector of NTFS")?,
            "btrfs" => btrfs_copies::with_all_copies(self.stop, &map, device)?,
            _ => map,
        }))
    }

    fn refuse_unless_forced(&mut self, stretch: &Stretch, kind: &str, complaint: &str) -> Result<()> {
        let text = format!("{} ({kind}) of {} {complaint}", stretch.name, self.source.path.display());
        if !self.force {
            bail!("{text}; --force captures it as it is");
        }
        self.notes.push(format!("captured although {text}"));
        Ok(())
    }
}

/// A partition as bytes from 0 on.
pub(super) struct Window<'a> {
    pub(super) source: &'a Source,
    pub(super) offset: u64,
}

impl ReadAt for Window<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        ReadAt::read_exact_at(&self.source.file, self.offset.saturating_add(offset), buffer)
    }
}
