//! A record of NTFS's master file table: its attributes, and where the content of those lies that have it outside.

use std::io;
use std::ops::Range;

const MAGIC: &[u8; 4] = b"FILE";
/// The last two bytes of each so many are kept elsewhere in the record, to know a write that was torn.
const PROTECTED: usize = 512;
/// Fields of a record.
const FIXUPS_AT: usize = 4;
const FIXUPS: usize = 6;
const FIRST_ATTRIBUTE: usize = 20;
const BYTES_USED: usize = 24;
const NUMBER: usize = 44;
/// Type of an attribute that says where attributes outside this record are, and the end of all attributes.
const ATTRIBUTE_LIST: u32 = 0x20;
const END: u32 = 0xffff_ffff;
/// Fields of an attribute. The shorter header is that of one with its value in the record.
const NON_RESIDENT: usize = 8;
const LAST_CLUSTER: usize = 24;
const RUNS_AT: usize = 32;
const ALLOCATED: usize = 40;
const LENGTH: usize = 48;
const WRITTEN: usize = 56;
const SHORT_HEADER: usize = 24;
const LONG_HEADER: usize = 64;

/// A record, as it is behind the fix-ups.
#[derive(Debug, Clone)]
pub(super) struct Record {
    bytes: Vec<u8>,
    number: u64,
}

/// Clusters that follow each other on the volume, or a hole of as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First cluster; none: a hole.
    pub(super) first: Option<u64>,
    pub(super) length: u64,
}

/// A copy of an attribute, and where it begins in its record.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    at: usize,
    bytes: Vec<u8>,
    number: u64,
}

fn damaged(number: u64, what: &str) -> io::Error {
    io::Error::other(format!("record {number} of the NTFS {what}; run chkdsk"))
}

