//! What nobody can look into from here, by blkid's name: it is copied whole, and never by its blocks in use. And what is
//! spread over disks in ways of Windows, which is refused.

use ezio_image::layout::{Entry, Layout};

/// Windows' Logical Disk Manager: its type in an MBR, and those of a GPT for its database and its data.
const LDM_MBR: u8 = 0x42;
const LDM: [&str; 2] = ["5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad"];
const STORAGE_SPACES: &str = "e75caf8f-f680-4cee-afa3-b001e56efc2d";

/// Why this kind of content is copied whole; none for a file system.
pub(super) fn why(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "crypto_LUKS" => "is encrypted by LUKS, so that nobody knows what is in use",
        "BitLocker" => "is encrypted by BitLocker, so that nobody knows what is in use",
        "linux_raid_member" => "is a member of a Linux RAID, which starts where all of its members are",
        "zfs_member" => "is a member of a ZFS pool, which starts where all of its members are",
        kind if kind.ends_with("_raid_member") => "is a member of a RAID of the firmware",
        _ => return None,
    })
}

/// Why a disk with this table cannot be captured part by part.
pub(super) fn refusal(layout: &Layout) -> Option<&'static str> {
    layout.partitions().iter().find_map(|partition| match &partition.entry {
        Entry::Dos { type_id: LDM_MBR, .. } => Some("is a dynamic disk of Windows (LDM)"),
        Entry::Gpt { type_guid, .. } => match type_guid.to_string().as_str() {
            guid if LDM.contains(&guid) => Some("is a dynamic disk of Windows (LDM)"),
            STORAGE_SPACES => Some("is part of Windows' Storage Spaces"),
            _ => None,
        },
        Entry::Dos { .. } => None,
    })
}
