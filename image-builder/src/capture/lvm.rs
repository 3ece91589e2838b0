//! A physical volume of LVM, by what is in use in its logical volumes. It stays one content: its metadata and the blocks in
//! use, at their places, so that a machine writes it as any other and has the group with all its ids.

use std::io;
use std::ops::Range;

use anyhow::{Context, Result};
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::layout::ReadAt;
use ezio_image::lvm::{LogicalVolume, PhysicalVolume};
use ezio_image::manifest::{LvmInfo, VolumeInfo};
use ezio_image::swap;

use super::joined_volume::JoinedVolume;
use super::partition::{Planner, Stretch, Window};
use super::plan::{PlannedContent, PlannedPart};
use super::source::Source;
use super::used_blocks::joined;

/// Kept at both ends of a logical volume: signatures of what was there on the target before would lie here.
const ENDS: u64 = 128 << 10;

/// A physical volume of the source: its UUID, and the byte that it begins at.
pub(super) type Found = (String, u64);

/// Looks whether a stretch that begins at `offset` is a physical volume.
pub(super) fn find(source: &Source, offset: u64) -> io::Result<Option<Found>> {
    match PhysicalVolume::read(&Window { source, offset }) {
        Ok(volume) => Ok(volume.map(|volume| (volume.label.uuid, offset))),
        // The last partition may have a sector.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// What of a logical volume is kept: runs on the physical volume, and what the manifest says.
struct Kept {
    runs: Vec<Extent>,
    whole: bool,
    filesystem: Option<String>,
    block_size: Option<u64>,
}

impl Planner<'_> {
    /// The content of a physical volume, and what is in it; none where its metadata cannot be read.
    pub(super) fn plan_lvm(&mut self, stretch: &Stretch) -> Result<Option<(PlannedContent, LvmInfo)>> {
        let device = Window { source: self.source, offset: stretch.offset };
        let read = PhysicalVolume::read(&device);
        let Some(volume) =
            read.with_context(|| format!("cannot read the LVM metadata of {}", stretch.name))?
        else {
            return Ok(None);
        };
        let mut runs: Vec<Extent> = volume.metadata.iter().map(run).collect();
        let mut infos = Vec::new();
        for logical in &volume.logical {
            let Some(kept) = self.plan_logical(stretch, &volume, logical)? else { continue };
            let own = joined(kept.runs);
            infos.push(VolumeInfo {
                name: logical.name.clone(),
                size: logical.size,
                used: own.iter().map(|extent| extent.length).sum(),
                whole: kept.whole,
                filesystem: kept.filesystem,
                block_size: kept.block_size,
            });
            runs.extend(own);
        }
        if volume.volumes > 1 {
            self.notes.push(format!(
                "{}: the LVM group {} has {} physical volumes: it starts where all of them are",
                stretch.name, volume.group, volume.volumes
            ));
        }
        let map = ExtentMap::new(joined(runs)).context("its logical volumes")?;
        Ok(Some((PlannedContent::Blocks(map), LvmInfo::new(&volume, infos))))
    }

    /// What is kept of what a logical volume has of a physical one; none where it has nothing.
    fn plan_logical(
        &mut self,
        pv: &Stretch,
        volume: &PhysicalVolume,
        logical: &LogicalVolume,
    ) -> Result<Option<Kept>> {
        let places = logical.places_on(&volume.label.uuid);
        let name = format!("{}, {}/{}", pv.name, volume.group, logical.name);
        let why = match (&places[..], logical.only_place(&volume.label.uuid)) {
            ([], _) => return Ok(None),
            (_, Some(place)) => {
                let size = place.end - place.start;
                let part = self.plan(Stretch { name, number: 0, offset: pv.offset + place.start, size })?;
                let window = Window { source: self.source, offset: pv.offset + place.start };
                let at = |used: Range<u64>| run(&(place.start + used.start..place.start + used.end));
                return kept(part, &window, |used| vec![at(used)]).map(Some);
            }
            _ if !logical.plain => {
                "is a part of a volume that is thin, mirrored, cached, or has snapshots".to_owned()
            }
            _ => match self.plan_joined(pv, volume, logical, &name) {
                Ok(Some(kept)) => return Ok(Some(kept)),
                Ok(None) => "lies on other disks too".to_owned(),
                Err(error) if error.is::<io::Error>() => {
                    format!("lies in several pieces, which cannot be joined here ({error:#})")
                }
                Err(error) => return Err(error),
            },
        };
        self.notes.push(format!("{name}: {why}: copied whole"));
        let runs = places.iter().map(run).collect();
        Ok(Some(Kept { runs, whole: true, filesystem: None, block_size: None }))
    }

    /// The same for one in several segments or stripes, if all of them lie on this source.
    fn plan_joined(
        &mut self,
        pv: &Stretch,
        volume: &PhysicalVolume,
        logical: &LogicalVolume,
        name: &str,
    ) -> Result<Option<Kept>> {
        let here = (volume.label.uuid.clone(), pv.offset);
        let found: Vec<Found> = self.physical.iter().cloned().chain([here]).collect();
        if !logical.volumes().iter().all(|uuid| found.iter().any(|(known, _)| known == uuid)) {
            return Ok(None);
        }
        let device = JoinedVolume::over(self.source, logical.clone(), found)?;
        let mut planner = Planner::new(&device.source, self.raw, self.force, self.stop);
        let part = planner.plan(Stretch { name: name.to_owned(), number: 0, offset: 0, size: logical.size });
        self.notes.append(&mut planner.notes);
        kept(part?, &Window { source: &device.source, offset: 0 }, |used| {
            let here = logical.places(used).filter(|place| place.volume == volume.label.uuid);
            here.map(|place| Extent { offset: place.offset, length: place.length }).collect()
        })
        .map(Some)
    }
}

/// What of a logical volume is kept, by what `places` says of where its bytes lie.
fn kept(part: PlannedPart, volume: &impl ReadAt, places: impl Fn(Range<u64>) -> Vec<Extent>) -> Result<Kept> {
    let used = used(&part, volume)?;
    let whole = matches!(&used[..], [all] if *all == (0..part.size));
    let PlannedPart { filesystem, block_size, .. } = part;
    Ok(Kept { runs: used.into_iter().flat_map(places).collect(), whole, filesystem, block_size })
}

/// Which bytes of it.
fn used(part: &PlannedPart, volume: &impl ReadAt) -> Result<Vec<Range<u64>>> {
    let size = part.size;
    let (blocks, more) = match &part.content {
        PlannedContent::Blocks(map) => (map.extents(), [0..ENDS.min(size), size.saturating_sub(ENDS)..size]),
        // Its signature, with UUID and label: the rest is made anew by that. What was suspended to it stays as it is.
        PlannedContent::Swap => match swap::is_signature(&volume.read_vec(0, swap::PAGE)?) {
            true => (&[][..], [0..swap::PAGE as u64, 0..0]),
            false => (&[][..], [0..size, 0..0]),
        },
        PlannedContent::Raw => (&[][..], [0..size, 0..0]),
        PlannedContent::Empty => (&[][..], [0..0, 0..0]),
    };
    let blocks = blocks.iter().map(|extent| extent.offset..extent.offset + extent.length);
    Ok(blocks.chain(more).filter(|range| !range.is_empty()).collect())
}

fn run(range: &Range<u64>) -> Extent {
    Extent { offset: range.start, length: range.end - range.start }
}
