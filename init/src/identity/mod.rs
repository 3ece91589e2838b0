//! What makes this clone differ from the next: planned before anything is written, asked of the server where only that
//! knows it, and done to the files on the target when the image is whole and nobody needs it from here any more.

pub(crate) mod ask;
mod change;
mod drivers;
mod find;
mod hosts_file;
mod linux;
pub(crate) mod plan;
mod reach;
mod references;
mod ssh_keys;
mod volume_ids;
mod windows;

use anyhow::anyhow;
use ezio_image::filesystem::Kind;

use self::change::Change;
pub(crate) use self::drivers::Fetch;
use self::find::{Found, System};
use self::plan::{IdentityPlan, Step};
use crate::target::mount::{Access, Mounted};
use crate::target::tree::Tree;
use crate::target::volume::Volume;

/// Volumes of one target, and ids that its table got in place of others.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) volumes: Vec<Volume>,
    pub(crate) new_ids: Vec<(String, String)>,
}

/// Carries a plan out on one target. `tell` hears of every step, done or not.
///
/// # Errors
/// What was asked for could not be done; all else is done.
pub(crate) fn carry_out(
    plan: &IdentityPlan,
    target: &Target,
    fetch: &Fetch<'_>,
    mut tell: impl FnMut(String),
) -> anyhow::Result<()> {
    let found = find::look_at(&target.volumes)?;
    let mut failure = None;
    let mut new_ids = target.new_ids.clone();
    if plan.renews_volume_ids() {
        let renewed = volume_ids::renew(&target.volumes, &found, &mut tell)?;
        new_ids.extend(renewed.new_ids);
        failure = renewed.failure;
    }
    for found in &found {
        let mut steps = plan.steps_for(found.system);
        if !new_ids.is_empty() {
            steps.push(Step { change: Change::References(new_ids.clone()), needed: true });
        }
        if let Some(said) = found.unreachable() {
            if !new_ids.is_empty() {
                failure.get_or_insert(anyhow!("{said}; files in it may name partitions by their old ids"));
            }
            tell(said);
            continue;
        }
        if steps.is_empty() {
            continue;
        }
        let done = on_tree(found, |tree| {
            for Step { change, needed } in &steps {
                match change.apply(tree, fetch) {
                    Ok(Some(said)) => tell(format!("{}: {said}", found.volume)),
                    Ok(None) => {}
                    Err(error) => {
                        tell(format!("{}: not done: {change}: {error:#}", found.volume));
                        if *needed {
                            failure.get_or_insert(error.context(change.to_string()));
                        }
                    }
                }
            }
        });
        if let Err(error) = done {
            tell(format!("not done: {error:#}"));
            if steps.iter().any(|step| step.needed) {
                failure.get_or_insert(error);
            }
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let systems: Vec<System> = found.iter().filter_map(|found| found.system).collect();
    if systems.is_empty() {
        tell("no system was found whose identity could be renewed".to_owned());
    }
    plan.lacks(&systems).map_or(Ok(()), |lack| Err(anyhow!("{lack}{}", nothing_in(&found))))
}

/// Mounts a volume for writing, and hands over the tree in which its system is.
fn on_tree(found: &Found, work: impl FnOnce(&Tree)) -> anyhow::Result<()> {
    found.volume.with(|device| {
        let mounted = Mounted::open(device, found.kind, Access::Write)?;
        match found.folder {
            None => work(mounted.tree()),
            Some(folder) => work(&mounted.tree().below(folder)?),
        }
        mounted.close()
    })
}

/// Which volumes could not be looked into.
fn nothing_in(found: &[Found]) -> String {
    let hidden: Vec<String> = found.iter().filter_map(Found::unreachable).collect();
    if hidden.is_empty() { String::new() } else { format!(" ({})", hidden.join("; ")) }
}

/// Is what this kind of file system holds readable by the kernel?
fn is_container(kind: Kind) -> bool {
    matches!(kind, Kind::Luks | Kind::Lvm | Kind::BitLocker)
}

#[cfg(test)]
mod tests;
