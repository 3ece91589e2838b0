//! An image of a disk with sectors of one length onto a disk with sectors of another: everything stays at its bytes, the
//! table is written anew, and what works in blocks that the disk does not have is refused.

use std::borrow::Cow;

use super::PlanError;
use super::grow::is_bios_boot;
use crate::directory::CheckedImage;
use crate::layout::Layout;
use crate::manifest::{Content, PartitionInfo, SourceKind, UNPARTITIONED};

impl CheckedImage {
    /// The image as it has to be for a disk with sectors of `sector_size` bytes.
    pub(super) fn for_sectors_of(&self, sector_size: u32) -> Result<Cow<'_, Self>, PlanError> {
        let own = self.manifest.disk.as_ref().map_or(sector_size, |disk| disk.sector_size);
        if own == sector_size {
            return Ok(Cow::Borrowed(self));
        }
        let refuse = |why| self.other_sectors(sector_size, why);
        if self.manifest.source.kind == SourceKind::RawDisk {
            return Err(refuse(format!("it is a raw copy of a disk with sectors of {own} bytes")));
        }
        let table = self.layout.as_ref();
        // Nobody reads GRUB's core on such a disk.
        let is_idle = |info: &&PartitionInfo| {
            info.is_unpartitioned() || table.and_then(|t| t.partition(info.number)).is_some_and(is_bios_boot)
        };
        let objection = self.manifest.partitions.iter().filter(|info| !is_idle(info));
        if let Some(why) = objection.filter_map(|info| objection_to(info, sector_size)).next() {
            return Err(refuse(why));
        }
        let needed = |number: u32| {
            let info = self.manifest.partitions.iter().find(|info| info.number == number);
            info.filter(|info| info.has_torrent()).map_or(0, PartitionInfo::needed)
        };
        let table = table.map(|table| table.in_sectors_of(sector_size, needed)).transpose();
        let table = table.map_err(|error| refuse(error.to_string()))?;
        Ok(Cow::Owned(self.moved_to(table, own, sector_size)))
    }

    /// Refuses a partition on a disk with sectors of so many bytes, if this one of the image could not be used there. An
    /// image that does not say of which disk it is may be of such a one.
    pub(super) fn refuse_sectors(
        &self,
        info: &PartitionInfo,
        sector_size: Option<u32>,
    ) -> Result<(), PlanError> {
        let own = self.manifest.disk.as_ref().map(|disk| disk.sector_size);
        let Some(length) = sector_size.filter(|length| own != Some(*length)) else { return Ok(()) };
        let is_told = own.is_some() || info.block_size.is_some();
        match objection_to(info, length).filter(|_| is_told) {
            Some(why) => Err(self.other_sectors(length, why)),
            None => Ok(()),
        }
    }

    fn other_sectors(&self, disk: u32, why: String) -> PlanError {
        PlanError::Sectors { disk, image: self.manifest.name.clone(), why }
    }

    fn moved_to(&self, table: Option<Layout>, own: u32, sector_size: u32) -> Self {
        self.changed(|image| {
            let manifest = &mut image.manifest;
            let notes = &mut manifest.notes;
            notes.push(format!(
                "the image is of a disk with sectors of {own} bytes: all partitions lie at the same bytes, and the table says so \
                 in sectors of {sector_size}"
            ));
            let outside = image.torrents.remove(UNPARTITIONED).is_some();
            let code = image.boot_code.take().is_some() | image.hidden.take().is_some();
            if outside || code {
                notes.push(format!(
                    "boot code, and what else lies outside all partitions, is left out: it counts in sectors of {own} bytes. \
                     Machines start from this disk by UEFI, not by BIOS"
                ));
            }
            manifest.partitions.retain(|info| !info.is_unpartitioned());
            for info in &mut manifest.partitions {
                let range = table.as_ref().and_then(|t| Some(t.byte_range(t.partition(info.number)?)));
                if let Some(range) = range {
                    (info.offset, info.size) = (range.start, range.end - range.start);
                }
            }
            manifest.disk.iter_mut().for_each(|disk| disk.sector_size = sector_size);
            image.layout = table;
        })
    }
}

/// Why what is on a partition could not be used where sectors have so many bytes; none where nothing speaks against it.
fn objection_to(info: &PartitionInfo, sector_size: u32) -> Option<String> {
    if matches!(info.content, Content::Swap | Content::Empty) {
        return None;
    }
    let logical = info.logical_volumes();
    let Some(physical) = info.physical_volume().filter(|_| !logical.is_empty()) else {
        return objection(&info.name, info.filesystem.as_deref(), info.block_size, sector_size);
    };
    // LVM's own metadata are read and written in whole blocks of the disk, whatever they count in.
    if !physical.logical.iter().all(|volume| volume.is_aligned_to(u64::from(sector_size))) {
        return Some(format!("logical volumes on {} begin within such a sector", info.name));
    }
    logical.iter().find_map(|(volume, _)| {
        let name = format!("{}/{} on {}", physical.group, volume.name, info.name);
        objection(&name, volume.filesystem.as_deref(), volume.block_size, sector_size)
    })
}

fn objection(
    name: &str,
    filesystem: Option<&str>,
    block_size: Option<u64>,
    sector_size: u32,
) -> Option<String> {
    let sector = u64::from(sector_size);
    let filesystem = filesystem.unwrap_or_default();
    let unknown = match filesystem {
        "crypto_LUKS" | "BitLocker" => "it is encrypted",
        "LVM2_member" => "it holds logical volumes",
        kind if kind.ends_with("_member") => "it is a part of something larger",
        "" => "nothing is known of its content",
        _ => "the image does not say it",
    };
    // What such names end in is none of a file system, and a superblock found there is an old one.
    let is_container = filesystem.contains('_') || filesystem == "BitLocker";
    match block_size.filter(|_| !is_container) {
        _ if filesystem == "swap" => None,
        Some(block) if block < sector => Some(format!(
            "{name} ({filesystem}) works in blocks of {block} bytes, and the disk reads and writes {sector} at least"
        )),
        // Linux takes it; Windows only on a disk with such sectors.
        Some(block) if block > sector && filesystem == "ntfs" => Some(format!(
            "{name} (ntfs) counts in sectors of {block} bytes, and Windows wants those of the disk, {sector}"
        )),
        None if sector_size > 512 => {
            Some(format!("in which blocks {name} is read and written cannot be told: {unknown}"))
        }
        _ => None,
    }
}
