//! Was a file system unmounted properly? What partclone does not look at, or says in words that do
//! not help: each refusal says what to do.

use std::path::Path;

use anyhow::Result;
use ezio_image::layout::ReadAt;

use crate::stop::Stop;

mod fat;
mod ntfs;
mod xfs;

/// Why a file system should not be captured as it is; none where it is clean, or not known here.
/// `read` gives bytes of the partition.
pub(crate) fn complaint(filesystem: &str, read: &impl ReadAt) -> std::io::Result<Option<String>> {
    match filesystem {
        "ext2" | "ext3" | "ext4" => ext(read),
        "btrfs" => btrfs(read),
        "exfat" => exfat(read),
        "vfat" => fat::dirty(read),
        "ntfs" => ntfs::dirty(read),
        _ => Ok(None),
    }
}

/// The same for what programs of the system have to look for, on a device (or file) of its own.
pub(crate) fn complaint_of_device(filesystem: &str, stop: &Stop, device: &Path) -> Result<Option<String>> {
    match filesystem {
        "ntfs" => ntfs::hibernated(device),
        "xfs" => xfs::dirty_log(stop, device),
        _ => Ok(None),
    }
}

/// What could not be looked for is a complaint too: nobody else would notice.
fn unchecked(what: &str, program: &str, package: &str) -> String {
    format!("cannot be checked for {what} without {program}: apt-get install {package}")
}

/// Superblock at byte 1024 (kernel documentation, "ext4 Data Structures": s_state, s_feature_incompat).
fn ext(read: &impl ReadAt) -> std::io::Result<Option<String>> {
    let superblock = read.read_vec(1024, 0x68)?;
    let state = u16::from_le_bytes([superblock[0x3a], superblock[0x3b]]);
    let needs_recovery = superblock[0x60] & 0x4 != 0;
    let complaint = if needs_recovery || state & 1 == 0 {
        "was not cleanly unmounted: start the machine and shut it down properly, or run e2fsck -p on it"
    } else if state & 2 != 0 {
        "has errors: run e2fsck on it"
    } else {
        return Ok(None);
    };
    Ok(Some(complaint.to_owned()))
}

/// Superblock at 64 KiB (btrfs on-disk format: log_root at 0x60, num_devices at 0x88).
fn btrfs(read: &impl ReadAt) -> std::io::Result<Option<String>> {
    let superblock = read.read_vec(64 << 10, 0x90)?;
    let number = |at: usize| superblock[at..at + 8].iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    if number(0x88) > 1 {
        return Ok(Some(format!("spreads over {} devices: use --raw on each of them", number(0x88))));
    }
    let dirty = "was not cleanly unmounted: mount and unmount it once, which replays its log";
    Ok((number(0x60) != 0).then(|| dirty.to_owned()))
}

/// Boot sector (exFAT specification: VolumeFlags at 106, bit 1 is VolumeDirty).
fn exfat(read: &impl ReadAt) -> std::io::Result<Option<String>> {
    let flags = read.read_vec(106, 2)?;
    let dirty = "was not cleanly unmounted: run fsck.exfat on it";
    Ok((flags[0] & 2 != 0).then(|| dirty.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(length: usize, bytes: &[(usize, u8)]) -> Vec<u8> {
        let mut image = vec![0u8; length];
        bytes.iter().for_each(|&(at, byte)| image[at] = byte);
        image
    }

    #[test]
    fn ext_is_clean_only_when_it_says_so() {
        let said = |bytes: &[(usize, u8)]| complaint("ext4", &image(4096, bytes)).unwrap();
        assert_eq!(said(&[(1024 + 0x3a, 1)]), None);
        assert!(said(&[(1024 + 0x3a, 0)]).unwrap().contains("not cleanly unmounted"));
        assert!(said(&[(1024 + 0x3a, 1), (1024 + 0x60, 4)]).unwrap().contains("not cleanly unmounted"));
        assert!(said(&[(1024 + 0x3a, 3)]).unwrap().contains("errors"));
    }

    #[test]
    fn btrfs_has_no_log_and_one_device() {
        let said = |bytes: &[(usize, u8)]| complaint("btrfs", &image(70 << 10, bytes)).unwrap();
        assert_eq!(said(&[((64 << 10) + 0x88, 1)]), None);
        assert!(said(&[((64 << 10) + 0x88, 1), ((64 << 10) + 0x61, 1)]).unwrap().contains("not cleanly"));
        assert!(said(&[((64 << 10) + 0x88, 2)]).unwrap().contains("2 devices"));
    }

    #[test]
    fn a_stretch_too_short_is_an_error() {
        assert!(complaint("ext4", &image(100, &[])).is_err());
        assert_eq!(complaint("xfs", &image(1, &[])).unwrap(), None);
    }
}
