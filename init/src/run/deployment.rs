//! Puts an image on its targets. Each step takes what the step before gave, so none can be left out:
//! `Assignment -> Cleared -> Filling -> Filled -> Deployed`. What is done, is the plan's; that each step before
//! the next is on the medium, is checked here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ezio_contract::report::Progress;
use ezio_disk::{BlockTarget, PartitionSpan};
use ezio_image::contents::begun;
use ezio_image::layout::{Layout, TableImage};
use ezio_image::metainfo::Metainfo;
use ezio_image::plan::{Payload, Step};
use ezio_image::uefi::PartitionId;
use ezio_swarm::storage::{DeviceStorage, Mirror, Storage};
use ezio_swarm::{Config, Content, Swarm};

use super::amended::Amended;
use super::assignment::{Assignment, PlannedTarget};
use super::grow::GrowthOnDevice;
use super::held_head::HeldHead;
use super::superblock;
use super::transfer::{self, Moment};

/// What of a payload that holds its own table or superblock waits until all else is written.
const HELD: u64 = 1 << 20;

/// When for so long nothing has arrived, it is not only a server that restarts or a cable that somebody puts back.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// A target that is ours alone.
struct Taken {
    planned: PlannedTarget,
    device: BlockTarget,
    /// Of the payload, what waits until all else is written.
    held: Vec<Arc<HeldHead>>,
    /// Its first sector bears the mark of this run.
    marked: bool,
    /// And what is changed then.
    amended: Vec<Arc<Amended>>,
    /// Partitions that it had when it was taken.
    before: Vec<PartitionId>,
}

/// Targets that are ours alone, and hold nothing that could boot or be taken for a whole system.
pub(crate) struct Cleared(Vec<Taken>);

/// Targets whose payload is on its way.
pub(crate) struct Filling {
    targets: Vec<Taken>,
    contents: Vec<Content>,
    swarm: Option<Swarm>,
}

/// Targets with all payload verified and synced, but nothing that would make them boot.
pub(crate) struct Filled {
    targets: Vec<Taken>,
    contents: Vec<Content>,
    swarm: Option<Swarm>,
    pub(crate) progress: Progress,
}

/// Targets that would boot. Others are served from them.
pub(crate) struct Deployed {
    /// None where there was no payload.
    pub(crate) swarm: Option<Swarm>,
    pub(crate) progress: Progress,
    /// What the swarm carries, and where that lies.
    pub(crate) contents: Vec<Content>,
    /// What was changed for this target, for people.
    pub(crate) said: Vec<String>,
    targets: Vec<Taken>,
}

impl Cleared {
    /// Takes the targets, then clears what the plan says.
    pub(crate) fn clear(assignment: Assignment) -> anyhow::Result<Self> {
        // All are ours before any is touched.
        let taken: Vec<Taken> = assignment.targets.into_iter().map(take).collect::<Result<_, _>>()?;
        for target in &taken {
            for step in target.planned.plan.before_payload() {
                target.carry_out(step)?;
            }
            target.device.sync()?;
        }
        Ok(Self(taken))
    }

    /// Puts the mark of this run where nothing else is until all else is written, so that a target which is left half
    /// written is known again.
    pub(crate) fn marked(mut self, run: &str) -> anyhow::Result<Self> {
        for target in &mut self.0 {
            target.device.write_all_at(0, &begun::mark(run))?;
            target.device.sync()?;
            target.marked = true;
        }
        Ok(self)
    }

    /// Fetches the payload onto the targets.
    pub(crate) async fn fill(self, config: Config, tell: impl FnMut(Moment)) -> anyhow::Result<Filled> {
        let filling = self.start(config).await?;
        let progress = filling.complete(Some(LONGEST_SILENCE), tell).await?;
        Ok(filling.filled(progress))
    }

