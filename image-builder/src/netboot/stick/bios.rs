//! What a BIOS starts the stick by: GRUB's first sector and its core image, which lies in a partition of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::SECTOR;
use crate::find_program;

/// Where grub-pc-bin has GRUB for BIOS. It bears no signature, so any release's will do.
const FOLDER: &str = "/usr/lib/grub/i386-pc";
/// Where GRUB finds `grub.cfg`: on the second partition of the disk that the BIOS started.
const PREFIX: &str = "(,gpt2)/boot/grub";
/// What grub.cfg needs, and what reads it.
const MODULES: [&str; 10] =
    ["biosdisk", "part_gpt", "fat", "normal", "configfile", "test", "echo", "linux", "sleep", "reboot"];

/// Place of the core image's first sector in boot.img (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`), 8 bytes.
const KERNEL_SECTOR: usize = 0x5c;
/// Place of the first block list in the core image's first sector, which loads the others: first sector (8 bytes),
/// number of sectors (2), and the segment to load them to (2).
const BLOCK_LIST: usize = 512 - 12;
/// That segment: one sector behind where the first one is loaded to (`GRUB_BOOT_I386_PC_KERNEL_SEG`, 0x800).
const SEGMENT: u16 = 0x800 + (512 >> 4);

/// GRUB for BIOS.
pub(super) struct BiosBoot {
    boot: Vec<u8>,
    core: Vec<u8>,
}

impl BiosBoot {
    /// Has grub-mkimage put the core image together.
    pub(super) fn make() -> Result<Self> {
        let boot = Path::new(FOLDER).join("boot.img");
        let boot = std::fs::read(&boot)
            .with_context(|| format!("cannot read {}: package grub-pc-bin has it", boot.display()))?;
        ensure!(boot.len() == 512, "{FOLDER}/boot.img has {} bytes, not 512", boot.len());
        let mkimage = find_program("grub-mkimage").context("no grub-mkimage: package grub-common has it")?;
        // It syncs what it writes, so that a pipe will not do.
        let image = tempfile::NamedTempFile::new().context("cannot make a file for GRUB's image")?;
        let output = Command::new(&mkimage)
            .args(["--format", "i386-pc", "--directory", FOLDER, "--prefix", PREFIX, "--output"])
            .arg(image.path())
            .args(MODULES)
            .output()
            .with_context(|| format!("cannot start {}", mkimage.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}: {}", mkimage.display(), output.status, errors.trim());
        let core = std::fs::read(&image).context("cannot read GRUB's image")?;
        ensure!(core.len() > 512, "{} made an image of {} bytes", mkimage.display(), core.len());
        Ok(Self { boot, core })
    }

    /// The core image as grub-mkimage made it.
    pub(super) fn core(&self) -> &[u8] {
        &self.core
    }

    /// The first sector of the disk (its boot code), and the core image that starts at sector `start`, of `room` sectors.
    pub(super) fn place(mut self, start: u64, room: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        let sectors = (self.core.len() as u64).div_ceil(SECTOR);
        ensure!(sectors <= room, "GRUB's image for BIOS takes {sectors} sectors; there is room for {room}");
        let behind_first = u16::try_from(sectors - 1).context("GRUB's image for BIOS is too large")?;
        self.core.resize((sectors * SECTOR) as usize, 0);
        put(&mut self.boot, KERNEL_SECTOR, &start.to_le_bytes());
        put(&mut self.core, BLOCK_LIST, &(start + 1).to_le_bytes());
        put(&mut self.core, BLOCK_LIST + 8, &behind_first.to_le_bytes());
        put(&mut self.core, BLOCK_LIST + 10, &SEGMENT.to_le_bytes());
        Ok((self.boot, self.core))
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
