//! The file system of a stick: FAT32, which firmware, GRUB and every person's computer read; made by mtools, which needs
//! neither a loop device nor root. The same files give the same bytes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{FAT_START, SECTOR};
use crate::find_program;

/// As it shows in a file manager.
const LABEL: &str = "EZIO";
/// Every file's time, in seconds since 1970: the first that FAT can say.
const FIRST_DAY: &str = "315532800";

/// Makes the file system in the image of a stick, of `sectors` sectors, with these files by their paths.
pub(super) fn make(image: &Path, id: u32, sectors: u64, files: &[(&str, &[u8])]) -> Result<()> {
    let mtools = Mtools { image };
    let (sectors, hidden, id) = (sectors.to_string(), FAT_START.to_string(), format!("{id:08x}"));
    // Heads and sectors a track as for every large disk; clusters of one sector, for FAT32 needs many.
    let geometry = ["-h", "255", "-s", "63", "-T", &sectors, "-H", &hidden];
    mtools.run("mformat", &[&["-F", "-c", "1", "-v", LABEL, "-N", &id][..], &geometry, &["::"]].concat())?;
    let folders: BTreeSet<String> = files.iter().flat_map(|(path, _)| parents(path)).collect();
    for folder in folders {
        mtools.run("mmd", &[format!("::/{folder}")])?;
    }
    let work = tempfile::tempdir().context("cannot make a folder for the stick's files")?;
    let copy = work.path().join("file");
    for (path, content) in files {
        fs::write(&copy, content).with_context(|| format!("cannot write {}", copy.display()))?;
        mtools.run("mcopy", &[copy.as_os_str(), format!("::/{path}").as_ref()])?;
    }
    Ok(())
}

/// The folders that a path leads through.
fn parents(path: &str) -> impl Iterator<Item = String> {
    path.match_indices('/').map(|(end, _)| path[..end].to_owned())
}

struct Mtools<'a> {
    image: &'a Path,
}

impl Mtools<'_> {
    fn run(&self, name: &str, arguments: &[impl AsRef<OsStr>]) -> Result<()> {
        let program = find_program(name).with_context(|| format!("no {name}: package mtools has it"))?;
        let output = Command::new(&program)
            .arg("-i")
            .arg(format!("{}@@{}", self.image.display(), FAT_START * SECTOR))
            .args(arguments)
            .env("SOURCE_DATE_EPOCH", FIRST_DAY)
            .env("TZ", "UTC")
            // Nobody's own settings.
            .env("MTOOLSRC", "/dev/null")
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}: {}", program.display(), output.status, errors.trim());
        Ok(())
    }
}
