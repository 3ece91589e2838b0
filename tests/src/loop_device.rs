//! Loop devices: disks that are files.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

const LOSETUP: &str = "/usr/sbin/losetup";

/// A loop device; gone when dropped.
#[derive(Debug)]
pub struct Loop(pub String);

impl Loop {
    /// Over a part of a file, in bytes.
    ///
    /// # Errors
    /// We are not root, or `losetup` fails.
    pub fn new(file: &Path, offset: u64, length: u64) -> Result<Self> {
        Self::attach(file, &["--offset", &offset.to_string(), "--sizelimit", &length.to_string()])
    }

    /// Over a file, as a disk with sectors of so many bytes.
    ///
    /// # Errors
    /// As [`Loop::new`].
    pub fn with_sectors(file: &Path, sector_size: u32) -> Result<Self> {
        Self::attach(file, &["--sector-size", &sector_size.to_string()])
    }

    fn attach(file: &Path, options: &[&str]) -> Result<Self> {
        let output = Command::new(LOSETUP)
            .args(["--find", "--show"])
            .args(options)
            .arg(file)
            .output()
            .context(LOSETUP)?;
        ensure!(output.status.success(), "{LOSETUP}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Self(String::from_utf8(output.stdout)?.trim().to_owned()))
    }

    /// A disk with nothing on it, of so many bytes.
    ///
    /// # Errors
    /// As [`Loop::new`], or the file cannot be made.
    pub fn blank(file: &Path, size: u64) -> Result<Self> {
        File::create(file).and_then(|made| made.set_len(size)).context("making a disk")?;
        Self::new(file, 0, size)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // The kernel keeps partitions of a loop device until they are taken off.
        let _ = Command::new("partx").args(["--delete", &self.0]).output();
        let _ = Command::new(LOSETUP).args(["--detach", &self.0]).output();
    }
}
