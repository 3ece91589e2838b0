//! Which bytes of a file system are in use: partclone knows, and writes a map of them without copying
//! anything (`partclone.FS --domain`, in the format of ddrescue's map file).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use ezio_image::extents::{Extent, ExtentMap};
use thiserror::Error;

use crate::stop::Stop;

/// File systems by blkid's name, and the partclone that knows them.
const PROGRAMS: [(&str, &str); 17] = [
    ("ext2", "partclone.extfs"),
    ("ext3", "partclone.extfs"),
    ("ext4", "partclone.extfs"),
    ("xfs", "partclone.xfs"),
    ("btrfs", "partclone.btrfs"),
    ("ntfs", "partclone.ntfs"),
    ("vfat", "partclone.fat"),
    ("exfat", "partclone.exfat"),
    ("f2fs", "partclone.f2fs"),
    ("hfsplus", "partclone.hfsplus"),
    ("jfs", "partclone.jfs"),
    ("minix", "partclone.minix"),
    ("nilfs2", "partclone.nilfs2"),
    ("reiserfs", "partclone.reiserfs"),
    ("reiser4", "partclone.reiser4"),
    ("ufs", "partclone.ufs"),
    ("VMFS", "partclone.vmfs"),
];

/// partclone would not map a file system.
#[derive(Debug, Error)]
#[error("{program} cannot map it: {reason}; check it with {check}, or use --force, which copies it whole")]
pub(crate) struct Refused {
    program: &'static str,
    reason: String,
    check: &'static str,
}

/// What checks a file system, by the partclone that knows it.
fn check_of(program: &str) -> &'static str {
    match program {
        "partclone.extfs" => "e2fsck -f",
        "partclone.xfs" => "xfs_repair",
        "partclone.btrfs" => "btrfs check",
        "partclone.ntfs" => "chkdsk /f in Windows",
        "partclone.fat" => "fsck.fat",
        "partclone.exfat" => "fsck.exfat",
        "partclone.f2fs" => "fsck.f2fs",
        "partclone.hfsplus" => "fsck.hfsplus",
        _ => "its own fsck",
    }
}

/// The partclone for a file system; none where it has none.
pub(crate) fn program_for(filesystem: &str) -> Option<&'static str> {
    PROGRAMS.iter().find(|(name, _)| *name == filesystem).map(|(_, program)| *program)
}

/// Maps the used bytes of the file system on `device` (`size` bytes long).
pub(crate) fn map(
    stop: &Stop,
    program: &'static str,
    device: &Path,
    size: u64,
    force: bool,
) -> Result<ExtentMap> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (map, log) = (folder.path().join("map"), folder.path().join("log"));
    let mut command = Command::new(program);
    command.args(["--domain", "--quiet", "--source"]).arg(device).env("PATH", crate::SEARCH_PATH);
    command.arg("--output").arg(&map).arg("--logfile").arg(&log);
    if force {
        command.arg("--ignore_fschk");
    }
    let finished = stop.run(&mut command)?;
    if finished.code != Some(0) {
        let log = std::fs::read(&log).unwrap_or_default();
        let said = format!("{}\n{}", String::from_utf8_lossy(&log), finished.stderr);
        bail!(Refused { program, reason: reason(&said), check: check_of(program) });
    }
    let text = std::fs::read_to_string(&map).with_context(|| format!("cannot read the map of {program}"))?;
    parse(&text, size).with_context(|| format!("the map of {program} makes no sense"))
}

