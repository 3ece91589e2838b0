//! The id that a volume is known by to fstab and loaders, and how it gets another. ext2/3/4 get theirs from the kernel; FAT,
//! exFAT and NTFS have a serial number in their boot sectors, swap an id in its header, XFS and btrfs one in their superblocks
//! alone if these say so: they are written.

use std::io;

use uuid::Uuid;

use super::{Patch, PatchContent, Volume, btrfs_id, exfat, ext, fat, ntfs, power, swap, xfs_id};
use crate::layout::ReadAt;

/// Offset of exFAT's serial number in its boot sector.
const EXFAT_SERIAL: usize = 100;

/// An id in place of another; both as blkid prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVolumeId {
    /// What it was.
    pub was: String,
    /// What it is to be.
    pub is: String,
    /// Is it that of swap?
    pub is_swap: bool,
    /// How it changes.
    pub renewal: Renewal,
}

/// How a volume gets another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// By the kernel, while it is mounted: ext2/3/4.
    Mounted([u8; 16]),
    /// By writing what [`replayed_id`] says, once the kernel has replayed its log: XFS.
    Replayed(Uuid),
    /// By writing to the device.
    Written(Vec<Patch>),
    /// Not at all, and why.
    Refused(&'static str),
}

/// Why a file system, as blkid names it, never gets another id.
#[must_use]
pub fn refuses_new_id(filesystem: &str) -> Option<&'static str> {
    match filesystem {
        "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "vfat" | "exfat" | "ntfs" | "swap" => None,
        "crypto_LUKS" | "LVM2_member" | "BitLocker" => Some("what is inside is not reached from here"),
        _ => Some("nothing here changes it"),
    }
}

/// What gives the volume on all of a device of `size` bytes an id that is made of `fresh`; `None` where there is none that
/// is known here.
///
/// # Errors
/// What the device says.
pub fn new_volume_id(device: &impl ReadAt, size: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    let volume = Volume { device, offset: 0 };
    let ways = [serial, exfat_serial, ext_id, xfs_id, btrfs_id, swap_id];
    for way in ways {
        match way(&volume, size, fresh) {
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            found => return found,
        }
    }
    Ok(None)
}

/// What gives the XFS on a device another id. The kernel has replayed its log; `None` where there is no XFS.
///
/// # Errors
/// What the device says; or it lacks a superblock.
pub fn replayed_id(device: &impl ReadAt, fresh: Uuid) -> io::Result<Option<Vec<Patch>>> {
    xfs_id::renewed(&Volume { device, offset: 0 }, fresh)
}

/// The id of the volume on all of a device of `size` bytes, as blkid prints it; `None` where there is none that is known
/// here.
///
/// # Errors
/// What the device says.
pub fn volume_id(device: &impl ReadAt, size: u64) -> io::Result<Option<String>> {
    let volume = Volume { device, offset: 0 };
    for way in [xfs_id::id, btrfs_id::id] {
        match way(&volume) {
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            found => return Ok(found?.map(|(id, _)| id.to_string())),
        }
    }
    Ok(new_volume_id(device, size, Uuid::nil())?.map(|id| id.was))
}

fn ext_id(volume: &Volume<'_, impl ReadAt>, _: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    Ok(ext::id(volume)?.map(|(was, bound)| {
        let renewal = bound.map_or(Renewal::Mounted(fresh.into_bytes()), Renewal::Refused);
        NewVolumeId { was: was.to_string(), is: fresh.to_string(), is_swap: false, renewal }
    }))
}

fn xfs_id(volume: &Volume<'_, impl ReadAt>, _: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    Ok(xfs_id::id(volume)?.map(|(was, bound)| {
        let renewal = bound.map_or(Renewal::Replayed(fresh), Renewal::Refused);
        NewVolumeId { was: was.to_string(), is: fresh.to_string(), is_swap: false, renewal }
    }))
}

fn btrfs_id(volume: &Volume<'_, impl ReadAt>, size: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    let Some((was, bound)) = btrfs_id::id(volume)? else { return Ok(None) };
    let patches = btrfs_id::renewed(volume, size, fresh)?.unwrap_or_default();
    let renewal = bound.map_or(Renewal::Written(patches), Renewal::Refused);
    Ok(Some(NewVolumeId { was: was.to_string(), is: fresh.to_string(), is_swap: false, renewal }))
}

fn swap_id(volume: &Volume<'_, impl ReadAt>, _: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    let Some(was) = swap::id(volume)? else { return Ok(None) };
    let renewal = Renewal::Written(vec![patch(swap::UUID, fresh.as_bytes().to_vec())]);
    Ok(Some(NewVolumeId { was: was.to_string(), is: fresh.to_string(), is_swap: true, renewal }))
}

/// Of NTFS and FAT.
fn serial(volume: &Volume<'_, impl ReadAt>, size: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    let boot = match ntfs::boot_sectors(volume)? {
        None => fat::boot_sectors(volume)?,
        found => found,
    };
    let Some(boot) = boot else { return Ok(None) };
    let (at, length) = boot.serial;
    let new = &fresh.as_bytes()[..length];
    let sectors = boot.read(volume, size)?;
    let Some((_, own)) = sectors.first() else { return Ok(None) };
    let was = printed(own.bytes(at, length));
    let patches = sectors.iter().map(|(sector, _)| patch(sector + at as u64, new.to_vec())).collect();
    Ok(Some(NewVolumeId { was, is: printed(new), is_swap: false, renewal: Renewal::Written(patches) }))
}

fn exfat_serial(volume: &Volume<'_, impl ReadAt>, _: u64, fresh: Uuid) -> io::Result<Option<NewVolumeId>> {
    let Some(boot) = exfat::boot_sector(volume)? else { return Ok(None) };
    let sector = power(boot.le(108, 1));
    if !(512..=4096).contains(&sector) {
        return Ok(None);
    }
    let new = &fresh.as_bytes()[..4];
    let regions = exfat::regions_with(volume, sector, EXFAT_SERIAL, new)?;
    let patches = regions.into_iter().map(|(at, bytes)| patch(at, bytes)).collect();
    let was = printed(boot.bytes(EXFAT_SERIAL, 4));
    Ok(Some(NewVolumeId { was, is: printed(new), is_swap: false, renewal: Renewal::Written(patches) }))
}

pub(super) fn patch(offset: u64, bytes: Vec<u8>) -> Patch {
    Patch { offset, content: PatchContent::Bytes(bytes) }
}

/// As blkid prints serial numbers: the number in hex, and one of four bytes in two halves.
fn printed(serial: &[u8]) -> String {
    let digits: String = serial.iter().rev().map(|byte| format!("{byte:02X}")).collect();
    match digits.split_at_checked(4) {
        Some((high, low)) if digits.len() == 8 => format!("{high}-{low}"),
        _ => digits,
    }
}