fn short(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

impl Record {
    /// Reads record `number` out of its bytes on the medium.
    pub(super) fn decode(mut bytes: Vec<u8>, number: u64) -> io::Result<Self> {
        let fixups = short(&bytes, FIXUPS_AT);
        let count = short(&bytes, FIXUPS);
        let sane = bytes.starts_with(MAGIC)
            && bytes.len().is_multiple_of(PROTECTED)
            && count == bytes.len() / PROTECTED + 1
            && fixups + 2 * count <= PROTECTED - 2;
        if !sane {
            return Err(damaged(number, "is no record"));
        }
        // Before Windows XP records did not say their number.
        if fixups > NUMBER && u64::from(word(&bytes, NUMBER)) != number {
            return Err(damaged(number, "says that it is another one"));
        }
        let stamp = [bytes[fixups], bytes[fixups + 1]];
        for index in 1..count {
            let (at, kept) = (index * PROTECTED - 2, fixups + 2 * index);
            if bytes[at..at + 2] != stamp {
                return Err(damaged(number, "was written in part"));
            }
            bytes.copy_within(kept..kept + 2, at);
        }
        Ok(Self { bytes, number })
    }

    /// Its bytes on the medium.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = self.bytes;
        let fixups = short(&bytes, FIXUPS_AT);
        // 0 and 0xffff are not used.
        let stamp = match short(&bytes, fixups) as u16 {
            old @ 0..0xfffe => old + 1,
            _ => 1,
        };
        bytes[fixups..fixups + 2].copy_from_slice(&stamp.to_le_bytes());
        for index in 1..=bytes.len() / PROTECTED {
            let (at, kept) = (index * PROTECTED - 2, fixups + 2 * index);
            bytes.copy_within(at..at + 2, kept);
            bytes[at..at + 2].copy_from_slice(&stamp.to_le_bytes());
        }
        bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The attribute of this type and name, all of which has to be in this record.
    pub(super) fn attribute(&self, kind: u32, name: &str) -> io::Result<Attribute> {
        let mut at = short(&self.bytes, FIRST_ATTRIBUTE);
        loop {
            let (found, length) = (word(&self.bytes, at), word(&self.bytes, at + 4) as usize);
            if found == ATTRIBUTE_LIST {
                return Err(damaged(
                    self.number,
                    "has more attributes than fit into it, which is not supported",
                ));
            }
            let Some(bytes) = self.bytes.get(at..at.saturating_add(length)) else {
                return Err(damaged(self.number, "is cut short"));
            };
            if found == END || length < SHORT_HEADER {
                return Err(damaged(self.number, "lacks an attribute that it has to have"));
            }
            if found == kind && name_of(bytes) == name {
                return Ok(Attribute { at, bytes: bytes.to_vec(), number: self.number });
            }
            at += length;
        }
    }

    /// Gives an attribute of this record other runs and lengths in bytes.
    pub(super) fn set_runs(
        &mut self,
        attribute: &Attribute,
        runs: &[Run],
        cluster: u64,
        length: u64,
        written: u64,
    ) -> io::Result<()> {
        let clusters: u64 = runs.iter().map(|run| run.length).sum();
        let mut bytes = attribute.bytes.clone();
        bytes[LAST_CLUSTER..LAST_CLUSTER + 8].copy_from_slice(&clusters.saturating_sub(1).to_le_bytes());
        let lengths = [(ALLOCATED, clusters * cluster), (LENGTH, length), (WRITTEN, written)];
        for (at, value) in lengths {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes.truncate(short(&bytes, RUNS_AT));
        encode_runs(runs, &mut bytes);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let new_length = bytes.len() as u32;
        bytes[4..8].copy_from_slice(&new_length.to_le_bytes());
        let used = word(&self.bytes, BYTES_USED) as usize;
        let behind = attribute.at + attribute.bytes.len();
        let rest = self.bytes.get(behind..used).ok_or_else(|| damaged(self.number, "is cut short"))?.to_vec();
        let end = attribute.at + bytes.len() + rest.len();
        if end > self.bytes.len() {
            return Err(damaged(self.number, "has no room for where its data lies, which is not supported"));
        }
        self.bytes[attribute.at..attribute.at + bytes.len()].copy_from_slice(&bytes);
        self.bytes[attribute.at + bytes.len()..end].copy_from_slice(&rest);
        self.bytes[end..].fill(0);
        self.bytes[BYTES_USED..BYTES_USED + 4].copy_from_slice(&(end as u32).to_le_bytes());
        Ok(())
    }
}

fn name_of(attribute: &[u8]) -> String {
    let (length, at) = (usize::from(attribute[9]), short(attribute, 10));
    let units = attribute.get(at..at + 2 * length).unwrap_or_default();
    let units: Vec<u16> = units.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16_lossy(&units)
}

impl Attribute {
    /// Where its value lies in the record.
    pub(super) fn value(&self) -> io::Result<Range<usize>> {
        if self.bytes[NON_RESIDENT] != 0 {
            return Err(damaged(self.number, "keeps a value elsewhere that has to be in it"));
        }
        let (length, from) = (word(&self.bytes, 16) as usize, short(&self.bytes, 20));
        Ok(self.at + from..self.at + from + length)
    }

    /// Bytes that were ever written.
    pub(super) fn written(&self) -> u64 {
        long(&self.bytes, WRITTEN)
    }

    /// Where its content lies on the volume.
    pub(super) fn runs(&self) -> io::Result<Vec<Run>> {
        let wrong = || damaged(self.number, "does not tell where its data lies");
        if self.bytes[NON_RESIDENT] == 0 || self.bytes.len() < LONG_HEADER {
            return Err(wrong());
        }
        let mut rest = self.bytes.get(short(&self.bytes, RUNS_AT)..).ok_or_else(wrong)?;
        let (mut runs, mut last) = (Vec::new(), 0i64);
        loop {
            let (head, behind) = rest.split_first().ok_or_else(wrong)?;
            let (lengths, offsets) = (usize::from(head & 15), usize::from(head >> 4));
            if *head == 0 {
                return Ok(runs);
            }
            if lengths == 0 || lengths > 8 || offsets > 8 || behind.len() < lengths + offsets {
                return Err(wrong());
            }
            let length = u64::try_from(signed(&behind[..lengths])).map_err(|_| wrong())?;
            let first = if offsets == 0 {
                None
            } else {
                last = last.checked_add(signed(&behind[lengths..lengths + offsets])).ok_or_else(wrong)?;
                Some(u64::try_from(last).map_err(|_| wrong())?)
            };
            runs.push(Run { first, length });
            rest = &behind[lengths + offsets..];
        }
    }
}

/// A little-endian number whose highest bit is its sign.
fn signed(bytes: &[u8]) -> i64 {
    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().rev().fold(fill, |n, b| n << 8 | i64::from(*b))
}

/// As few bytes as hold it with its sign.
fn shortest(number: i64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    while bytes.len() > 1 && signed(&bytes[..bytes.len() - 1]) == number {
        bytes.pop();
    }
    bytes
}

fn encode_runs(runs: &[Run], out: &mut Vec<u8>) {
    let mut last = 0;
    for run in runs {
        let length = shortest(run.length as i64);
        let offset = run.first.map(|first| {
            let offset = shortest(first as i64 - last);
            last = first as i64;
            offset
        });
        let offset = offset.unwrap_or_default();
        out.push((offset.len() << 4 | length.len()) as u8);
        out.extend(length);
        out.extend(offset);
    }
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_read_as_they_were_written(
            runs in prop::collection::vec((prop::option::of(0u64..1 << 40), 1u64..1 << 40), 0..9),
        ) {
            let runs: Vec<Run> = runs.into_iter().map(|(first, length)| Run { first, length }).collect();
            let mut bytes = vec![0; LONG_HEADER];
            (bytes[NON_RESIDENT], bytes[RUNS_AT]) = (1, LONG_HEADER as u8);
            encode_runs(&runs, &mut bytes);
            let attribute = Attribute { at: 0, bytes, number: 6 };
            prop_assert_eq!(attribute.runs().unwrap(), runs);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 1024), name in "[a-z$]{0,4}") {
            bytes[..4].copy_from_slice(MAGIC);
            bytes[4..8].copy_from_slice(&[48, 0, 3, 0]);
            let stamp = [bytes[48], bytes[49]];
            bytes[44..48].copy_from_slice(&[6, 0, 0, 0]);
            bytes[510..512].copy_from_slice(&stamp);
            bytes[1022..].copy_from_slice(&stamp);
            bytes[20..22].copy_from_slice(&[56, 0]);
            if let Ok(mut record) = Record::decode(bytes, 6)
                && let Ok(attribute) = record.attribute(0x80, &name)
                && let Ok(runs) = attribute.runs()
            {
                let _ = record.set_runs(&attribute, &runs, 4096, 0, 0);
                prop_assert_eq!(record.encode().len(), 1024);
            }
        }
    }
}
