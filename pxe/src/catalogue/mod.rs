//! What is served: opened and checked once at start, then immutable and shared by TFTP, HTTP, tracker and seeder.
//! All small files are held in memory and are looked up by name, so that no request ever becomes a path on the disk.

mod image;
mod netboot;
mod set;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use ezio_contract::{Arch, urls};
use ezio_disk::Origin;
use ezio_image::manifest::CHECKSUM_FILE;
use ezio_image::metainfo::InfoHash;
use ezio_image::names::is_safe_name;
use ezio_image::set::{SetDisk, image_name};

pub(crate) use image::{Image, Torrent};
pub(crate) use netboot::Netboot;
pub(crate) use set::Set;

/// Everything that is served.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) images: Vec<Image>,
    /// Sets, whose images are among them.
    pub(crate) sets: Vec<Set>,
    /// Network boot files, each of another architecture.
    pub(crate) netboots: Vec<Netboot>,
}

impl Catalogue {
    /// Opens and checks image directories and network boot files.
    pub(crate) fn open(images: &[PathBuf], netboots: &[PathBuf]) -> Result<Self> {
        let mut names: Vec<String> = Vec::new();
        let (mut all, mut sets) = (Vec::new(), Vec::new());
        for dir in images {
            let name = name_of(dir)?;
            ensure!(
                !names.contains(&name),
                "two image directories are named {name:?}: each is served under its base name, so rename one"
            );
            names.push(name.clone());
            if ezio_imagedir::Set::is_one(dir) {
                let (set, of_set) = Set::open(dir, name)?;
                sets.push(set);
                all.extend(of_set);
            } else {
                all.push(Image::open(dir, name)?);
            }
        }
        let netboots = netboots.iter().map(|dir| Netboot::open(dir)).collect::<Result<Vec<_>>>()?;
        for (index, netboot) in netboots.iter().enumerate() {
            let twin = netboots[..index].iter().find(|other| other.arch == netboot.arch);
            ensure!(twin.is_none(), "two --netboot directories are for {}: give one of each", netboot.arch);
        }
        Ok(Self { images: all, sets, netboots })
    }

    /// Network boot files of an architecture.
    pub(crate) fn netboot(&self, arch: Arch) -> Option<&Netboot> {
        self.netboots.iter().find(|netboot| netboot.arch == arch)
    }

    /// Names of sets and images.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let sets = self.sets.iter().map(|set| set.name.as_str());
        sets.chain(self.images.iter().map(|image| image.name.as_str()))
    }

    /// What is known of the disks that the images of a set were captured from.
    pub(crate) fn origins(&self, set: &Set) -> Vec<Origin> {
        let origin = |disk: &SetDisk| {
            let image = self.image(&image_name(&set.name, &disk.name))?;
            Some(Origin::of(image.name.clone(), image.needed.unwrap_or(0), &image.manifest, disk))
        };
        set.list.disks.iter().filter_map(origin).collect()
    }

    /// The name of all that is served, if it is one image or one set.
    pub(crate) fn only(&self) -> Option<&str> {
        match (self.images.as_slice(), self.sets.as_slice()) {
            ([image], []) => Some(&image.name),
            (images, [set]) if set.list.disks.len() == images.len() => Some(&set.name),
            _ => None,
        }
    }

    /// A small file of an image or of a set; torrents name `announce` as their tracker.
    pub(crate) fn file(&self, image: &str, file: &str, announce: &str) -> Option<Bytes> {
        match self.image(image) {
            Some(image) => image.file(file, announce),
            None => self.set(image)?.file(file),
        }
    }

    /// Does the operator's signature lie beside this image or set?
    pub(crate) fn is_signed(&self, name: &str) -> bool {
        self.file(name, &format!("{CHECKSUM_FILE}{}", urls::SIGNATURE), "").is_some()
    }

    fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }

    fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// Every torrent, each once: two images may hold the same partition.
    pub(crate) fn torrents(&self) -> impl Iterator<Item = (&Image, &Torrent)> {
        let mut known: Vec<InfoHash> = Vec::new();
        self.images.iter().flat_map(|image| image.torrents.iter().map(move |t| (image, t))).filter(
            move |(_, torrent)| {
                let hash = torrent.metainfo.info_hash();
                let new = !known.contains(&hash);
                known.push(hash);
                new
            },
        )
    }
}

/// What clients call the image in a directory.
fn name_of(dir: &Path) -> Result<String> {
    let path = dir.canonicalize().with_context(|| format!("opening {}", dir.display()))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ensure!(
        is_safe_name(name),
        "{}: {name:?} cannot be the name of an image: use letters, digits, '.', '_' and '-'",
        dir.display()
    );
    Ok(name.to_owned())
}