    /// Begins to fetch the payload; all partitions are one job.
    pub(crate) async fn start(self, config: Config) -> anyhow::Result<Filling> {
        let Self(mut targets) = self;
        let contents = contents(&mut targets);
        let swarm = match contents.is_empty() {
            true => None,
            false => Some(Swarm::start(config, contents.clone()).await.context("starting the transfer")?),
        };
        Ok(Filling { targets, contents, swarm })
    }
}

impl Filling {
    /// Gives up, with farewell to the others.
    pub(crate) async fn stop(self) {
        if let Some(swarm) = self.swarm {
            swarm.shutdown().await;
        }
    }

    /// Waits until all is verified and synced; fails when for `bound` nothing arrives.
    pub(crate) async fn complete(
        &self,
        bound: Option<Duration>,
        tell: impl FnMut(Moment),
    ) -> anyhow::Result<Progress> {
        match &self.swarm {
            Some(swarm) => transfer::complete(swarm, bound, tell).await,
            None => Ok(Progress::default()),
        }
    }

    /// Once all is complete.
    pub(crate) fn filled(self, progress: Progress) -> Filled {
        let Self { targets, contents, swarm } = self;
        Filled { targets, contents, swarm, progress }
    }
}

impl Filled {
    /// Writes what makes the targets boot, and makes the kernel read it.
    pub(crate) fn finish(self) -> anyhow::Result<Deployed> {
        let Self { targets, contents, swarm, progress } = self;
        let mut said = Vec::new();
        for target in &targets {
            if target.marked && target.planned.plan.layout().is_none() {
                // No table comes over the mark, and the payload may leave its place free.
                target.device.write_zeros_at(0, begun::LENGTH as u64)?;
            }
            for head in &target.held {
                head.release()?;
            }
            for step in target.planned.plan.after_payload() {
                said.extend(target.carry_out(step)?);
            }
            target.device.sync()?;
        }
        Ok(Deployed { swarm, progress, contents, said, targets })
    }
}

impl Deployed {
    /// Partition nodes that the kernel should show now, below sysfs.
    pub(crate) fn expected_nodes(&self) -> Vec<PathBuf> {
        self.targets.iter().flat_map(|taken| taken.planned.expected_nodes()).collect()
    }

    /// File systems that are to be made longer when this is given up.
    pub(crate) fn growths(&self) -> Vec<GrowthOnDevice> {
        self.targets.iter().filter_map(|taken| taken.planned.growth()).collect()
    }

    /// The targets, each with the ids of the partitions that it had before.
    pub(crate) fn disks(&self) -> Vec<(BlockTarget, Vec<PartitionId>)> {
        self.targets.iter().map(|taken| (taken.device.clone(), taken.before.clone())).collect()
    }
}

fn take(planned: PlannedTarget) -> anyhow::Result<Taken> {
    let device = match planned.shared {
        false => BlockTarget::open_exclusive(&planned.path)?,
        true => BlockTarget::open_shared(&planned.path)?,
    };
    ensure!(
        device.size() == planned.size,
        "{} has {} bytes now, but had {} when it was chosen: it is another disk",
        planned.path.display(),
        device.size(),
        planned.size
    );
    let before = partitions(&device).map(|layout| PartitionId::all_of(&layout)).unwrap_or_default();
    Ok(Taken { planned, device, before, held: Vec::new(), marked: false, amended: Vec::new() })
}

/// The table of a target; none where it has none that can be read.
pub(super) fn partitions(device: &BlockTarget) -> Option<Layout> {
    let name = device.path().display().to_string();
    Layout::read_from_disk(device, device.size(), device.sector_size(), &name).ok()
}

