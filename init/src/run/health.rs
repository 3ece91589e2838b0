//! What the disks say of their own health: it goes into the inventory, and who looks on is told of disks that are failing. They
//! are deployed all the same: the disk may do for as long as it is wanted, and that is for people to judge.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ezio_contract::health::Health;
use ezio_disk::{Disk, health};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Run, blocking};

/// Until then a disk must have said how it is; else it says nothing. The kernel waits longer for one that hangs.
const HEALTH_BOUND: Duration = Duration::from_secs(5);

/// Disks that say how they are, by their nodes.
pub(crate) type HealthOfDisks = HashMap<PathBuf, Health>;

/// Asks all of them at once. `sys` is where sysfs is mounted.
pub(crate) async fn ask(sys: &Path, disks: &[Disk]) -> HealthOfDisks {
    let mut asked = JoinSet::new();
    for disk in disks.iter().filter(|disk| !disk.is_virtual && disk.size > 0) {
        let (sys, disk) = (sys.to_owned(), disk.clone());
        asked.spawn(async move {
            let path = disk.path.clone();
            let answer = timeout(HEALTH_BOUND, blocking(move || Ok(health(&sys, &disk)))).await;
            Some((path, answer.ok()?.ok()??))
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

/// A line for each disk that is failing, by its own word.
pub(crate) fn complaints(disks: &[Disk], health: &HealthOfDisks) -> Vec<String> {
    let line = |disk: &Disk| {
        let why = health.get(&disk.path)?.complaint()?;
        Some(format!("{disk} is failing: {why}"))
    };
    disks.iter().filter_map(line).collect()
}

impl Run<'_> {
    /// How the disks are; those that are failing are said.
    pub(super) async fn ask_health(&self, disks: &[Disk]) -> HealthOfDisks {
        let health = ask(&self.paths.sys, disks).await;
        complaints(disks, &health).iter().for_each(|line| self.screen.step(line));
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_disk_is_named_and_one_that_says_nothing_is_not() {
        let disk = |name: &str| Disk {
            name: name.to_owned(),
            path: Path::new("/nonexistent").join(name),
            size: 1 << 30,
            sector_size: 512,
            model: Some("QEMU HARDDISK".to_owned()),
            serial: None,
            wwn: None,
            bus: Some(ezio_image::conf::Bus::Nvme),
            removable: false,
            read_only: false,
            is_virtual: false,
            is_boot_medium: false,
            in_use: None,
            partitions: Vec::new(),
            links: Vec::new(),
        };
        let disks = ["nvme0n1", "nvme1n1"].map(disk);
        let mut said = ask(Path::new("/nonexistent"), &disks).await;
        assert_eq!(said, HealthOfDisks::new());
        said.insert(disks[0].path.clone(), Health::default());
        let failing = vec!["it is old".to_owned(), "it is worn".to_owned()];
        said.insert(disks[1].path.clone(), Health { failing, ..Health::default() });
        let line = "/nonexistent/nvme1n1 QEMU HARDDISK 1.0 GiB nvme is failing: it is old; it is worn";
        assert_eq!(complaints(&disks, &said), [line]);
    }
}
