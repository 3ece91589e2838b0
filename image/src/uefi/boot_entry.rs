//! One boot entry: `EFI_LOAD_OPTION` and its device path (UEFI specification 2.10, 3.1.3 and 10.3), in the short form that
//! begins with a partition.

use uuid::Uuid;

/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
/// Attributes, length of the device path.
const HEAD: usize = 6;

/// Types and subtypes of device path nodes.
const HARD_DRIVE: (u8, u8) = (4, 1);
const FILE_PATH: (u8, u8) = (4, 4);
const END: (u8, u8) = (0x7f, 0xff);
/// A card, IPv4, IPv6, and a URI for HTTP Boot.
const NETWORK: [(u8, u8); 4] = [(3, 11), (3, 12), (3, 13), (3, 24)];

/// How firmware knows a partition again: by its id in a GPT, or by the id of an MBR's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionId {
    /// PARTUUID.
    Gpt(Uuid),
    /// Id of the disk, and the partition's number.
    Dos(u32, u32),
}

/// Something to start, from a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// What the firmware's menu shows.
    pub description: String,
    /// The partition.
    pub partition: PartitionId,
    /// Its number in the table.
    pub number: u32,
    /// Its first sector.
    pub start: u64,
    /// Its sectors.
    pub size: u64,
    /// The program, from the partition's root, parted by `\`.
    pub loader: String,
}

impl BootEntry {
    /// The variable's content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (signature, format, kind) = match self.partition {
            PartitionId::Gpt(uuid) => (uuid.to_bytes_le(), 2, 2),
            PartitionId::Dos(disk, _) => {
                let mut signature = [0; 16];
                signature[..4].copy_from_slice(&disk.to_le_bytes());
                (signature, 1, 1)
            }
        };
        let mut drive = self.number.to_le_bytes().to_vec();
        drive.extend(self.start.to_le_bytes());
        drive.extend(self.size.to_le_bytes());
        drive.extend(signature);
        drive.extend([format, kind]);
        let path = [node(HARD_DRIVE, &drive), node(FILE_PATH, &utf16(&self.loader)), node(END, &[])].concat();
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        bytes.extend(length(path.len()));
        bytes.extend(utf16(&self.description));
        bytes.extend(path);
        bytes
    }
}

fn node((kind, subtype): (u8, u8), body: &[u8]) -> Vec<u8> {
    let [low, high] = length(body.len() + 4);
    [&[kind, subtype, low, high], body].concat()
}

/// What is longer than a field can say is nothing that a firmware could find: names on FAT have 255 characters.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_le_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// What an entry leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starts {
    /// A file on a partition.
    Partition(PartitionId),
    /// Something from the network.
    Network,
    /// Anything else: a whole disk, a shell inside the firmware.
    Other,
}

impl Starts {
    /// Of an entry that anybody wrote; one that cannot be read is [`Starts::Other`].
    pub(super) fn of(entry: &[u8]) -> Self {
        for (kind, body) in nodes(entry) {
            if kind == HARD_DRIVE {
                return hard_drive(body).map_or(Self::Other, Self::Partition);
            }
            if NETWORK.contains(&kind) {
                return Self::Network;
            }
        }
        Self::Other
    }
}

/// The nodes of an entry's device path.
fn nodes(entry: &[u8]) -> impl Iterator<Item = ((u8, u8), &[u8])> {
    let text = entry.get(HEAD..).unwrap_or_default().as_chunks::<2>().0;
    let description = text.iter().position(|unit| *unit == [0, 0]).map_or(text.len(), |end| end + 1);
    let mut rest = entry.get(HEAD + 2 * description..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [kind, subtype, low, high, ..] = *rest else { return None };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let body = rest.get(4..length)?;
        rest = &rest[length..];
        ((kind, subtype) != END).then_some(((kind, subtype), body))
    })
}

fn hard_drive(body: &[u8]) -> Option<PartitionId> {
    let number = u32::from_le_bytes(*body.first_chunk()?);
    let signature: &[u8; 16] = body.get(20..)?.first_chunk()?;
    match body.get(37)? {
        1 => Some(PartitionId::Dos(u32::from_le_bytes(*signature.first_chunk()?), number)),
        2 => Some(PartitionId::Gpt(Uuid::from_bytes_le(*signature))),
        _ => None,
    }
}
