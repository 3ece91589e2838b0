//! NTFS made as long as its partition, by the rules that `ntfsresize` (of ntfs-3g) goes by: `$Bitmap` counts the new
//! clusters, `$BadClus` spans them, the boot sector counts the sectors, its copy lies behind them; the journal is emptied,
//! and the volume marked so that Windows checks it when it starts.
//!
//! No file moves: `$Bitmap` takes what it needs of the clusters that are new.

use std::io;

use super::Volume;
use super::ntfs::{self, Geometry};
use super::ntfs_record::{Record, Run};
use crate::extents::{Extent, ExtentMap};
use crate::layout::ReadAt;

const LOG_FILE: u64 = 2;
const VOLUME: u64 = 3;
const BITMAP: u64 = 6;
const BAD_CLUSTERS: u64 = 8;
/// Records that are kept twice, in `$MFTMirr`: so many, or as many as fill a cluster.
const MIRRORED: u64 = 4;
/// Attributes.
const VOLUME_INFORMATION: u32 = 0x70;
const DATA: u32 = 0x80;
/// Of the flags in `VOLUME_INFORMATION`, 10 bytes into it.
const FLAGS: usize = 10;
const DIRTY: u8 = 1;
/// `$Bitmap` is so many bytes at a time long.
const BITMAP_UNIT: u64 = 8;
/// Fewer new clusters are not worth it; what `$Bitmap` itself takes of them is less.
const FEWEST: u64 = 64;

/// Something to be written. Patches are written in their order: a later one may lie over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Byte on the device.
    pub offset: u64,
    /// What goes there.
    pub content: PatchContent,
}

/// What a patch writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One byte over and over.
    Fill {
        /// The byte.
        byte: u8,
        /// How many of them.
        length: u64,
    },
}

/// What makes an NTFS as long as its partition of `size` bytes; `None` where there is none. No patch where it is so long.
pub(super) fn patches(volume: &Volume<'_, impl ReadAt>, size: u64) -> io::Result<Option<Vec<Patch>>> {
    let Some(boot) = ntfs::boot_sector(volume)? else { return Ok(None) };
    let old =
        Geometry::of(&boot).ok_or_else(|| io::Error::other("the boot sector of the NTFS makes no sense"))?;
    // The last sector is for the copy of the boot sector.
    let sectors = (size / old.sector).saturating_sub(1);
    let clusters = sectors * old.sector / old.cluster;
    if clusters < old.clusters() + FEWEST {
        return Ok(Some(Vec::new()));
    }
    let mut plan = Plan { volume, old, clusters, patches: Vec::new() };
    plan.empty_the_journal()?;
    plan.mark_for_a_check()?;
    plan.extend_bitmap()?;
    plan.extend_bad_clusters()?;
    plan.count_sectors(sectors)?;
    Ok(Some(plan.patches))
}

struct Plan<'a, 'b, D> {
    volume: &'a Volume<'b, D>,
    old: Geometry,
    /// Clusters that there will be.
    clusters: u64,
    patches: Vec<Patch>,
}

impl<D: ReadAt> Plan<'_, '_, D> {
    fn bytes(&mut self, offset: u64, bytes: Vec<u8>) {
        self.patches.push(Patch { offset: self.volume.offset + offset, content: PatchContent::Bytes(bytes) });
    }

    fn fill(&mut self, offset: u64, byte: u8, length: u64) {
        let offset = self.volume.offset + offset;
        self.patches.push(Patch { offset, content: PatchContent::Fill { byte, length } });
    }

    fn record(&self, number: u64) -> io::Result<Record> {
        Record::decode(self.volume.read(self.old.place_of(number), self.old.record)?, number)
    }

    fn write_record(&mut self, number: u64, record: Record) {
        let bytes = record.encode();
        if number < MIRRORED.max(self.old.cluster / self.old.record as u64) {
            self.bytes(self.old.mirror + number * self.old.record as u64, bytes.clone());
        }
        self.bytes(self.old.place_of(number), bytes);
    }

    /// Where the runs of a file lie on the volume, in bytes.
    fn places(&self, runs: &[Run]) -> io::Result<ExtentMap> {
        let cluster = self.old.cluster;
        let place = |run: &Run| Some(Extent { offset: run.first? * cluster, length: run.length * cluster });
        ExtentMap::new(runs.iter().filter_map(place).collect())
            .map_err(|_| damaged("what says where files lie"))
    }

    fn empty_the_journal(&mut self) -> io::Result<()> {
        let record = self.record(LOG_FILE)?;
        let runs = record.attribute(DATA, "")?.runs()?;
        for run in self.places(&runs)?.extents() {
            self.fill(run.offset, 0xff, run.length);
        }
        Ok(())
    }

