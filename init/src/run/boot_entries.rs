//! Makes the firmware know what was deployed: boot entries for the loaders on the disks, as they are there now.

use anyhow::Context;
use ezio_contract::Arch;
use ezio_disk::BlockTarget;
use ezio_image::uefi::{BootEntry, Changes, Loaders, PartitionId, find_loaders};

use super::deployment::partitions;
use crate::machine::efi_variables::{EfiVariables, entry_name};

/// Disks that were written, each with the ids of the partitions that it had before.
pub(super) type Written = Vec<(BlockTarget, Vec<PartitionId>)>;

/// Makes the entries; gives what is to be said of that, a line each. It fails where the machine would not start from its
/// disk for want of an entry.
pub(super) fn make(
    disks: &Written,
    arch: Arch,
    open: impl FnOnce() -> anyhow::Result<EfiVariables>,
) -> anyhow::Result<Vec<String>> {
    let Loaders { systems, removable } = loaders(disks, arch)?;
    let new = if systems.is_empty() { removable.iter().cloned().collect() } else { systems };
    if new.is_empty() {
        return Ok(vec![format!(
            "no loader of {arch} is on an EFI system partition: UEFI starts nothing from it"
        )]);
    }
    let gone: Vec<PartitionId> = disks.iter().flat_map(|(_, before)| before.clone()).collect();
    match open().and_then(|variables| enter(&variables, &new, &gone)) {
        Ok(changes) => Ok(lines(&new, &changes)),
        Err(error) => match removable {
            Some(BootEntry { loader, .. }) => Ok(vec![format!(
                "no boot entry was made ({error:#}): firmware has to find {loader} by itself"
            )]),
            None => Err(error).context("without a boot entry no firmware finds a loader on this disk"),
        },
    }
}

/// Those of all disks; two disks with one image have the same.
fn loaders(disks: &Written, arch: Arch) -> anyhow::Result<Loaders> {
    let mut all = Loaders::default();
    for (disk, _) in disks {
        let Some(layout) = partitions(disk) else { continue };
        let reading = || format!("looking for loaders on {}", disk.path().display());
        let Loaders { systems, removable } = find_loaders(disk, &layout, arch).with_context(reading)?;
        let others: Vec<BootEntry> =
            systems.into_iter().filter(|entry| !all.systems.contains(entry)).collect();
        all.systems.extend(others);
        all.removable = all.removable.or(removable);
    }
    Ok(all)
}

fn enter(variables: &EfiVariables, new: &[BootEntry], gone: &[PartitionId]) -> anyhow::Result<Changes> {
    let changes = variables.boot_entries()?.with(new, gone);
    variables.apply(&changes)?;
    Ok(changes)
}

fn lines(new: &[BootEntry], changes: &Changes) -> Vec<String> {
    let entries =
        new.iter().map(|entry| format!("boot entry {:?} starts {}", entry.description, entry.loader));
    let removed =
        changes.remove.iter().map(|number| format!("old boot entry {} is removed", entry_name(*number)));
    let order = changes.order.iter().map(|order| {
        let names: Vec<String> = order.iter().copied().map(entry_name).collect();
        format!("boot order: {}", names.join(", "))
    });
    entries.chain(removed).chain(order).collect()
}

#[cfg(test)]
#[path = "boot_entries_tests.rs"]
mod tests;