/// The last line of partclone's log that says what is wrong.
fn reason(log: &str) -> String {
    const IDLE: [&str; 20] = [
        "Partclone v",
        "Partclone fail",
        "Starting to map",
        "Calculating bitmap",
        "Please run",
        "Open ",
        "open ",
        "bitmap ",
        "block_size",
        "btrfs library",
        "device_size",
        "error exit",
        "Error exit",
        "fs_close",
        "get_",
        "log2 ",
        "memory needed",
        "totalblock",
        "usedblock",
        "zones map size",
    ];
    let lines = log.lines().flat_map(|line| line.split('\r'));
    let words = lines.map(|line| {
        let line = line.trim_start_matches("Calculating bitmap... Please wait...").trim();
        // "extfsclone.c: …"
        line.split_once("clone.c: ").map_or(line, |(_, words)| words).trim_end_matches(['.', '!', ' '])
    });
    let mut telling =
        words.rev().filter(|line| !line.is_empty() && !IDLE.iter().any(|idle| line.starts_with(idle)));
    telling.next().unwrap_or("it gives no reason").to_owned()
}

/// Reads a ddrescue map: comments, one line of state, then `offset size status`; `+` is in use.
fn parse(text: &str, size: u64) -> Result<ExtentMap> {
    let mut runs: Vec<Extent> = Vec::new();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    for line in lines.skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [offset, length, status] = words.as_slice() else { bail!("{line:?} is no line of a map") };
        let (Some(offset), Some(length)) = (number(offset), number(length)) else {
            bail!("{line:?} is no line of a map");
        };
        if *status != "+" || length == 0 {
            continue;
        }
        ensure!(
            offset.checked_add(length).is_some_and(|end| end <= size),
            "{line:?} lies behind the end, at {size} bytes (the file system is larger than its partition)"
        );
        match runs.last_mut() {
            Some(last) if last.offset + last.length == offset => last.length += length,
            _ => runs.push(Extent { offset, length }),
        }
    }
    ensure!(!runs.is_empty(), "nothing is in use");
    Ok(ExtentMap::new(runs)?)
}

/// Runs in order, those that touch or overlap in one.
pub(crate) fn joined(mut runs: Vec<Extent>) -> Vec<Extent> {
    runs.sort_by_key(|run| run.offset);
    let mut out: Vec<Extent> = Vec::new();
    for run in runs {
        match out.last_mut() {
            Some(last) if run.offset <= last.offset + last.length => {
                last.length = last.length.max(run.offset + run.length - last.offset);
            }
            _ => out.push(run),
        }
    }
    out
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "# Domain logfile created by unset_name v0.3.23\n# Source: x\n# Offset: 0x00000000\n\
        # current_pos  current_status\n0x00010000     ?\n#      pos        size  status\n\
        0x00000000  0x00001000  +\n0x00001000  0x00001000  +\n0x00002000  0x00006000  ?\n0x00008000  0x00002000  +\n";

    #[test]
    fn joins_runs_that_touch() {
        let map = parse(MAP, 0x10000).unwrap();
        let expected = [Extent { offset: 0, length: 0x2000 }, Extent { offset: 0x8000, length: 0x2000 }];
        assert_eq!(map.extents(), expected);
    }

    #[test]
    fn refuses_maps_that_make_no_sense() {
        assert!(parse(MAP, 0x9000).is_err());
        assert!(parse("", 1).is_err());
        assert!(parse("0x0 ?\n0x0 +\n", 1).is_err());
        assert!(parse("0x0 ?\n0x0 0xzz +\n", 1).is_err());
        assert!(parse("0x0 ?\n0xffffffffffffffff 0x2 +\n", u64::MAX).is_err());
    }

    #[test]
    fn the_reason_is_what_matters_of_the_log() {
        let log = "Partclone v0.3.23 http://partclone.org\nStarting to map device (x) to domain log (y)\n\
            memory needed: 2135552 bytes\nbitmap 38400 bytes, blocks 2*1048576 bytes, checksum 0 bytes\n\
            Calculating bitmap... Please wait... free count err.\nPlease run fsck\nPartclone fail, please check log !\n";
        assert_eq!(reason(log), "free count err");
        let log = "minixclone.c: open minix fs\nminixclone.c: get_nzones 8192\nminixclone.c: seek failed\n";
        assert_eq!(reason(log), "seek failed");
        assert_eq!(reason("xfsclone.c: Open x successfully\n"), "it gives no reason");
    }
}
