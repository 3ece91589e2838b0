//! Filling a larger disk: which partition grows, where the others go, and what becomes of the file system.

use std::fmt;

use uuid::{Uuid, uuid};

use super::{PlanError, lvm};
use crate::conf::Grow;
use crate::conf::units::human_size;
use crate::directory::CheckedImage;
use crate::filesystem;
use crate::layout::{Entry, Layout, Partition, is_hybrid};
use crate::manifest::{Content, PartitionInfo};

/// Types of partitions in a GPT (UEFI specification; "The Discoverable Partitions Specification"; Microsoft's).
const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
const MICROSOFT_RESERVED: Uuid = uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae");
const WINDOWS_RECOVERY: Uuid = uuid!("de94bba4-06d1-4d40-a16a-bfd50179d6ac");
/// The same in an MBR.
const WINDOWS_RECOVERY_MBR: u8 = 0x27;

/// Less than this is what rounding leaves: an allocation group or a cluster more is nobody's wish. Bytes.
const WORTH_IT: u64 = 1 << 20;

/// A file system to be made as long as its partition when all else is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Name of the partition in the image.
    pub name: String,
    /// Number of the partition; none where the target is that partition.
    pub number: Option<u32>,
    /// File system as blkid names it.
    pub filesystem: String,
    /// Bytes that it spans as it is in the image.
    pub from: u64,
    /// Bytes of its partition.
    pub to: u64,
    /// Of a physical volume of LVM, the logical volume that grows with it.
    pub volume: Option<VolumeGrowth>,
}

/// A logical volume to be made longer, with the file system on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeGrowth {
    /// Its name in the group.
    pub name: String,
    /// File system as blkid names it.
    pub filesystem: String,
    /// Bytes that it has.
    pub from: u64,
    /// Bytes that it will have.
    pub to: u64,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, filesystem, from, to, volume, .. } = self;
        write!(f, "the {filesystem} of {name} from {} to {}", human_size(*from), human_size(*to))?;
        if let Some(VolumeGrowth { name, filesystem, from, to }) = volume {
            let (from, to) = (human_size(*from), human_size(*to));
            write!(f, ", in it the logical volume {name} ({filesystem}) from {from} to {to}")?;
        }
        Ok(())
    }
}

/// The partitions as they will lie on the target.
pub(super) struct Arrangement {
    pub(super) layout: Layout,
    pub(super) partitions: Vec<PartitionInfo>,
    pub(super) growth: Option<Growth>,
    /// What moves, for people.
    pub(super) notes: Vec<String>,
}

impl CheckedImage {
    /// Where everything goes on a disk of `size` bytes.
    pub(super) fn arrange(&self, layout: &Layout, size: u64, grow: &Grow) -> Result<Arrangement, PlanError> {
        let as_it_is = self.manifest.partitions.clone();
        let Some(wanted) = self.to_grow(layout, grow)? else {
            return Ok(Arrangement {
                layout: layout.clone(),
                partitions: as_it_is,
                growth: None,
                notes: Vec::new(),
            });
        };
        if self.boot_code.as_deref().is_some_and(is_hybrid) {
            let why = "the disk has a hybrid MBR, which says where partitions lie and how long they are";
            return Err(refuse(&wanted.name, why));
        }
        let grown = layout.grown(wanted.number, size)?;
        let mut partitions = as_it_is;
        let mut notes = Vec::new();
        for info in &mut partitions {
            let Some(p) = grown.partition(info.number) else { continue };
            let range = grown.byte_range(p);
            if range.start != info.offset {
                notes.extend(moved(info, p, range.start)?);
            }
            info.offset = range.start;
            info.size = range.end - range.start;
        }
        let room = partitions.iter().find(|p| p.number == wanted.number).map_or(wanted.size, |p| p.size);
        let (growth, said) = growth(wanted, Some(wanted.number), room, grow)?;
        notes.extend(said);
        if room == wanted.size {
            notes.push(format!("{} keeps its size: the disk has no room for more", wanted.name));
        }
        Ok(Arrangement { layout: grown, partitions, growth, notes })
    }

