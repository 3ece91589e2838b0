//! Names in a folder of FAT: short ones, and before these the long ones in pieces (Microsoft's FAT specification, section 7).

use super::Fields;
use super::fat_clusters::ENTRY;

/// Attributes at 11: a label, and a piece of a long name.
const LABEL: u8 = 0x08;
const PIECE: u8 = 0x0f;
/// In the number of a piece: it is the last of the name, and comes first.
const LAST: u8 = 0x40;
/// At 12, by Windows NT: name and extension are in lower case, where that says all that a long name would.
const LOWER_NAME: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;
/// Where the characters of a piece lie.
const CHARACTERS: [std::ops::Range<usize>; 3] = [1..11, 14..26, 28..32];

/// What a folder has, by its names (the long ones, where there are), and the first cluster of each.
pub(super) fn names(folder: &[u8]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut long = LongName::default();
    for entry in folder.as_chunks::<ENTRY>().0.iter().take_while(|entry| entry[0] != 0) {
        match (entry[0], entry[11] & PIECE) {
            (0xe5, _) => long = LongName::default(),
            (_, PIECE) => long.add(entry),
            (_, kind) if kind & LABEL != 0 => long = LongName::default(),
            _ => {
                let fields = Fields(entry.to_vec());
                let name = std::mem::take(&mut long).of(entry).unwrap_or_else(|| short_name(&fields));
                found.push((name, fields.le(20, 2) << 16 | fields.le(26, 2)));
            }
        }
    }
    found
}

fn short_name(entry: &Fields) -> String {
    let in_case = |text: String, lower: u8| match entry.le(12, 1) & u64::from(lower) {
        0 => text,
        _ => text.to_ascii_lowercase(),
    };
    let name = in_case(entry.text(0, 8).unwrap_or_default(), LOWER_NAME);
    match entry.text(8, 3) {
        Some(extension) => format!("{name}.{}", in_case(extension, LOWER_EXTENSION)),
        None => name,
    }
}

/// The pieces so far, the last of the name first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    checksum: u8,
}

impl LongName {
    fn add(&mut self, piece: &[u8; ENTRY]) {
        if piece[0] & LAST != 0 {
            *self = Self { units: Vec::new(), checksum: piece[13] };
        }
        let bytes: Vec<u8> = CHARACTERS.into_iter().flat_map(|range| piece[range].to_vec()).collect();
        let units = bytes.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
        self.units.splice(0..0, units.take_while(|unit| !matches!(unit, 0 | 0xffff)));
    }

    /// The name, if it belongs to this short one.
    fn of(self, entry: &[u8; ENTRY]) -> Option<String> {
        let sum = entry[..11].iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let belongs = !self.units.is_empty() && sum == self.checksum;
        belongs.then(|| String::from_utf16_lossy(&self.units))
    }
}
