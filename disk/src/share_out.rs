//! Which disk gets which image of several that belong to one machine: each just one, for a reason that leaves no choice, or
//! a refusal that shows all of them.

use std::fmt;

use ezio_image::conf::units::human_size;
use ezio_image::conf::{Bus, DiskRule};
use ezio_image::manifest::Manifest;
use ezio_image::set::SetDisk;
use thiserror::Error;

use crate::choose::{Rejected, is_named, objections, too_small_by};
use crate::discover::Disk;

/// An image that needs a disk, with what is known of its origin: the disk that it was captured from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Name of the image.
    pub image: String,
    /// Bytes that a disk must have.
    pub needed: u64,
    /// Bytes that its own disk had.
    pub size: Option<u64>,
    /// That disk's serial number.
    pub serial: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// How it was attached.
    pub bus: Option<Bus>,
}

impl Origin {
    /// What the manifest of an image says of the disk that it was captured from, and the list of its set.
    #[must_use]
    pub fn of(image: String, needed: u64, manifest: &Manifest, disk: &SetDisk) -> Self {
        Self {
            image,
            needed,
            size: manifest.disk.as_ref().map(|disk| disk.size),
            serial: manifest.source.serial.clone(),
            model: manifest.source.model.clone(),
            bus: disk.bus,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needs {}; it was captured from", self.image, human_size(self.needed))?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        match self.size {
            Some(size) => write!(f, " {}", human_size(size))?,
            None => f.write_str(" a disk")?,
        }
        if let Some(bus) = self.bus {
            write!(f, " {bus}")?;
        }
        if let Some(serial) = &self.serial {
            write!(f, " serial {serial}")?;
        }
        Ok(())
    }
}

/// Whether something speaks for giving an image a disk, or nothing against it.
type Reason = dyn Fn(&Origin, &Disk) -> bool;

/// Images and disks cannot be put together without a guess.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}{}{}", lines(images), lines(disks))]
pub struct ShareError {
    /// What is not clear.
    what: String,
    images: Vec<String>,
    disks: Vec<String>,
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

/// Gives each image a disk that fits `rule`; the disks are in the order of the images. There have to be as many as images,
/// and what decides is the first of these that leaves no choice: which images fit which disks; then also serial numbers,
/// where it is the machine of the capture; models; how they are attached; and the very size.
///
/// # Errors
/// There are more or fewer disks, or nothing decides.
pub fn share_out(disks: &[Disk], rule: &DiskRule, images: &[Origin]) -> Result<Vec<Disk>, ShareError> {
    let least = images.iter().map(|image| image.needed).min().unwrap_or(0);
    let (mut fit, mut rejected) = (Vec::new(), Vec::new());
    for disk in disks {
        let mut reasons = objections(disk, rule);
        // Unasked-for virtual devices would only make the list long.
        if disk.is_virtual && !is_named(disk, rule) {
            continue;
        }
        reasons.extend(too_small_by(disk.size, least));
        match reasons.is_empty() {
            true => fit.push(disk),
            false => rejected.push(Rejected { disk: disk.to_string(), reasons, only_too_small: false }),
        }
    }
    let refuse = |what: String| ShareError {
        what,
        images: images.iter().map(ToString::to_string).collect(),
        disks: fit
            .iter()
            .map(|disk| format!("{disk}: fits {}", fitting(disk, images)))
            .chain(rejected.iter().map(ToString::to_string))
            .collect(),
    };
    let (count, needed) = (fit.len(), images.len());
    if count != needed {
        return Err(refuse(format!("{count} disks fit, and this image has {needed}: each needs one")));
    }
    let by_size = |image: &Origin, disk: &Disk| disk.size >= image.needed;
    let reasons: [&Reason; 5] = [
        &|_, _| true,
        &|image, disk| same(image.serial.as_ref(), disk.serial.as_ref()),
        &|image, disk| same(image.model.as_ref(), disk.model.as_ref()),
        &|image, disk| same(image.bus.as_ref(), disk.bus.as_ref()),
        &|image, disk| same(image.size.as_ref(), Some(&disk.size)),
    ];
    let decided = reasons.iter().find_map(|reason| {
        only_choice(needed, |image, disk| {
            by_size(&images[image], fit[disk]) && reason(&images[image], fit[disk])
        })
    });
    match decided {
        Some(chosen) => Ok(chosen.into_iter().map(|disk| fit[disk].clone()).collect()),
        None => Err(refuse(
            "neither size nor serial number, model or bus decides which disk gets which of these images"
                .to_owned(),
        )),
    }
}

/// Is it the same, as far as it is known of the image's disk?
fn same<T: PartialEq>(image: Option<&T>, disk: Option<&T>) -> bool {
    image.is_none() || image == disk
}

fn fitting(disk: &Disk, images: &[Origin]) -> String {
    let fitting = images.iter().filter(|image| disk.size >= image.needed);
    fitting.map(|image| image.image.as_str()).collect::<Vec<_>>().join(" or ")
}

/// The one way to give `count` images as many disks, by what `may` go together; none where there are several ways, or there
/// is no way. Where there is just one, some image has just one disk left at each step: with two for each of those left,
/// one could go round in a circle, and have another way.
fn only_choice(count: usize, may: impl Fn(usize, usize) -> bool) -> Option<Vec<usize>> {
    let mut chosen: Vec<Option<usize>> = vec![None; count];
    for _ in 0..count {
        let taken = chosen.clone();
        let free = |disk: &usize| !taken.contains(&Some(*disk));
        let (image, disk) = (0..count).filter(|image| taken[*image].is_none()).find_map(|image| {
            let mut left = (0..count).filter(free).filter(|disk| may(image, *disk));
            let only = left.next()?;
            left.next().is_none().then_some((image, only))
        })?;
        chosen[image] = Some(disk);
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
#[path = "share_out_tests.rs"]
mod tests;