    /// The partition that is to grow.
    fn to_grow(&self, layout: &Layout, grow: &Grow) -> Result<Option<&PartitionInfo>, PlanError> {
        let all = &self.manifest.partitions;
        match (grow, grow.partition()) {
            (Grow::None, _) => Ok(None),
            (_, Some(name)) => match all.iter().find(|p| p.name == name) {
                Some(info) if layout.partition(info.number).is_some_and(Partition::is_extended) => {
                    Err(refuse(
                        name,
                        "it is the extended partition, which grows with a logical one that is named",
                    ))
                }
                Some(info) => Ok(Some(info)),
                None => {
                    let has: Vec<_> = all.iter().map(|p| p.name.as_str()).collect();
                    let why = format!("the image {} has {}", self.manifest.name, has.join(", "));
                    Err(refuse(name, why))
                }
            },
            (_, None) => {
                let holds_something = |info: &&PartitionInfo| {
                    info.has_torrent() && layout.partition(info.number).is_some_and(|p| !serves_another(p))
                };
                let last = all.iter().filter(holds_something).max_by_key(|info| info.offset);
                last.map(Some)
                    .ok_or_else(|| refuse("last", "there is no partition with a system or data: name one"))
            }
        }
    }
}

/// Growth of the file system of a partition that has `room` bytes on the target; none where there is nothing to do. And what
/// people should know of it.
pub(super) fn growth(
    info: &PartitionInfo,
    number: Option<u32>,
    room: u64,
    grow: &Grow,
) -> Result<(Option<Growth>, Vec<String>), PlanError> {
    let filesystem = info.filesystem.clone().unwrap_or_default();
    if let (Some(volume), "LVM2_member") = (&info.lvm, filesystem.as_str()) {
        return lvm::growth(info, volume, number, room, grow.volume());
    }
    if let Some(volume) = grow.volume() {
        return Err(refuse(
            &grow.to_string(),
            format!("the image knows of no LVM on {} with {volume:?} in it", info.name),
        ));
    }
    // Swap is made anew as long as its partition, and nothing has no length.
    if !info.has_torrent() {
        return Ok((None, Vec::new()));
    }
    if let Some(why) = filesystem::refuses_to_grow(&filesystem) {
        return Err(refuse(&info.name, why));
    }
    let from = info.filesystem_size.unwrap_or(info.size);
    let worth_it = room.saturating_sub(from) >= WORTH_IT;
    let (name, to) = (info.name.clone(), room);
    Ok((worth_it.then_some(Growth { name, number, filesystem, from, to, volume: None }), Vec::new()))
}

pub(super) fn refuse(name: &str, why: impl Into<String>) -> PlanError {
    PlanError::Grow { name: name.to_owned(), why: why.into() }
}

/// Does it hold GRUB's core, which code that BIOS runs finds by its place?
pub(super) fn is_bios_boot(p: &Partition) -> bool {
    matches!(p.entry, Entry::Gpt { type_guid: BIOS_BOOT, .. })
}

/// Is it there for the sake of another partition: to start, to repair or to reserve?
fn serves_another(p: &Partition) -> bool {
    match p.entry {
        Entry::Gpt { type_guid, .. } => {
            [ESP, BIOS_BOOT, MICROSOFT_RESERVED, WINDOWS_RECOVERY].contains(&type_guid)
        }
        Entry::Dos { type_id, .. } => type_id == WINDOWS_RECOVERY_MBR,
    }
}

/// What people should know of a partition that moves to the byte `to`.
fn moved(info: &PartitionInfo, p: &Partition, to: u64) -> Result<Vec<String>, PlanError> {
    let name = &info.name;
    let type_guid = match p.entry {
        Entry::Gpt { type_guid, .. } => Some(type_guid),
        Entry::Dos { .. } => None,
    };
    if type_guid == Some(BIOS_BOOT) {
        let why =
            "it holds GRUB's core, which the boot code finds by its place, and lies behind what is to grow";
        return Err(refuse(name, why));
    }
    let how = if info.content == Content::Swap { "is made anew" } else { "lies" };
    let mut notes = vec![format!("{name} {how} at byte {to} instead of {}, behind what grows", info.offset)];
    let recovery = match p.entry {
        Entry::Gpt { type_guid, .. } => type_guid == WINDOWS_RECOVERY,
        Entry::Dos { type_id, .. } => type_id == WINDOWS_RECOVERY_MBR,
    };
    if recovery {
        notes.push(format!(
            "{name}: Windows has written down where its recovery lies; \"reagentc /disable\" and \"reagentc /enable\" in it \
             make it look again"
        ));
    } else if type_guid.is_none() && info.filesystem.as_deref() == Some("ntfs") {
        notes.push(format!(
            "{name}: on a disk with an MBR, Windows' boot loader finds its system by its place"
        ));
    }
    Ok(notes)
}
