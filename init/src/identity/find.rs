//! Which systems are on a target: every volume that the kernel can read is mounted for reading, and looked at.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use ezio_image::filesystem::{Kind, kind};

use super::is_container;
use crate::target::mount::{Access, Mounted};
use crate::target::tree::Tree;
use crate::target::volume::Volume;

/// Folders of btrfs that hold a system's root, as subvolumes of the usual names; an empty one is the subvolume that is
/// mounted if nobody says otherwise.
const SUBVOLUMES: [&str; 4] = ["", "@", "root", "@rootfs"];

/// A system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    Windows,
}

/// What is in a volume.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) volume: Volume,
    pub(super) kind: Kind,
    /// Folder (a subvolume) that is the system's root, if not all of it.
    pub(super) folder: Option<&'static str>,
    /// None: files of another use, or what cannot be looked into.
    pub(super) system: Option<System>,
    /// Why it was not looked into.
    why: Option<String>,
}

impl Found {
    /// What there is to say of a volume that cannot be looked into.
    pub(super) fn unreachable(&self) -> Option<String> {
        self.why.as_ref().map(|why| format!("{} ({}) was not looked into: {why}", self.volume, self.kind))
    }
}

/// Looks into each of these volumes; one that has nothing known in it is left out.
pub(super) fn look_at(volumes: &[Volume]) -> anyhow::Result<Vec<Found>> {
    let mut all = Vec::new();
    for volume in volumes {
        let found = |kind, folder, system, why| Found { volume: volume.clone(), kind, folder, system, why };
        if let Some(why) = volume.out_of_reach() {
            all.push(found(Kind::Lvm, None, None, Some(why.to_owned())));
            continue;
        }
        let looked = volume.with(|device| {
            let Some(kind) = File::open(device).and_then(|file| kind(&file, 0))? else { return Ok(None) };
            if is_container(kind) {
                let why = "its files are not reached from outside".to_owned();
                return Ok(Some(found(kind, None, None, Some(why))));
            }
            Ok(Some(match look_into(device, kind) {
                Ok(Some((folder, system))) => found(kind, folder, Some(system), None),
                Ok(None) => found(kind, None, None, None),
                Err(error) => found(kind, None, None, Some(format!("{error:#}"))),
            }))
        });
        all.extend(looked.with_context(|| format!("looking at {volume}"))?);
    }
    Ok(all)
}

fn look_into(device: &Path, kind: Kind) -> anyhow::Result<Option<(Option<&'static str>, System)>> {
    let mounted = Mounted::open(device, kind, Access::Read)?;
    let found = match kind {
        Kind::Ntfs => windows(mounted.tree()),
        Kind::Btrfs => linux(mounted.tree(), &SUBVOLUMES),
        _ => linux(mounted.tree(), &SUBVOLUMES[..1]),
    };
    mounted.close()?;
    found
}

pub(super) fn linux(
    tree: &Tree,
    folders: &[&'static str],
) -> anyhow::Result<Option<(Option<&'static str>, System)>> {
    for folder in folders.iter().copied() {
        for file in ["etc/os-release", "etc/fstab", "usr/lib/os-release"] {
            let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
            if tree.has(&path)? {
                return Ok(Some((Some(folder).filter(|folder| !folder.is_empty()), System::Linux)));
            }
        }
    }
    Ok(None)
}

fn windows(tree: &Tree) -> anyhow::Result<Option<(Option<&'static str>, System)>> {
    let system32 = tree.path_in_any_case(&["Windows", "System32"])?;
    Ok(system32.map(|_| (None, System::Windows)))
}
