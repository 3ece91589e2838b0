//! What a manifest says of a physical volume of LVM.

use serde::{Deserialize, Serialize};

use super::PartitionInfo;
use crate::lvm::{Label, PhysicalVolume};

/// A physical volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LvmInfo {
    /// Name of its group.
    pub group: String,
    /// Where its metadata lie: first byte and length of each area.
    pub areas: Vec<[u64; 2]>,
    /// Metadata of the group, as they lie there.
    pub metadata: String,
    /// The logical volumes of which something is on it.
    #[serde(rename = "volume", default)]
    pub volumes: Vec<VolumeInfo>,
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeInfo {
    /// Its name in the group.
    pub name: String,
    /// Bytes of it.
    pub size: u64,
    /// Bytes of it that are kept here.
    pub used: u64,
    /// Is it kept whole, whatever is in use?
    pub whole: bool,
    /// What is on it as blkid names it; none where unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filesystem: Option<String>,
    /// Bytes of the smallest block that this is read and written by; none where unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block_size: Option<u64>,
}

impl LvmInfo {
    /// That of a physical volume.
    #[must_use]
    pub fn new(volume: &PhysicalVolume, volumes: Vec<VolumeInfo>) -> Self {
        let areas = volume.label.areas.iter().map(|area| [area.start, area.end - area.start]).collect();
        let metadata = volume.text.trim_end_matches('\0').to_owned();
        Self { group: volume.group.clone(), areas, metadata, volumes }
    }
}

impl PartitionInfo {
    /// The logical volumes of which something is on it, each with whether it is one stretch of it. None where it is no physical
    /// volume, or what is said of it makes no sense.
    #[must_use]
    pub fn logical_volumes(&self) -> Vec<(&VolumeInfo, bool)> {
        let (Some(lvm), Some(physical)) = (&self.lvm, self.physical_volume()) else { return Vec::new() };
        let in_one_piece = |info: &VolumeInfo| {
            let volume = physical.logical.iter().find(|volume| volume.name == info.name);
            volume.is_some_and(|volume| volume.only_place(&physical.label.uuid).is_some())
        };
        lvm.volumes.iter().map(|info| (info, in_one_piece(info))).collect()
    }

    /// The physical volume of LVM that it is; none where it is none, or what is said of it makes no sense.
    #[must_use]
    pub fn physical_volume(&self) -> Option<PhysicalVolume> {
        let (lvm, uuid) = (self.lvm.as_ref()?, self.uuid.as_deref()?);
        let area = |[start, length]: &[u64; 2]| Some(*start..start.checked_add(*length)?);
        let label = Label::usual(uuid, self.size, lvm.areas.iter().map(area).collect::<Option<_>>()?);
        PhysicalVolume::parse(&label, lvm.metadata.clone())
    }
}
