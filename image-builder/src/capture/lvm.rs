//! A physical volume of LVM, by what is in use in its logical volumes. It stays one content: its metadata and the blocks in
//! use, at their places, so that a machine writes it as any other and has the group with all its ids.

use std::ops::Range;

use anyhow::{Context, Result};
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::lvm::{PhysicalVolume, Piece};

use super::partition::{Planner, Stretch, Window};
use super::plan::PlannedContent;
use super::used_blocks::joined;

/// Of swap this is kept: its signature, with UUID and label. The rest is made anew by that.
const SWAP_HEADER: u64 = 4096;
/// Kept at both ends of a logical volume: signatures of what was there on the target before would lie here.
const ENDS: u64 = 128 << 10;

impl Planner<'_> {
    /// The content of a physical volume; none where its metadata cannot be read.
    pub(super) fn plan_lvm(&mut self, stretch: &Stretch) -> Result<Option<PlannedContent>> {
        let device = Window { source: self.source, offset: stretch.offset };
        let read = PhysicalVolume::read(&device);
        let Some(volume) =
            read.with_context(|| format!("cannot read the LVM metadata of {}", stretch.name))?
        else {
            return Ok(None);
        };
        let mut runs: Vec<Extent> = volume.metadata.iter().map(run).collect();
        for piece in &volume.pieces {
            runs.extend(self.plan_piece(stretch, &volume, piece)?);
        }
        if volume.volumes > 1 {
            self.notes.push(format!(
                "{}: the LVM group {} has {} physical volumes: it starts where all of them are",
                stretch.name, volume.group, volume.volumes
            ));
        }
        Ok(Some(PlannedContent::Blocks(ExtentMap::new(joined(runs)).context("its logical volumes")?)))
    }

    fn plan_piece(&mut self, pv: &Stretch, volume: &PhysicalVolume, piece: &Piece) -> Result<Vec<Extent>> {
        let name = format!("{}, {}/{}", pv.name, volume.group, piece.name);
        let [place] = &piece.places[..] else {
            self.notes.push(format!("{name}: lies in several pieces: copied whole"));
            return Ok(piece.places.iter().map(run).collect());
        };
        if !piece.whole {
            self.notes.push(format!("{name}: is a part of a logical volume: copied whole"));
            return Ok(vec![run(place)]);
        }
        let size = place.end - place.start;
        let part = self.plan(Stretch { name, number: 0, offset: pv.offset + place.start, size })?;
        let at = |range: Range<u64>| run(&(place.start + range.start..place.start + range.end));
        Ok(match part.content {
            PlannedContent::Blocks(map) => {
                let used = map.extents().iter().map(|e| e.offset..e.offset + e.length);
                used.chain([0..ENDS.min(size), size.saturating_sub(ENDS)..size]).map(at).collect()
            }
            PlannedContent::Swap => vec![at(0..SWAP_HEADER.min(size))],
            PlannedContent::Raw => vec![at(0..size)],
            PlannedContent::Empty => Vec::new(),
        })
    }
}

fn run(range: &Range<u64>) -> Extent {
    Extent { offset: range.start, length: range.end - range.start }
}
