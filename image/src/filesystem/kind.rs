//! Which file system, or which container of others, a partition holds: by what `blkid` goes by.

use std::fmt;
use std::io;

use super::Volume;
use crate::layout::ReadAt;

/// What can be told at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// NTFS.
    Ntfs,
    /// LUKS: encrypted.
    Luks,
    /// LVM's physical volume.
    Lvm,
    /// BitLocker: encrypted.
    BitLocker,
}

impl Kind {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext => "ext4",
            Self::Xfs => "XFS",
            Self::Btrfs => "btrfs",
            Self::Fat => "FAT",
            Self::Ntfs => "NTFS",
            Self::Luks => "LUKS",
            Self::Lvm => "LVM",
            Self::BitLocker => "BitLocker",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where each is told by which bytes. FAT is last: its boot sector may be left below a newer file system.
const SIGNATURES: &[(Kind, u64, &[u8])] = &[
    (Kind::Luks, 0, b"LUKS\xba\xbe"),
    // The label may be in any of the first four sectors, and is in the second.
    (Kind::Lvm, 512, b"LABELONE"),
    (Kind::BitLocker, 3, b"-FVE-FS-"),
    (Kind::Ntfs, 3, b"NTFS    "),
    (Kind::Xfs, 0, b"XFSB"),
    (Kind::Ext, 0x438, b"\x53\xef"),
    (Kind::Btrfs, 0x10040, b"_BHRfS_M"),
    (Kind::Fat, 0x52, b"FAT32"),
    (Kind::Fat, 0x36, b"FAT1"),
];

/// Looks at what begins at the byte `offset`; `None` where it is none of these.
///
/// # Errors
/// What the device says. What ends before a signature could is no error.
pub fn kind(device: &impl ReadAt, offset: u64) -> io::Result<Option<Kind>> {
    let volume = Volume { device, offset };
    for (kind, at, signature) in SIGNATURES {
        match volume.read(*at, signature.len()) {
            Ok(bytes) if bytes == *signature => return Ok(Some(*kind)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_others_made_is_known() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, size, program, arguments) in [
            (Kind::Ext, 8, "mkfs.ext4", &["-q", "-F"][..]),
            (Kind::Btrfs, 128, "mkfs.btrfs", &["-q"]),
            (Kind::Fat, 32, "mkfs.vfat", &["-F", "16"]),
            (Kind::Fat, 64, "mkfs.vfat", &["-F", "32"]),
            (Kind::Xfs, 320, "mkfs.xfs", &["-q"]),
            (Kind::Ntfs, 8, "mkntfs", &["-q", "-F", "-f"]),
        ] {
            let path = folder.path().join("fs.img");
            let file =
                File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
            file.set_len(size << 20).unwrap();
            let mut command = Command::new(program);
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(arguments).arg(&path);
            assert!(command.output().unwrap().status.success(), "{command:?}");
            assert_eq!(super::kind(&file, 0).unwrap(), Some(kind), "{program}");
        }
        let empty = File::create_new(folder.path().join("empty")).unwrap();
        empty.set_len(100).unwrap();
        let empty = File::open(folder.path().join("empty")).unwrap();
        assert_eq!(super::kind(&empty, 0).unwrap(), None);
    }
}
