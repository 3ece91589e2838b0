//! New ids of file systems and swap. What is named where no text file does keeps its id: ids in programs of loaders cannot be
//! changed (a signature would break), nor can those in what starts a system from memory (initramfs).

use std::path::Path;

use anyhow::{Context, anyhow};
use ezio_disk::{BlockTarget, renew_mounted_id};
use ezio_image::filesystem::{self, Kind, NewVolumeId, Renewal};
use ezio_image::layout::NewIds;
use uuid::Uuid;

use super::find::Found;
use super::references::LOADERS;
use crate::target::mount::{Access, Mounted};
use crate::target::patches;
use crate::target::tree::Tree;
use crate::target::volume::Volume;

/// Programs of loaders, and kernels with their command line in them, have at most some hundred MiB.
const MAX_PROGRAM: u64 = 512 << 20;
/// Settings of Debian's initramfs; each of them may name the swap that a system wakes up from.
const INITRAMFS: &str = "etc/initramfs-tools";
/// Where dracut is, which puts the ids of what fstab names into its initramfs.
const DRACUT: [&str; 2] = ["usr/lib/dracut", "etc/dracut.conf"];

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Renewed {
    pub(super) new_ids: NewIds,
    /// Of one that kept its id.
    pub(super) failure: Option<anyhow::Error>,
}

/// What holds an id where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hold {
    /// These ids, by what names them.
    Ids(Vec<String>, String),
    /// That of swap, which nobody starts from.
    Swap(String),
}

/// Gives each of these volumes an id of its own, if it has one that can be changed.
///
/// # Errors
/// A volume cannot be read. What could not be changed is in the answer.
pub(super) fn renew(
    volumes: &[Volume],
    found: &[Found],
    mut tell: impl FnMut(String),
) -> anyhow::Result<Renewed> {
    let mut all = Vec::new();
    for volume in volumes.iter().filter(|volume| volume.out_of_reach().is_none()) {
        let new = volume.with(|device| {
            let target = BlockTarget::open_shared(device)?;
            Ok(filesystem::new_volume_id(&target, target.size(), Uuid::new_v4())?)
        });
        all.extend(new.with_context(|| format!("looking at {volume}"))?.map(|new| (volume, new)));
    }
    let old: Vec<&str> = all.iter().map(|(_, new)| new.was.as_str()).collect();
    let mut holds = Vec::new();
    for found in found.iter().filter(|found| found.unreachable().is_none()) {
        holds.extend(holds_in(found, &old).with_context(|| format!("looking at {}", found.volume))?);
    }
    let mut renewed = Renewed::default();
    for (volume, new) in all {
        let NewVolumeId { was, is, is_swap, .. } = &new;
        let said = match why_held(&holds, was, *is_swap) {
            Some((why, false)) => format!("swap keeps its id {was}: {why}"),
            Some((why, true)) => {
                renewed.failure.get_or_insert(anyhow!("{volume} keeps its id {was}: {why}"));
                format!("keeps its id {was}: {why}")
            }
            None => match volume.with(|device| carry_out(device, &new)) {
                Ok(()) => {
                    let said = format!("its id is {is} now (on the source: {was})");
                    renewed.new_ids.push((was.clone(), is.clone()));
                    said
                }
                Err(error) => {
                    let said = format!("keeps its id {was}: {error:#}");
                    renewed.failure.get_or_insert(error.context(format!("a new id of {volume}")));
                    said
                }
            },
        };
        tell(format!("{volume}: {said}"));
    }
    Ok(renewed)
}

/// What holds this id where it is, and whether that is a failure: twins of swap are in nobody's way.
fn why_held<'a>(holds: &'a [Hold], id: &str, is_swap: bool) -> Option<(&'a str, bool)> {
    holds.iter().find_map(|hold| match hold {
        Hold::Ids(ids, why) if ids.iter().any(|held| held == id) => Some((why.as_str(), !is_swap)),
        Hold::Swap(why) if is_swap => Some((why.as_str(), false)),
        _ => None,
    })
}

