//! A physical volume on a longer partition, as `pvresize` leaves it; and one of its logical volumes with all the room there is,
//! as after `lvextend`. Swap behind that volume moves to the end.

use std::io;
use std::ops::Range;

use super::text::{self, Number, Section, Value};
use super::{LogicalVolume, PhysicalVolume, SECTOR, Writes, area};
use crate::layout::ReadAt;
use crate::swap;

/// What a physical volume becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// Bytes of its partition.
    size: u64,
    /// Metadata of the group.
    text: String,
    /// Where the logical volume that was asked for lies then.
    pub volume: Option<Range<u64>>,
    /// Swap that moves.
    pub moved: Vec<Moved>,
}

/// A logical volume that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub name: String,
    /// Where it was.
    pub from: u64,
    /// Where it is then.
    pub to: u64,
}

/// What a number of the text becomes.
type Edit = (Number, u64);

impl PhysicalVolume {
    /// What it becomes on a partition of `size` bytes, where the logical volume `wanted` takes all the room. `is_swap` says of
    /// a logical volume and its place whether it is swap, of which nothing but its signature matters.
    ///
    /// # Errors
    /// Why that cannot be, for people.
    pub fn grown(
        &self,
        size: u64,
        wanted: Option<&str>,
        is_swap: impl Fn(&LogicalVolume, &Range<u64>) -> bool,
    ) -> Result<Grown, String> {
        let group = &self.group;
        if self.volumes > 1 {
            return Err(format!("its LVM group {group} has {} physical volumes", self.volumes));
        }
        if self.metadata.len() > 1 || self.label.areas.len() > 1 {
            return Err("LVM keeps a second copy of its metadata at its end".to_owned());
        }
        let senseless = || format!("the metadata of the LVM group {group} make no sense");
        let all = text::parse(&self.text).ok_or_else(senseless)?;
        let section = all.section(group).ok_or_else(senseless)?;
        let numbers = Numbers::of(section).ok_or_else(senseless)?;
        let count = size.saturating_sub(numbers.first) / numbers.extent;
        if count < numbers.count.value {
            return Err(format!("the LVM group {group} needs more room than there is"));
        }
        let mut edits = vec![
            (numbers.sequence.clone(), numbers.sequence.value + 1),
            (numbers.size.clone(), size / SECTOR),
            (numbers.count.clone(), count),
        ];
        let mut grown = Grown { size, text: String::new(), volume: None, moved: Vec::new() };
        if let Some(name) = wanted {
            let end = numbers.first + count * numbers.extent;
            let (place, moved) = self.arrange(name, end, is_swap)?;
            let logical = section.section("logical_volumes").ok_or_else(senseless)?;
            edits.push(longer(logical, name, &place, numbers.extent).ok_or_else(senseless)?);
            for swap in &moved {
                let to = (swap.to - numbers.first) / numbers.extent;
                edits.push((start_of(logical, &swap.name).ok_or_else(senseless)?.clone(), to));
            }
            (grown.volume, grown.moved) = (Some(place), moved);
        }
        grown.text = edited(&self.text, edits);
        Self::parse(&self.label, grown.text.clone()).map(|_| grown).ok_or_else(senseless)
    }

    /// Where the logical volume and the swap behind it lie on a volume whose last extent ends at `end`.
    fn arrange(
        &self,
        name: &str,
        end: u64,
        is_swap: impl Fn(&LogicalVolume, &Range<u64>) -> bool,
    ) -> Result<(Range<u64>, Vec<Moved>), String> {
        let (group, own) = (&self.group, &self.label.uuid);
        let Some(volume) = self.logical.iter().find(|volume| volume.name == name) else {
            let has: Vec<_> = self.logical.iter().map(|volume| volume.name.as_str()).collect();
            return Err(format!("its LVM group {group} has no volume {name:?}: it has {}", has.join(", ")));
        };
        let Some(place) = volume.only_place(own) else {
            return Err(format!(
                "{group}/{name} is not one stretch of it: only linear volumes in one piece are grown"
            ));
        };
        let behind =
            self.logical.iter().filter(|other| other.places_on(own).iter().any(|at| at.start >= place.end));
        let mut swaps = Vec::new();
        for other in behind {
            match other.only_place(own) {
                Some(at) if other.segments.len() == 1 && is_swap(other, &at) => swaps.push((at, &other.name)),
                _ => {
                    return Err(format!(
                        "{group}/{} lies behind {group}/{name}, and only swap is moved",
                        other.name
                    ));
                }
            }
        }
        swaps.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
        let (mut limit, mut moved) = (end, Vec::new());
        for (at, name) in swaps {
            limit -= at.end - at.start;
            if limit != at.start {
                moved.push(Moved { name: name.clone(), from: at.start, to: limit });
            }
        }
        Ok((place.start..limit, moved))
    }

    /// What is to be written for that, in order: until the one before the last two (header of the metadata, and label) is on
    /// the medium, all is as it was. None where the metadata find no room.
    ///
    /// # Errors
    /// What the device says.
    pub fn writes(&self, device: &impl ReadAt, grown: &Grown) -> io::Result<Option<Writes>> {
        let mut writes = Vec::new();
        for Moved { from, to, .. } in &grown.moved {
            writes.push((*to, device.read_vec(*from, swap::PAGE)?));
        }
        let [place] = &self.label.areas[..] else { return Ok(None) };
        let Some(found) = area::read(device, place)? else { return Ok(None) };
        let old = found.offset..found.offset + found.text.len() as u64;
        let Some(metadata) = area::replace(place, Some(old), &grown.text) else { return Ok(None) };
        writes.extend(metadata);
        writes.push(self.label.resized(device, grown.size)?);
        Ok(Some(writes))
    }
}

/// Of the metadata of a group with one physical volume. Lengths are bytes.
struct Numbers<'a> {
    sequence: &'a Number,
    extent: u64,
    size: &'a Number,
    first: u64,
    count: &'a Number,
}

impl<'a> Numbers<'a> {
    fn of(group: &'a Section) -> Option<Self> {
        let (_, volume) = group.section("physical_volumes")?.sections().next()?;
        Some(Self {
            sequence: group.placed("seqno")?,
            extent: group.number("extent_size")?.checked_mul(SECTOR).filter(|extent| *extent > 0)?,
            size: volume.placed("dev_size")?,
            first: volume.number("pe_start")?.checked_mul(SECTOR)?,
            count: volume.placed("pe_count")?,
        })
    }
}

/// Makes the last segment of a linear volume so much longer that the volume fills its place.
fn longer(logical: &Section, name: &str, place: &Range<u64>, extent: u64) -> Option<Edit> {
    let segments = logical.section(name)?.sections().map(|(_, segment)| segment);
    let last = segments.max_by_key(|segment| segment.number("start_extent"))?;
    let length = (place.end - place.start) / extent;
    Some((last.placed("extent_count")?.clone(), length.checked_sub(last.number("start_extent")?)?))
}

/// Extent that a linear volume in one segment begins at.
fn start_of<'a>(logical: &'a Section, name: &str) -> Option<&'a Number> {
    let (_, segment) = logical.section(name)?.sections().next()?;
    match segment.list("stripes")? {
        [Value::Text(_), Value::Number(start)] => Some(start),
        _ => None,
    }
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(number, _)| std::cmp::Reverse(number.at.start));
    let mut text = text.to_owned();
    for (number, value) in edits {
        text.replace_range(number.at, &value.to_string());
    }
    text
}