    fn mark_for_a_check(&mut self) -> io::Result<()> {
        let mut record = self.record(VOLUME)?;
        let flags = record.attribute(VOLUME_INFORMATION, "")?.value()?.start + FLAGS;
        let byte = record.bytes_mut().get_mut(flags).ok_or_else(|| damaged("$Volume"))?;
        *byte |= DIRTY;
        self.write_record(VOLUME, record);
        Ok(())
    }

    fn extend_bitmap(&mut self) -> io::Result<()> {
        let mut record = self.record(BITMAP)?;
        let attribute = record.attribute(DATA, "")?;
        let mut runs = attribute.runs()?;
        let (cluster, first_new) = (self.old.cluster, self.old.clusters());
        let length = self.clusters.div_ceil(8).next_multiple_of(BITMAP_UNIT);
        let has: u64 = runs.iter().map(|run| run.length).sum();
        let more = length.div_ceil(cluster).saturating_sub(has);
        if more > 0 {
            runs.push(Run { first: Some(first_new), length: more });
        }
        // From the byte of the first new cluster on. What is used is the bitmap's own part of them.
        let from = first_new / 8;
        let end = (has + more) * cluster;
        let places = self.places(&runs)?;
        let (at, _) = slices(&places, from, 1).next().ok_or_else(|| damaged("$Bitmap"))?;
        let shared = self.volume.read(at, 1)?.first().copied().unwrap_or_default();
        let kept = shared & low_bits(first_new % 8);
        for (offset, length) in slices(&places, from, end - from) {
            self.fill(offset, 0, length);
        }
        let mut head = vec![0; (first_new + more) as usize / 8 - from as usize + 1];
        head[0] = kept;
        set_bits(&mut head, first_new - from * 8, first_new + more - from * 8);
        self.write_over(&places, from, &head);
        // Clusters that there are not pass for used.
        let last = self.clusters / 8;
        let mut tail = vec![0; (length - last) as usize];
        set_bits(&mut tail, self.clusters - last * 8, (length - last) * 8);
        self.write_over(&places, last, &tail);
        record.set_runs(&attribute, &runs, cluster, length, length)?;
        self.write_record(BITMAP, record);
        Ok(())
    }

    fn write_over(&mut self, places: &ExtentMap, from: u64, bytes: &[u8]) {
        let mut rest = bytes;
        for (offset, length) in slices(places, from, bytes.len() as u64) {
            let (now, later) = rest.split_at(length as usize);
            self.bytes(offset, now.to_vec());
            rest = later;
        }
    }

    /// A file as long as the volume, with holes but for clusters that are bad.
    fn extend_bad_clusters(&mut self) -> io::Result<()> {
        let mut record = self.record(BAD_CLUSTERS)?;
        let attribute = record.attribute(DATA, "$Bad")?;
        let mut runs = attribute.runs()?;
        let spanned: u64 = runs.iter().map(|run| run.length).sum();
        let more = self.clusters.saturating_sub(spanned);
        match runs.last_mut() {
            Some(Run { first: None, length }) => *length += more,
            _ => runs.push(Run { first: None, length: more }),
        }
        let written = attribute.written();
        record.set_runs(&attribute, &runs, self.old.cluster, self.clusters * self.old.cluster, written)?;
        self.write_record(BAD_CLUSTERS, record);
        Ok(())
    }

    /// Last, for by this the volume is longer. The copy comes before it.
    fn count_sectors(&mut self, sectors: u64) -> io::Result<()> {
        let sector = self.old.sector;
        let mut boot = self.volume.read(0, sector as usize)?;
        boot[0x28..0x30].copy_from_slice(&sectors.to_le_bytes());
        self.bytes(sectors * sector, boot.clone());
        self.bytes(0, boot);
        Ok(())
    }
}

/// The parts of the volume, (offset, length), that hold the bytes `from .. from + length` of a file.
fn slices(places: &ExtentMap, from: u64, length: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
    places.slices(from, length).filter_map(|slice| Some((slice.offset?, slice.length)))
}

fn damaged(what: &str) -> io::Error {
    io::Error::other(format!("the NTFS is damaged: {what} is not what it should be; run chkdsk"))
}

/// The lowest bits of a byte.
fn low_bits(count: u64) -> u8 {
    ((1u16 << count.min(8)) - 1) as u8
}

fn set_bits(bytes: &mut [u8], from: u64, to: u64) {
    for bit in from..to {
        if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
            *byte |= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
#[path = "ntfs_grow_tests.rs"]
mod tests;
