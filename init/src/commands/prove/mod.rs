//! `prove`: are these disks what an image says? All of it is read from the medium; nothing is written.

mod boot_sectors;
mod target;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use ezio_contract::identity::IdentityAnswer;
use ezio_contract::report::Progress;
use ezio_disk::{BlockTarget, start_of};
use ezio_image::plan::{Plan, Room};
use ezio_swarm::storage::StorageError;
use ezio_swarm::{Content, Wrong};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::target::Target;
use super::arguments::ProveOptions;
use super::conf::{brief, image_at};
use super::in_use;
use super::progress_output::{Place, ProgressOutput};
use crate::fetch::Fetcher;
use crate::identity::plan::IdentityPlan;
use crate::machine::SystemPaths;
use crate::run::image::{Fetched, Image};
use crate::run::share_out::assign;
use crate::run::{blocking, list_disks};
use crate::screen::Screen;

/// How often watchers hear of progress.
const TICK: Duration = Duration::from_millis(500);

/// Reads all that the image says from the targets; an error if something differs.
pub(crate) async fn prove(options: &ProveOptions) -> anyhow::Result<()> {
    let output = ProgressOutput::new(options.progress);
    let paths = SystemPaths::below(Path::new("/"));
    let targets = targets(options, &paths, &output).await?;
    for target in &targets {
        if let Some(mounted) = in_use::mounted(target.device.path(), &paths) {
            output.note(&format!("{} is in use: what is written to it meanwhile differs", mounted.display()));
        }
    }
    let (fixed, contents) = blocking(move || look(targets)).await?;
    fixed.notes.iter().for_each(|note| output.note(note));
    let total = contents.iter().map(|content| content.metainfo.total_length()).sum();
    let Wrong { places, count } = compare(contents, total, &output).await?;

    let wrong = count + fixed.wrong.len() as u64;
    let named = fixed.wrong.into_iter().chain(places.into_iter().map(place));
    let more = named.map(|place| output.wrong(place)).count() as u64;
    if more < wrong {
        output.note(&format!("and {} other places", wrong - more));
    }
    output.proof(total, wrong);
    ensure!(
        wrong == 0,
        "{wrong} places differ from the image; so does what a deployment changes after its own proof, and what a system \
         writes that has started (see ezio-init prove --help)"
    );
    Ok(())
}

/// What is to be found on which target.
async fn targets(
    options: &ProveOptions,
    paths: &SystemPaths,
    output: &ProgressOutput,
) -> anyhow::Result<Vec<Target>> {
    let fetcher = Fetcher::new()?;
    let Some(conf) = &options.conf else {
        let image = image_at(options.image.as_deref().unwrap_or_default(), &fetcher).await?.one()?;
        return options.targets.iter().map(|path| named(&image, path, options, paths)).collect();
    };
    let screen = Screen::dark();
    let briefing = brief(conf, paths, options.group.as_deref(), None, &fetcher, &screen).await?;
    let images = briefing.fetch_images(&fetcher, None, &screen).await?;
    let mut orders = briefing.orders;
    orders.allow_only(&options.targets);
    // Ids of its own are random: the table is held against the image's.
    orders.identity.regenerate.clear();
    if !IdentityPlan::of(&orders, &IdentityAnswer::default()).is_empty() {
        output.note(
            "this conf gives each clone an identity: where its files were changed for that, they differ",
        );
    }
    if let Some(grow) = &options.grow {
        orders.grow = grow.clone();
    }
    let mut disks = list_disks(paths, &options.targets)?;
    // They are only read.
    disks.iter_mut().for_each(|disk| disk.in_use = None);
    let assignment = assign(&images, &orders, &disks)?;
    let opened = assignment.targets.into_iter().map(|planned| {
        let device = BlockTarget::open_to_read(&planned.path)?;
        Ok(Target { device, plan: planned.plan, starts: starts_of(images.iter().flat_map(Fetched::images)) })
    });
    opened.collect()
}

/// All that is known of where volumes lay on their sources.
fn starts_of<'a>(images: impl Iterator<Item = &'a Image>) -> Vec<(String, u64)> {
    let directories = images.filter_map(|image| match image {
        Image::Directory(parts) => Some(&parts.manifest.partitions),
        Image::Torrent(_) => None,
    });
    directories.flatten().map(|info| (info.name.clone(), info.offset)).collect()
}

/// A target that is named with the image: a whole disk, unless it is a partition, or holds one.
fn named(image: &Image, path: &Path, options: &ProveOptions, paths: &SystemPaths) -> anyhow::Result<Target> {
    let device = BlockTarget::open_to_read(path)?;
    let (size, start) = (device.size(), start_of(&paths.sys, path));
    let partition = options.partition.as_deref();
    let grow = options.grow.clone().unwrap_or_default();
    let is_disk = partition.is_none() && start.is_none() && image.needed_for_disk().is_ok();
    let plan: Plan = if is_disk {
        image.plan_for_disk(size, device.sector_size(), &grow)?
    } else {
        let sector_size = device.is_device().then(|| device.sector_size());
        image.plan_for_partition(partition, Room { size, start, sector_size }, &grow)?
    };
    Ok(Target { device, plan, starts: starts_of(std::iter::once(image)) })
}

/// What stands besides the contents.
#[derive(Default)]
struct Fixed {
    wrong: Vec<Place>,
    /// What differs for a reason.
    notes: Vec<String>,
}

/// Holds table, boot code and swap signatures against the plan; the contents are to be compared yet.
fn look(targets: Vec<Target>) -> anyhow::Result<(Fixed, Vec<Content>)> {
    let (mut fixed, mut contents) = (Fixed::default(), Vec::new());
    for target in targets {
        let path = target.device.path().display().to_string();
        target.device.sync().with_context(|| path.clone())?;
        target.look_at_fixed(&mut fixed);
        if let Some(growth) = target.plan.growth() {
            fixed
                .notes
                .push(format!("{path}: {growth}: done after the proof, so that what it changed differs"));
        }
        contents.extend(target.contents(&mut fixed.notes).with_context(|| path)?);
    }
    Ok((fixed, contents))
}

async fn compare(contents: Vec<Content>, total_bytes: u64, output: &ProgressOutput) -> anyhow::Result<Wrong> {
    let compared = Arc::new(AtomicU64::new(0));
    let (began, seen) = (Instant::now(), Arc::clone(&compared));
    let proof = blocking(move || {
        let go_on = |bytes| {
            seen.fetch_max(bytes, Ordering::Relaxed);
            true
        };
        Ok(ezio_swarm::prove(&contents, go_on).unwrap_or_default())
    });
    tokio::pin!(proof);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            wrong = &mut proof => return wrong,
            _ = ticks.tick() => {
                let done_bytes = compared.load(Ordering::Relaxed);
                let rate = done_bytes as f64 / began.elapsed().as_secs_f64().max(0.001);
                let progress = Progress { done_bytes, total_bytes, down_bytes_per_s: rate as u64, ..Progress::default() };
                output.proving(&progress);
            }
        }
    }
}

fn place(error: StorageError) -> Place {
    let (partition, piece) = error.piece.unzip();
    Place { disk: error.device, offset: error.device_offset, partition, piece, why: error.source.to_string() }
}

#[cfg(test)]
mod tests;
