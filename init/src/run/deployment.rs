//! Puts an image on its targets. Each step takes what the step before gave, so none can be left out:
//! `Assignment -> Cleared -> Filling -> Filled -> Deployed`. What is done, is the plan's; that each step before
//! the next is on the medium, is checked here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ezio_contract::report::Progress;
use ezio_disk::{BlockTarget, PartitionSpan};
use ezio_image::layout::TableImage;
use ezio_image::plan::{Payload, Plan, Step};
use ezio_swarm::storage::{DeviceStorage, Mirror, Storage};
use ezio_swarm::{Config, Content, Swarm};

use super::assignment::{Assignment, PlannedTarget};
use super::grow::GrowthOnDevice;
use super::held_head::HeldHead;
use super::transfer::{self, Moment};

/// What of a payload that holds its own table or superblock waits until all else is written.
const HELD: u64 = 1 << 20;

/// When for so long nothing has arrived, it is not only a server that restarts or a cable that somebody puts back.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// A target that is ours alone.
struct Taken {
    planned: PlannedTarget,
    device: BlockTarget,
}

/// Targets that are ours alone, and hold nothing that could boot or be taken for a whole system.
pub(crate) struct Cleared(Vec<Taken>);

/// Targets whose payload is on its way.
pub(crate) struct Filling {
    targets: Vec<Taken>,
    swarm: Option<Swarm>,
    held: Vec<Arc<HeldHead>>,
}

/// Targets with all payload verified and synced, but nothing that would make them boot.
pub(crate) struct Filled {
    targets: Vec<Taken>,
    swarm: Option<Swarm>,
    held: Vec<Arc<HeldHead>>,
    pub(crate) progress: Progress,
}

/// Targets that would boot. Others are served from them.
pub(crate) struct Deployed {
    /// None where there was no payload.
    pub(crate) swarm: Option<Swarm>,
    pub(crate) progress: Progress,
    targets: Vec<Taken>,
}

impl Cleared {
    /// Takes the targets, then clears what the plan says.
    pub(crate) fn clear(assignment: Assignment) -> anyhow::Result<Self> {
        // All are ours before any is touched.
        let taken: Vec<Taken> = assignment.targets.into_iter().map(take).collect::<Result<_, _>>()?;
        for Taken { planned, device } in &taken {
            for step in planned.plan.before_payload() {
                carry_out(step, device, &planned.plan)?;
            }
            device.sync()?;
        }
        Ok(Self(taken))
    }

    /// Fetches the payload onto the targets.
    pub(crate) async fn fill(self, config: Config, tell: impl FnMut(Moment)) -> anyhow::Result<Filled> {
        let filling = self.start(config).await?;
        let progress = filling.complete(Some(LONGEST_SILENCE), tell).await?;
        Ok(filling.filled(progress))
    }

    /// Begins to fetch the payload; all partitions are one job.
    pub(crate) async fn start(self, config: Config) -> anyhow::Result<Filling> {
        let Self(targets) = self;
        let (contents, held) = contents(&targets);
        let swarm = match contents.is_empty() {
            true => None,
            false => Some(Swarm::start(config, contents).await.context("starting the transfer")?),
        };
        Ok(Filling { targets, swarm, held })
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
        let Self { targets, swarm, held } = self;
        Filled { targets, swarm, held, progress }
    }
}

impl Filled {
    /// Writes what makes the targets boot, and makes the kernel read it.
    pub(crate) fn finish(self) -> anyhow::Result<Deployed> {
        let Self { targets, swarm, held, progress } = self;
        for head in &held {
            head.release()?;
        }
        for Taken { planned, device } in &targets {
            for step in planned.plan.after_payload() {
                carry_out(step, device, &planned.plan)?;
            }
            device.sync()?;
        }
        Ok(Deployed { swarm, progress, targets })
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
    Ok(Taken { planned, device })
}

fn carry_out(step: &Step, device: &BlockTarget, plan: &Plan) -> anyhow::Result<()> {
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
        Step::Sync => device.sync()?,
        Step::Table { image, what } => {
            write_table(device, image).with_context(|| format!("writing {what}"))?
        }
        Step::Reread => {
            device.reread_partitions(&plan.layout().map(PartitionSpan::of).unwrap_or_default())?
        }
        // The payload is the swarm's: it is there before and after this.
        Step::Payload(_) => {}
    }
    Ok(())
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

/// What the swarm carries, and where it puts it; and the heads that it must not put there yet.
fn contents(targets: &[Taken]) -> (Vec<Content>, Vec<Arc<HeldHead>>) {
    let mut held = Vec::new();
    let mut storages: Vec<Vec<Arc<dyn Storage>>> = Vec::new();
    let mut payloads: Vec<&Payload> = Vec::new();
    for Taken { planned, device } in targets {
        for (index, payload) in planned.plan.payloads().enumerate() {
            let storage = storage(payload, device, planned.plan.layout().is_none(), &mut held);
            match storages.get_mut(index) {
                Some(alike) => alike.push(storage),
                None => {
                    storages.push(vec![storage]);
                    payloads.push(payload);
                }
            }
        }
    }
    let contents = payloads.into_iter().zip(storages).map(|(payload, mut alike)| {
        let first = alike.remove(0);
        let storage = if alike.is_empty() { first } else { Arc::new(Mirror::new(first, alike)) };
        let metainfo = payload.metainfo.clone();
        let trackers = metainfo.trackers().to_vec();
        Content { metainfo, storage, complete: false, trackers }
    });
    (contents.collect(), held)
}

/// `hold`: no table is written afterwards, so the payload itself holds what makes it pass for whole.
fn storage(
    payload: &Payload,
    device: &BlockTarget,
    hold: bool,
    held: &mut Vec<Arc<HeldHead>>,
) -> Arc<dyn Storage> {
    let name = device.path().display().to_string();
    let storage = Arc::new(DeviceStorage::new(device.file(), name, payload.base, (*payload.extents).clone()));
    let head =
        payload.extents.extents().first().filter(|e| hold && e.offset == 0).map(|e| e.length.min(HELD));
    let Some(length) = head else { return storage };
    let head = Arc::new(HeldHead::new(storage, length as usize));
    held.push(Arc::clone(&head));
    head
}

#[cfg(test)]
#[path = "deployment_tests.rs"]
mod tests;
