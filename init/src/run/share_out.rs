//! An image of several disks is shared out: each of its images goes to one disk, as if ezio.conf had said so.

use anyhow::anyhow;
use ezio_disk::{Disk, Origin};
use ezio_image::conf::{DiskRule, ImageRef, Orders, Target, Write};
use ezio_image::set::image_name;

use super::assignment::Assignment;
use super::image::{Fetched, Image, ImageSet};

/// Chooses the targets among these disks, for what was fetched for each of `orders.writes`.
pub(crate) fn assign(fetched: &[Fetched], orders: &Orders, disks: &[Disk]) -> anyhow::Result<Assignment> {
    let (mut images, mut writes) = (Vec::new(), Vec::new());
    for (fetched, write) in fetched.iter().zip(&orders.writes) {
        match fetched {
            Fetched::One(image) => {
                images.push(Image::clone(image));
                writes.push(write.clone());
            }
            Fetched::Set(set) => {
                set.list.check_orders(write, orders)?;
                writes.extend(share_out(set, write, disks)?);
                images.extend(set.images.iter().cloned());
            }
        }
    }
    let orders = Orders { writes, ..orders.clone() };
    Assignment::make(&images, &orders, disks)
}

/// One write for each image, to a disk that is named.
fn share_out(set: &ImageSet, write: &Write, disks: &[Disk]) -> anyhow::Result<Vec<Write>> {
    let name = &set.list.name;
    let wanted = set.list.disks.iter().zip(&set.images).map(|(disk, image)| {
        let needed = image.needed_for_disk()?;
        let name = image_name(name, &disk.name);
        let Image::Directory(parts) = image else {
            return Ok(Origin { image: name, needed, ..Origin::default() });
        };
        Ok(Origin::of(name, needed, &parts.manifest, disk))
    });
    let wanted = wanted.collect::<anyhow::Result<Vec<_>>>()?;
    let shared = ezio_disk::share_out(disks, &write.disk, &wanted).map_err(|error| {
        let example = wanted.first().map_or("", |wanted| wanted.image.as_str());
        anyhow!(
            "image {name}: {error}\n  write a [[disk]] for each into ezio.conf: image = \"{example}\", and what its disk alone \
             has (serial, model, bus, min-size, max-size or path)"
        )
    })?;
    let one_each = shared.into_iter().zip(wanted).map(|(disk, wanted)| Write {
        image: ImageRef::Name(wanted.image),
        partition: None,
        target: Target::WholeDisk { all: false },
        disk: DiskRule { path: vec![disk.path], ..DiskRule::default() },
        overwrite: write.overwrite,
    });
    Ok(one_each.collect())
}
