//! A physical volume of LVM: Clonezilla keeps the metadata of its group as text, and each logical volume as a partition.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use ezio_image::extents::{Extent, ExtentMap};
use ezio_image::lvm::{LogicalVolume, PhysicalVolume};
use ezio_image::manifest::{LvmInfo, VolumeInfo};
use ezio_image::swap;
use ezio_imagedir::Content;

use super::content::Stream;
use crate::directory::{Directory, Facts, Saved};

/// Lines of "GROUP DEVICE UUID".
const VOLUMES: &str = "lvm_vg_dev.list";
/// Lines that begin with the device of a logical volume.
const LOGICAL: &str = "lvm_logv.list";
/// Made zero at both ends of a logical volume, where nothing is in use: old signatures would lie there.
const ENDS: u64 = 128 << 10;

/// A physical volume, ready to be written.
#[derive(Debug)]
pub(super) struct Volume {
    /// Its UUID.
    pub(super) uuid: String,
    /// What is in it.
    pub(super) info: LvmInfo,
    /// What is written of it.
    pub(super) map: ExtentMap,
    /// The same, by where it comes from.
    pieces: Vec<(Range<u64>, Origin)>,
    /// The files of its logical volumes, and their lengths.
    streams: Vec<(Saved, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Bytes(Vec<u8>),
    Zeros,
    /// That stream of `streams`.
    Stream(usize),
}

impl Volume {
    /// Looks at the partition with this name and size; none where it is no physical volume. Notes what was not saved.
    pub(super) fn find(
        directory: &Directory,
        partition: &str,
        size: u64,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>> {
        if !directory.has(VOLUMES) {
            return Ok(None);
        }
        let list = directory.text(VOLUMES)?;
        let device = format!("/dev/{partition}");
        let words = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let Some((group, uuid)) = words
            .filter_map(|words| match words[..] {
                [group, on, uuid, ..] if on == device => Some((group.to_owned(), uuid.to_owned())),
                _ => None,
            })
            .next()
        else {
            return Ok(None);
        };
        let file = format!("lvm_{group}.conf");
        let backup = directory.text(&file)?;
        let path = directory.path().join(&file);
        let (volume, written) = PhysicalVolume::of_backup(&backup, &uuid)
            .with_context(|| format!("{} does not tell of {partition} what LVM needs", path.display()))?;
        ensure!(volume.label.size <= size, "{} tells of a longer {partition} than there is", path.display());
        ensure!(
            volume.volumes == 1,
            "{partition}: its LVM group {group} has {} physical volumes, which is not understood: restore the image \
             with Clonezilla and capture the disk",
            volume.volumes
        );
        let mut found = Self {
            uuid,
            info: LvmInfo::new(&volume, Vec::new()),
            map: ExtentMap::new(Vec::new())?,
            pieces: written.into_iter().map(piece).collect(),
            streams: Vec::new(),
        };
        for logical in &volume.logical {
            found.add(directory, &volume, logical, notes)?;
        }
        found.pieces.sort_by_key(|(range, _)| range.start);
        let runs = found
            .pieces
            .iter()
            .map(|(range, _)| Extent { offset: range.start, length: range.end - range.start });
        found.map =
            ExtentMap::new(runs.collect()).with_context(|| format!("{} makes no sense", path.display()))?;
        Ok(Some(found))
    }

    fn add(
        &mut self,
        directory: &Directory,
        volume: &PhysicalVolume,
        logical: &LogicalVolume,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let (group, name, size) = (&volume.group, &logical.name, logical.size);
        let begins =
            logical.segments.iter().map(|segment| segment.stripes.first().map(|stripe| stripe.offset));
        let in_order = begins.is_sorted();
        let linear = logical.plain && logical.segments.iter().all(|segment| segment.stripes.len() == 1);
        ensure!(
            linear && in_order,
            "the logical volume {group}/{name} is not linear, with its pieces in order, which is not understood: restore \
             the image with Clonezilla and capture the disk"
        );
        let (file, device) = (format!("{group}-{name}"), format!("/dev/{group}/{name}"));
        let mut filesystem = None;
        let (mut used, mut whole) = (Vec::new(), false);
        if let Some(facts) = Facts::of_swap(directory, &file) {
            let page = swap::signature(size, facts.uuid.as_deref(), facts.label.as_deref())
                .with_context(|| format!("the swap {group}/{name}"))?;
            let [place, ..] = &logical.places_on(&volume.label.uuid)[..] else { return Ok(()) };
            used.push(0..page.len() as u64);
            self.pieces.push((place.start..place.start + page.len() as u64, Origin::Bytes(page)));
            filesystem = facts.filesystem;
        } else if let Some(saved) = directory.saved(&file) {
            let stream = Stream::open(directory, saved, size)?;
            match stream.map(size)? {
                Some(map) => used.extend(map.extents().iter().map(|run| run.offset..run.offset + run.length)),
                None => used.push(0..size),
            }
            whole = matches!(&used[..], [all] if *all == (0..size));
            filesystem = Some(saved.filesystem.clone()).filter(|kind| kind != "dd");
            self.place(volume, logical, &used, &Origin::Stream(self.streams.len()));
            self.place(volume, logical, &ends(&used, size), &Origin::Zeros);
            self.streams.push((saved.clone(), size));
        } else if directory.text(LOGICAL).is_ok_and(|list| list.lines().any(|line| is_of(line, &device))) {
            bail!(
                "{} is incomplete: {group}/{name} was saved, and no file of it is there",
                directory.path().display()
            );
        } else {
            notes
                .push(format!("{group}/{name} was not saved: it is empty in this image, whatever was on it"));
        }
        let used = used.iter().map(|used| used.end - used.start).sum();
        let name = name.clone();
        self.info.volumes.push(VolumeInfo { name, size, used, whole, filesystem, block_size: None });
        Ok(())
    }

    /// These bytes of a logical volume, from there.
    fn place(
        &mut self,
        volume: &PhysicalVolume,
        logical: &LogicalVolume,
        ranges: &[Range<u64>],
        origin: &Origin,
    ) {
        let places = ranges.iter().flat_map(|range| logical.places(range.clone()));
        let own = places.filter(|place| place.volume == volume.label.uuid);
        self.pieces.extend(own.map(|place| (place.offset..place.offset + place.length, origin.clone())));
    }

    /// Opens all of it.
    pub(super) fn open(&self, directory: &Directory) -> Result<Reader<'_>> {
        let open = |(saved, size): &(Saved, u64)| Stream::open(directory, saved, *size);
        let streams = self.streams.iter().map(open).collect::<Result<Vec<_>>>()?;
        Ok(Reader { volume: self, streams: streams.into_iter().enumerate().collect() })
    }
}

fn piece((offset, bytes): (u64, Vec<u8>)) -> (Range<u64>, Origin) {
    (offset..offset + bytes.len() as u64, Origin::Bytes(bytes))
}

fn is_of(line: &str, device: &str) -> bool {
    line.split_whitespace().next() == Some(device)
}

/// What of the ends of a volume is not in use.
fn ends(used: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let (first, last) =
        (used.first().map_or(size, |used| used.start), used.last().map_or(size, |used| used.end));
    let head = 0..first.min(ENDS);
    let tail = last.max(size.saturating_sub(ENDS)).max(head.end)..size;
    [head, tail].into_iter().filter(|range| !range.is_empty()).collect()
}

/// Reads a physical volume from its beginning to its end.
pub(super) struct Reader<'a> {
    volume: &'a Volume,
    streams: HashMap<usize, Stream>,
}

impl Reader<'_> {
    /// All has been read: checks what can be checked at the end.
    pub(super) fn finish(self) -> Result<()> {
        self.streams.into_values().try_for_each(Stream::finish)
    }
}

impl Content for Reader<'_> {
    fn read(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            let pieces = &self.volume.pieces;
            let index = pieces.partition_point(|(range, _)| range.end <= offset);
            let (range, origin) = pieces.get(index).context("it is asked for what is not in use")?;
            let length = (range.end - offset).min(buffer.len() as u64) as usize;
            let (part, rest) = buffer.split_at_mut(length);
            match origin {
                Origin::Bytes(bytes) => {
                    part.copy_from_slice(&bytes[(offset - range.start) as usize..][..length])
                }
                Origin::Zeros => part.fill(0),
                Origin::Stream(stream) => {
                    self.streams.get_mut(stream).context("it is closed")?.read(offset, part)?;
                }
            }
            (offset, buffer) = (offset + length as u64, rest);
        }
        Ok(())
    }
}
