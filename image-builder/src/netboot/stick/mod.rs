//! `netboot --stick`: a stick for machines that cannot boot from the network. BIOS and UEFI (Secure Boot too) start from
//! it; what follows is the way of all machines, from the same kernel and initrd.
//!
//! | sectors | what |
//! | --- | --- |
//! | 0 | GRUB's first sector and the MBR's entries |
//! | 1 to 33, and the last 33 | GPT |
//! | 34 to 2047 | GRUB for BIOS |
//! | from 2048 on | FAT32: shim, GRUB, kernel, initrd, `ezio.txt` |

mod bios;
mod fat;
mod table;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use self::bios::BiosBoot;
use self::table::{BIOS, Ids};

/// Bytes a sector, of the image and of nearly all sticks.
const SECTOR: u64 = 512;
/// Where the file system begins, in sectors: at 1 MiB, as everywhere.
const FAT_START: u64 = 2048;
/// Sectors behind the file system, for the GPT's backup.
const BEHIND: u64 = 2048;
/// Bytes for what people add.
const ROOM: u64 = 8 << 20;
/// In bytes: FAT32 has at least 65525 clusters, of one sector each here.
const SMALLEST: u64 = 64 << 20;

const GRUB_CONFIG: &str = include_str!("grub.cfg");
const EZIO_TXT: &str = include_str!("ezio.txt");

/// What UEFI starts.
pub(crate) struct UefiBoot {
    /// Signed by Microsoft.
    pub(crate) shim: Vec<u8>,
    /// Signed by Debian: the build for removable media, which reads `/boot/grub/grub.cfg` beside it.
    pub(crate) grub: Vec<u8>,
}

/// Makes the image of a stick in an empty file.
pub(crate) fn make(image: &Path, kernel: &[u8], initrd: &[u8], uefi: &UefiBoot) -> Result<()> {
    let bios = BiosBoot::make()?;
    let ids = Ids::new(hash(&[kernel, initrd, &uefi.shim, &uefi.grub, bios.core(), GRUB_CONFIG.as_bytes()]));
    let config = GRUB_CONFIG.replace("@GUID@", &ids.disk().to_string());
    let files: [(&str, &[u8]); 6] = [
        ("EFI/BOOT/BOOTX64.EFI", &uefi.shim),
        ("EFI/BOOT/grubx64.efi", &uefi.grub),
        ("boot/grub/grub.cfg", config.as_bytes()),
        ("ezio.txt", EZIO_TXT.as_bytes()),
        ("vmlinuz", kernel),
        ("initrd.img", initrd),
    ];
    let content: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    // Two tables of four bytes a sector.
    let fat = (content + content / 64 + ROOM).max(SMALLEST).next_multiple_of(1 << 20) / SECTOR;
    let file = File::options().write(true).open(image).context("cannot open the image")?;
    file.set_len((FAT_START + fat + BEHIND) * SECTOR).context("cannot size the image")?;
    fat::make(image, ids.short(), fat, &files).context("cannot make the stick's file system")?;
    let (boot_code, core) = bios.place(BIOS.0, BIOS.1)?;
    file.write_all_at(&core, BIOS.0 * SECTOR).context("cannot write GRUB's image")?;
    table::write(&file, ids, fat, &boot_code).context("cannot write the stick's partition table")
}

/// Of all parts and where they end.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
