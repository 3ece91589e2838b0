//! What is to be done, as a value: made and shown before anything is written.

use std::fmt;

use anyhow::bail;
use ezio_contract::identity::IdentityAnswer;
use ezio_image::conf::{Orders, Regenerate, Target};
use ezio_image::manifest::Manifest;

use super::change::Change;
use super::drivers;
use super::find::System;
use super::reach::why_hidden;

/// One change, and whether the run fails without it.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(super) change: Change,
    pub(super) needed: bool,
}

/// Everything that makes this clone differ from the next.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct IdentityPlan {
    linux: Vec<Step>,
    windows: Vec<Step>,
    new_table_ids: bool,
    new_volume_ids: bool,
}

/// Is this to be done, and must it be? What the conf does not say is done where a whole disk is written.
fn wish(said: Option<bool>, whole_disk: bool) -> Option<bool> {
    match said {
        Some(true) => Some(true),
        Some(false) => None,
        None => whole_disk.then_some(false),
    }
}

impl IdentityPlan {
    /// From a machine's orders, and what the server says is its own.
    pub(crate) fn of(orders: &Orders, own: &IdentityAnswer) -> Self {
        let identity = &orders.identity;
        let whole_disk = orders.writes.iter().any(|write| matches!(write.target, Target::WholeDisk { .. }));
        // The same id on all disks of a machine.
        let machine_id = Change::MachineId(uuid::Uuid::new_v4().simple().to_string());
        let step =
            |said: Option<bool>, change: Change| wish(said, whole_disk).map(|needed| Step { change, needed });
        let hostname = own.hostname.clone().map(|name| Step { change: Change::Hostname(name), needed: true });
        let renewed = [
            step(identity.machine_id, machine_id),
            step(identity.ssh_host_keys, Change::SshHostKeys),
            step(identity.random_seed, Change::RandomSeed),
        ];
        let windows =
            own.windows.clone().map(|files| Step { change: Change::WindowsFiles(files), needed: true });
        Self {
            linux: hostname.into_iter().chain(renewed.into_iter().flatten()).collect(),
            windows: windows.into_iter().collect(),
            new_table_ids: identity.regenerate.contains(&Regenerate::DiskGuid),
            new_volume_ids: identity.regenerate.contains(&Regenerate::FsUuid),
        }
    }

    /// Is there nothing to do?
    pub(crate) fn is_empty(&self) -> bool {
        self.linux.is_empty() && self.windows.is_empty() && !self.new_table_ids && !self.new_volume_ids
    }

    /// Refuses what was asked for where none of these images has a system that could be looked into. Of an image without a
    /// manifest nothing is known.
    pub(crate) fn check_reach<'a>(
        &self,
        images: impl Iterator<Item = Option<&'a Manifest>>,
    ) -> anyhow::Result<()> {
        let needed = self.linux.iter().chain(&self.windows).find(|step| step.needed);
        let hidden = images.map(|manifest| why_hidden(manifest?)).collect::<Option<Vec<_>>>();
        match (needed, hidden) {
            (Some(step), Some(hidden)) => {
                bail!("{} was asked for, and no system is in reach: {}", step.change, hidden.join("; "))
            }
            _ => Ok(()),
        }
    }

    /// Bytes that are fetched for it.
    pub(crate) fn bytes_to_fetch(&self) -> u64 {
        let files = self.windows.iter().filter_map(|step| match &step.change {
            Change::WindowsFiles(files) => Some(drivers::bytes(files)),
            _ => None,
        });
        files.sum()
    }

    /// Do file systems and swap get ids of their own?
    pub(super) fn renews_volume_ids(&self) -> bool {
        self.new_volume_ids
    }

    /// What is to be done to a partition with this system.
    pub(super) fn steps_for(&self, system: Option<System>) -> Vec<Step> {
        let steps = match system {
            Some(System::Linux) => &self.linux[..],
            Some(System::Windows) => &self.windows[..],
            None => &[],
        };
        steps.iter().map(|step| Step { change: step.change.clone(), needed: step.needed }).collect()
    }

    /// What was asked for, and has no system to be done to.
    pub(super) fn lacks(&self, systems: &[System]) -> Option<String> {
        let needed =
            |steps: &[Step]| steps.iter().find(|step| step.needed).map(|step| step.change.to_string());
        let (linux, windows) = (needed(&self.linux), needed(&self.windows));
        let has = |system: System| systems.contains(&system);
        // The host name of Windows is in its answer file, so that one of the two systems is enough for it.
        let by_windows = has(System::Windows) && windows.is_some();
        match (linux, windows) {
            (Some(change), _) if !has(System::Linux) && !by_windows => {
                let hint = if has(System::Windows) {
                    ": for Windows, [windows] unattend = \"FILE\" is needed"
                } else {
                    ""
                };
                Some(format!("no Linux was found for: {change}{hint}"))
            }
            (_, Some(change)) if !has(System::Windows) => Some(format!("no Windows was found for: {change}")),
            _ => None,
        }
    }
}

impl fmt::Display for IdentityPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.new_table_ids {
            writeln!(
                f,
                "  new ids of the disk and its partitions, and of what names them in fstab and loader"
            )?;
        }
        if self.new_volume_ids {
            writeln!(f, "  new ids of file systems and swap, and of what names them in fstab and loader")?;
        }
        for (system, steps) in [("Linux", &self.linux), ("Windows", &self.windows)] {
            for step in steps {
                let bound = if step.needed { "" } else { ", where possible" };
                writeln!(f, "  {system}: {}{bound}", step.change)?;
            }
        }
        Ok(())
    }
}