fn holds_in(found: &Found, old: &[&str]) -> anyhow::Result<Vec<Hold>> {
    found.volume.with(|device| {
        let mounted = Mounted::open(device, found.kind, Access::Read)?;
        let holds = match found.folder {
            None => holds(mounted.tree(), old),
            Some(folder) => mounted.tree().below(folder).and_then(|tree| holds(&tree, old)),
        };
        mounted.close()?;
        holds
    })
}

fn holds(tree: &Tree, old: &[&str]) -> anyhow::Result<Vec<Hold>> {
    let mut holds = Vec::new();
    for loader in tree.names(LOADERS)? {
        let folder = format!("{LOADERS}/{loader}");
        for name in tree.names(&folder)?.iter().filter(|name| name.to_ascii_lowercase().ends_with(".efi")) {
            let path = format!("{folder}/{name}");
            let named = tree.search(&path, old, MAX_PROGRAM)?;
            if !named.is_empty() {
                holds.push(Hold::Ids(named, format!("the loader {path} has it inside")));
            }
        }
    }
    let has = |path: &&str| tree.has(path);
    if DRACUT.iter().map(has).collect::<anyhow::Result<Vec<_>>>()?.contains(&true) {
        let named = tree.search("etc/fstab", old, MAX_PROGRAM)?;
        holds.push(Hold::Ids(
            named,
            "its initramfs is of dracut, which puts the ids of fstab into it".to_owned(),
        ));
    }
    holds.extend(resume(tree)?);
    Ok(holds)
}

/// Debian's initramfs looks for the swap that it may wake up from, unless it is told that there is none.
fn resume(tree: &Tree) -> anyhow::Result<Option<Hold>> {
    if !tree.has(INITRAMFS)? {
        return Ok(None);
    }
    // Those in the folder are read last, in the order of their names.
    let mut paths = vec![format!("{INITRAMFS}/initramfs.conf")];
    paths.extend(
        tree.names(&format!("{INITRAMFS}/conf.d"))?.iter().map(|name| format!("{INITRAMFS}/conf.d/{name}")),
    );
    let mut resume = None;
    for path in paths {
        let text = tree.text(&path)?.unwrap_or_default();
        let mut said = text.lines().rev().filter_map(|line| line.trim().strip_prefix("RESUME="));
        resume = said.next().map(|value| value.trim_matches(['"', '\'']).to_owned()).or(resume);
    }
    Ok((resume.as_deref() != Some("none")).then(|| {
        let why = format!(
            "the initramfs may look for it: RESUME=none in {INITRAMFS}/conf.d/resume, and \
                           \"update-initramfs -u\", on the golden machine part them"
        );
        Hold::Swap(why)
    }))
}

fn carry_out(device: &Path, new: &NewVolumeId) -> anyhow::Result<()> {
    match &new.renewal {
        Renewal::Refused(why) => Err(anyhow!("{why}")),
        Renewal::Mounted(uuid) => {
            let mounted = Mounted::open(device, Kind::Ext, Access::Write)?;
            renew_mounted_id(&mounted.tree().folder()?, *uuid).context("the kernel gives it no other")?;
            mounted.close()
        }
        Renewal::Replayed(uuid) => {
            // What waits in its log would put the old id back.
            Mounted::open(device, Kind::Xfs, Access::Write)?.close()?;
            let target = BlockTarget::open_exclusive(device)?;
            target.drop_cache()?;
            let patches = filesystem::replayed_id(&target, *uuid)?.context("there is no XFS any more")?;
            Ok(patches::write(&target, &patches)?)
        }
        Renewal::Written(patches) => {
            let target = BlockTarget::open_exclusive(device)?;
            Ok(patches::write(&target, patches)?)
        }
    }
}
