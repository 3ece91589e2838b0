//! Logical volumes: which bytes of which physical volumes they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::SECTOR;
use super::text::{Section, Value};

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Is it nothing but bytes of physical volumes, as who uses it sees them? Others are thin, mirrored, cached, parts of
    /// such, or snapshots; and what a snapshot is of holds blocks that the snapshot alone uses.
    pub plain: bool,
    /// In order; those of other kinds than linear and striped have no stripes.
    pub segments: Vec<Segment>,
}

/// A stretch of a logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Bytes of the logical volume.
    pub range: Range<u64>,
    /// Bytes that lie on one stripe before the next comes.
    pub chunk: u64,
    /// One for a linear one.
    pub stripes: Vec<Stripe>,
}

/// Where a stripe begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripe {
    /// Physical volume, by its UUID without hyphens.
    pub volume: String,
    /// Byte of that.
    pub offset: u64,
}

/// Bytes of a physical volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Physical volume, by its UUID without hyphens.
    pub volume: &'a str,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl LogicalVolume {
    /// What it has of a physical volume; what touches is one.
    #[must_use]
    pub fn places_on(&self, volume: &str) -> Vec<Range<u64>> {
        let mut places = Vec::<Range<u64>>::new();
        for segment in &self.segments {
            let length = segment.stripe_length();
            for stripe in segment.stripes.iter().filter(|stripe| stripe.volume == volume) {
                match places.last_mut() {
                    Some(last) if last.end == stripe.offset => last.end += length,
                    _ => places.push(stripe.offset..stripe.offset + length),
                }
            }
        }
        places
    }

    /// The one stretch of a physical volume that it is, if it is plain and lies nowhere else.
    #[must_use]
    pub fn only_place(&self, volume: &str) -> Option<Range<u64>> {
        let linear = self.plain && self.segments.iter().all(|segment| segment.stripes.len() == 1);
        match &self.places_on(volume)[..] {
            [place] if linear && place.end - place.start == self.size => Some(place.clone()),
            _ => None,
        }
    }

    /// Does it, and all that it is made of, begin and end at multiples of so many bytes?
    #[must_use]
    pub fn is_aligned_to(&self, bytes: u64) -> bool {
        self.segments.iter().all(|segment| {
            let own = [segment.range.start, segment.range.end, segment.chunk];
            let stripes = segment.stripes.iter().map(|stripe| stripe.offset);
            own.into_iter().chain(stripes).all(|at| at.is_multiple_of(bytes))
        })
    }

    /// Physical volumes that it lies on, by their UUIDs.
    #[must_use]
    pub fn volumes(&self) -> BTreeSet<&str> {
        self.segments
            .iter()
            .flat_map(|segment| &segment.stripes)
            .map(|stripe| stripe.volume.as_str())
            .collect()
    }

    /// Where these bytes of it lie, in its order.
    pub fn places(&self, range: Range<u64>) -> impl Iterator<Item = Place<'_>> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let segment = self.segments.iter().find(|segment| segment.range.contains(&at))?;
            let mut place = segment.place(at).filter(|_| at < range.end)?;
            place.length = place.length.min(range.end - at);
            at += place.length;
            Some(place)
        })
    }
}

impl Segment {
    fn stripe_length(&self) -> u64 {
        (self.range.end - self.range.start) / (self.stripes.len() as u64).max(1)
    }

    /// Where the byte `at` of the logical volume lies, and how many follow it there.
    fn place(&self, at: u64) -> Option<Place<'_>> {
        let (within, count) = (at - self.range.start, self.stripes.len() as u64);
        let (chunk, rest) = (within / self.chunk, within % self.chunk);
        let stripe = self.stripes.get((chunk.checked_rem(count)?) as usize)?;
        let offset = stripe.offset + chunk / count * self.chunk + rest;
        let length = (self.chunk - rest).min(self.range.end - at);
        Some(Place { volume: &stripe.volume, offset, length })
    }
}

/// A physical volume as the group knows it.
pub(super) struct Extents {
    pub(super) uuid: String,
    pub(super) first: u64,
    pub(super) end: u64,
}

/// Reads the logical volumes of a group; `None` where they make no sense.
pub(super) fn read(
    group: &Section,
    extent: u64,
    volumes: &BTreeMap<&str, Extents>,
) -> Option<Vec<LogicalVolume>> {
    // A group without logical volumes has no such section.
    let sections = || group.section("logical_volumes").into_iter().flat_map(Section::sections);
    let used: BTreeSet<&str> = sections()
        .flat_map(|(_, volume)| volume.sections())
        .flat_map(|(_, segment)| segment.texts())
        .collect();
    sections().map(|(name, volume)| read_one(name, volume, extent, volumes, &used)).collect()
}

fn read_one(
    name: &str,
    volume: &Section,
    extent: u64,
    volumes: &BTreeMap<&str, Extents>,
    used: &BTreeSet<&str>,
) -> Option<LogicalVolume> {
    let is_visible = |value: &Value| matches!(value, Value::Text(text) if text == "VISIBLE");
    // What segments of others name is a part of them, or what a snapshot is of.
    let mut plain = volume.list("status")?.iter().any(is_visible) && !used.contains(name);
    let mut segments = Vec::new();
    for (_, section) in volume.sections() {
        let start = section.number("start_extent")?.checked_mul(extent)?;
        let length = section.number("extent_count")?.checked_mul(extent)?;
        let stripes = match section.text("type") {
            Some("striped") => stripes(section, length, extent, volumes)?,
            _ => None,
        };
        plain &= stripes.is_some();
        let stripes = stripes.unwrap_or_default();
        let chunk = match stripes.len() {
            0 | 1 => length,
            _ => section.number("stripe_size")?.checked_mul(SECTOR)?,
        };
        if length == 0 || chunk == 0 || length % (chunk * (stripes.len() as u64).max(1)) != 0 {
            return None;
        }
        segments.push(Segment { range: start..start.checked_add(length)?, chunk, stripes });
    }
    segments.sort_by_key(|segment| segment.range.start);
    let mut size = 0;
    for segment in &segments {
        plain &= segment.range.start == size;
        size = segment.range.end;
    }
    Some(LogicalVolume { name: name.to_owned(), size, plain, segments })
}

/// Its stripes; `Some(None)` where they are not all on physical volumes, `None` where they make no sense.
fn stripes(
    section: &Section,
    length: u64,
    extent: u64,
    volumes: &BTreeMap<&str, Extents>,
) -> Option<Option<Vec<Stripe>>> {
    let (pairs, []) = section.list("stripes")?.as_chunks::<2>() else { return None };
    let each = length.checked_div(pairs.len() as u64)?;
    let mut stripes = Vec::new();
    for [volume, start] in pairs {
        let (Value::Text(volume), Value::Number(start)) = (volume, start) else { return None };
        let Some(extents) = volumes.get(volume.as_str()) else { return Some(None) };
        let offset = start.value.checked_mul(extent)?.checked_add(extents.first)?;
        offset.checked_add(each).filter(|end| *end <= extents.end)?;
        stripes.push(Stripe { volume: extents.uuid.clone(), offset });
    }
    Some(Some(stripes))
}
