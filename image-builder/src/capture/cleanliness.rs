//! Was a file system unmounted properly? What partclone does not look at, or says in words that do
//! not help: each refusal says what to do.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use ezio_image::layout::ReadAt;

/// Why a file system should not be captured as it is; none where it is clean, or not known here.
/// `read` gives bytes of the partition.
pub(crate) fn complaint(filesystem: &str, read: &impl ReadAt) -> std::io::Result<Option<String>> {
    match filesystem {
        "ext2" | "ext3" | "ext4" => ext(read),
        "btrfs" => btrfs(read),
        "exfat" => exfat(read),
        _ => Ok(None),
    }
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

/// Looks for a hibernated Windows, of which partclone knows nothing: fast start-up leaves one at every
/// shutdown. Its `hiberfil.sys` then begins with "hibr". Without `ntfscat` nothing is known here.
pub(crate) fn ntfs_complaint(device: &Path) -> Result<Option<String>> {
    let Some(program) = crate::find_program("ntfscat") else { return Ok(None) };
    let mut command = Command::new(program);
    command.arg(device).arg("hiberfil.sys").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot run ntfscat")?;
    let mut magic = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(4).read_to_end(&mut magic).context("cannot read from ntfscat")?;
    }
    // The file is as large as the machine's memory; without a reader the rest ends in EPIPE.
    child.wait().context("cannot wait for ntfscat")?;
    let complaint = "holds a hibernated Windows (fast start-up does that): in Windows run \
        `shutdown /s /f /t 0`, or turn fast start-up off and shut down";
    Ok(magic.eq_ignore_ascii_case(b"hibr").then(|| complaint.to_owned()))
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
