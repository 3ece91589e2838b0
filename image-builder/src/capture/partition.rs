//! One partition: what is on it, whether it is fit to be captured, and which of its bytes are in use.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ezio_image::layout::ReadAt;

use super::cleanliness;
use super::loop_device::LoopDevice;
use super::plan::{PlannedContent, PlannedPart};
use super::probe;
use super::source::{Kind, Source};
use super::used_blocks::{self, Refused};
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
        PlannedPart { name, number, offset, size, filesystem: None, uuid: None, label: None, content }
    }
}

/// Plans partitions of one source.
pub(crate) struct Planner<'a> {
    pub(crate) source: &'a Source,
    pub(crate) raw: bool,
    pub(crate) force: bool,
    pub(crate) stop: &'a Stop,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

impl Planner<'_> {
    /// Looks at one partition.
    pub(crate) fn plan(&mut self, stretch: Stretch) -> Result<PlannedPart> {
        self.stop.check()?;
        let probed = probe::probe(self.stop, &self.source.path, stretch.offset, stretch.size)?;
        let content = match probed.filesystem.as_deref() {
            _ if self.raw => PlannedContent::Raw,
            Some("swap") => PlannedContent::Swap,
            Some("swsuspend") => {
                let complaint = "holds a hibernated Linux: start the machine and shut it down";
                self.refuse_unless_forced(&stretch, "swap", complaint)?;
                PlannedContent::Swap
            }
            Some(filesystem) => self.plan_filesystem(&stretch, filesystem)?,
            None => PlannedContent::Raw,
        };
        let mut part = stretch.part(content);
        // A swap area that was suspended to is swap again on the machines.
        part.filesystem = match probed.filesystem.as_deref() {
            Some("swsuspend") => Some("swap".to_owned()),
            other => other.map(str::to_owned),
        };
        (part.uuid, part.label) = (probed.uuid, probed.label);
        Ok(part)
    }

    fn plan_filesystem(&mut self, stretch: &Stretch, filesystem: &str) -> Result<PlannedContent> {
        let reader = Window { source: self.source, offset: stretch.offset };
        let complaint = cleanliness::complaint(filesystem, &reader)
            .with_context(|| format!("cannot read the superblock of {}", stretch.name))?;
        if let Some(complaint) = complaint {
            self.refuse_unless_forced(stretch, filesystem, &complaint)?;
        }
        let Some(program) = used_blocks::program_for(filesystem) else {
            self.notes.push(format!("{}: partclone does not know {filesystem}: copied whole", stretch.name));
            return Ok(PlannedContent::Raw);
        };
        if crate::find_program(program).is_none() {
            if crate::find_program("partclone.extfs").is_none() {
                bail!("partclone is not installed: it tells which blocks are in use (--raw does without)");
            }
            self.notes.push(format!("{}: there is no {program} here: copied whole", stretch.name));
            return Ok(PlannedContent::Raw);
        }
        if self.source.kind == Kind::File && stretch.offset == 0 && stretch.size == self.source.size {
            return self.map(stretch, filesystem, program, &self.source.path);
        }
        let device = LoopDevice::over(self.stop, &self.source.path, stretch.offset, stretch.size)
            .with_context(|| format!("cannot look at {}", stretch.name))?;
        self.map(stretch, filesystem, program, device.path())
    }

    fn map(
        &mut self,
        stretch: &Stretch,
        filesystem: &str,
        program: &'static str,
        device: &Path,
    ) -> Result<PlannedContent> {
        if let Some(complaint) = cleanliness::complaint_of_device(filesystem, self.stop, device)? {
            self.refuse_unless_forced(stretch, filesystem, &complaint)?;
        }
        let map = match used_blocks::map(self.stop, program, device, stretch.size, self.force) {
            Ok(map) => map,
            Err(error) if self.force && error.is::<Refused>() => {
                self.notes.push(format!("{}: {error:#}: copied whole", stretch.name));
                return Ok(PlannedContent::Raw);
            }
            Err(error) if error.is::<Refused>() => {
                let advice = "check it (fsck, or chkdsk /f in Windows), or use --force, or --raw";
                return Err(
                    error.context(format!("cannot capture {} ({filesystem}): {advice}", stretch.name))
                );
            }
            Err(error) => {
                return Err(error.context(format!("cannot capture {} ({filesystem})", stretch.name)));
            }
        };
        let map = match filesystem {
            "ntfs" => {
                let reader = Window { source: self.source, offset: stretch.offset };
                used_blocks::with_ntfs_backup(map, &reader, stretch.size)?
            }
            _ => map,
        };
        Ok(PlannedContent::Blocks(map))
    }

    fn refuse_unless_forced(&mut self, stretch: &Stretch, filesystem: &str, complaint: &str) -> Result<()> {
        let text = format!("{} ({filesystem}) of {} {complaint}", stretch.name, self.source.path.display());
        if !self.force {
            bail!("{text}; --force captures it as it is");
        }
        self.notes.push(format!("captured although {text}"));
        Ok(())
    }
}

/// A partition as bytes from 0 on.
struct Window<'a> {
    source: &'a Source,
    offset: u64,
}

impl ReadAt for Window<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        ReadAt::read_exact_at(&self.source.file, self.offset.saturating_add(offset), buffer)
    }
}