impl Taken {
    /// Does it; gives what there is to say about it.
    fn carry_out(&self, step: &Step) -> anyhow::Result<Option<String>> {
        let device = &self.device;
        match step {
            Step::Clear { places, what } => {
                for place in places {
                    let length = place.end - place.start;
                    device.write_zeros_at(place.start, length).with_context(|| format!("clearing {what}"))?;
                }
            }
            Step::Write { offset, bytes, what } => {
                device.write_all_at(*offset, bytes).with_context(|| format!("writing {what}"))?;
            }
            Step::Relocate { volume, start } => {
                let mut amended = self.amended.iter().filter(|amended| amended.is_at(volume.start));
                return amended.next().map_or(Ok(None), |amended| amended.relocate(volume, *start));
            }
            Step::Sync => device.sync()?,
            Step::Table { image, what } => {
                write_table(device, image).with_context(|| format!("writing {what}"))?
            }
            Step::Reread => {
                let layout = self.planned.plan.layout();
                device.reread_partitions(&layout.map(PartitionSpan::of).unwrap_or_default())?
            }
            // The payload is the swarm's: it is there before and after this.
            Step::Payload(_) => {}
        }
        Ok(None)
    }

    /// Where the content of a payload goes.
    fn storage(&mut self, payload: &Payload) -> Arc<dyn Storage> {
        let name = self.device.path().display().to_string();
        let extents = (*payload.extents).clone();
        let mut storage: Arc<dyn Storage> =
            Arc::new(DeviceStorage::new(self.device.file(), name, payload.base, extents));
        // Where no table is written afterwards, the payload itself holds what makes it pass for whole.
        // All that lies in the target's head comes first in the content.
        let hold = self.planned.plan.layout().is_none();
        let runs = payload.extents.extents().iter().take_while(|run| hold && run.offset < HELD);
        let length: u64 = runs.map(|run| run.length.min(HELD - run.offset)).sum();
        if length > 0 {
            let (extents, target) = (Arc::clone(&payload.extents), self.device.clone());
            let check = Box::new(move |head: &[u8]| superblock::check(head, &extents, &target));
            let head = Arc::new(HeldHead::new(storage, length as usize, check));
            self.held.push(Arc::clone(&head));
            storage = head;
        }
        let relocates =
            |step: &Step| matches!(step, Step::Relocate { volume, .. } if volume.start == payload.base);
        if self.planned.plan.steps().iter().any(relocates) {
            let amended = Arc::new(Amended::new(storage, &self.device, payload));
            self.amended.push(Arc::clone(&amended));
            storage = amended;
        }
        storage
    }
}

/// Writes a table; what the disk then gives back must be what it was given.
fn write_table(device: &BlockTarget, table: &TableImage) -> anyhow::Result<()> {
    for (offset, bytes) in table.writes() {
        device.write_all_at(*offset, bytes)?;
    }
    device.sync()?;
    device.drop_cache()?;
    for (offset, bytes) in table.writes() {
        let mut read = vec![0; bytes.len()];
        device.read_exact_at(*offset, &mut read)?;
        let path = device.path().display();
        ensure!(read == *bytes, "{path} gives back something else than was written at byte {offset}");
    }
    Ok(())
}

/// A torrent, and all the places that it is written to.
type Carried = (Arc<Metainfo>, Vec<Arc<dyn Storage>>);

/// What the swarm carries, and where it puts it. What several targets get, comes once.
fn contents(targets: &mut [Taken]) -> Vec<Content> {
    let mut carried: Vec<Carried> = Vec::new();
    for target in targets {
        let payloads: Vec<Payload> = target.planned.plan.payloads().cloned().collect();
        for payload in &payloads {
            let storage = target.storage(payload);
            let hash = payload.metainfo.info_hash();
            match carried.iter_mut().find(|(known, _)| known.info_hash() == hash) {
                Some((_, alike)) => alike.push(storage),
                None => carried.push((payload.metainfo.clone(), vec![storage])),
            }
        }
    }
    let contents = carried.into_iter().map(|(metainfo, mut alike)| {
        let first = alike.remove(0);
        let storage = if alike.is_empty() { first } else { Arc::new(Mirror::new(first, alike)) };
        let trackers = metainfo.trackers().to_vec();
        Content { metainfo, storage, complete: false, trackers }
    });
    contents.collect()
}

#[cfg(test)]
#[path = "deployment_tests.rs"]
mod tests;
