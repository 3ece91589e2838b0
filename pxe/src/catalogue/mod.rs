//! What is served: opened and checked once at start, then immutable and shared by TFTP, HTTP, tracker and seeder.
//! All small files are held in memory and are looked up by name, so that no request ever becomes a path on the disk.

mod image;
mod netboot;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use ezio_contract::Arch;
use ezio_image::metainfo::InfoHash;

pub(crate) use image::{Image, Torrent};
pub(crate) use netboot::Netboot;

/// Everything that is served.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) images: Vec<Image>,
    /// Network boot files, each of another architecture.
    pub(crate) netboots: Vec<Netboot>,
}

impl Catalogue {
    /// Opens and checks image directories and network boot files.
    pub(crate) fn open(images: &[PathBuf], netboots: &[PathBuf]) -> Result<Self> {
        let images = images.iter().map(|dir| Image::open(dir)).collect::<Result<Vec<_>>>()?;
        for (index, image) in images.iter().enumerate() {
            let twin = images[..index].iter().find(|other| other.name == image.name);
            ensure!(
                twin.is_none(),
                "two image directories are named {:?}: each is served under its base name, so rename one",
                image.name
            );
        }
        let netboots = netboots.iter().map(|dir| Netboot::open(dir)).collect::<Result<Vec<_>>>()?;
        for (index, netboot) in netboots.iter().enumerate() {
            let twin = netboots[..index].iter().find(|other| other.arch == netboot.arch);
            ensure!(twin.is_none(), "two --netboot directories are for {}: give one of each", netboot.arch);
        }
        Ok(Self { images, netboots })
    }

    /// Network boot files of an architecture.
    pub(crate) fn netboot(&self, arch: Arch) -> Option<&Netboot> {
        self.netboots.iter().find(|netboot| netboot.arch == arch)
    }

    pub(crate) fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
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
