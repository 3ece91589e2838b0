//! An image as the server offers it: fetched whole but for the payload, and checked.

use anyhow::{Context, bail};
use ezio_contract::Arch;
use ezio_image::checksums::Checksums;
use ezio_image::conf::{Grow, Regenerate};
use ezio_image::directory::{self, CheckedImage, Files, is_small_file};
use ezio_image::layout::NewIds;
use ezio_image::manifest::{CHECKSUM_FILE, Manifest};
use ezio_image::plan::{Plan, PlanError, Room};
use ezio_image::set::{DiskSet, SET_FILE, check_sum, sums_of};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::fetch::location::Location;
use crate::fetch::signature::PublicKey;
use crate::fetch::torrent::Torrent;
use crate::fetch::{FetchError, Fetcher, Patience};
use crate::screen::Screen;
use crate::screen::nag::Nag;

/// Each takes a round trip, and longer where a server is busy with a whole room; many at a time would only wait for each
/// other.
const FILES_AT_A_TIME: usize = 4;

/// An image, fetched.
#[derive(Debug, Clone)]
pub(crate) enum Image {
    /// A directory with a manifest.
    Directory(Box<CheckedImage>),
    /// One torrent and nothing else.
    Torrent(Torrent),
}

impl Image {
    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Directory(image) => &image.manifest.name,
            Self::Torrent(torrent) => torrent.metainfo.name(),
        }
    }

    /// What it says of itself; a torrent alone says nothing.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Directory(image) => Some(&image.manifest),
            Self::Torrent(_) => None,
        }
    }

    /// Refuses an image that would not start on this machine.
    pub(crate) fn check_architecture(&self, machine: Option<Arch>) -> anyhow::Result<()> {
        let Self::Directory(image) = self else { return Ok(()) };
        match (image.manifest.arch, machine) {
            (Some(arch), Some(machine)) if arch != machine => bail!(
                "image {:?} is for machines of {arch}, and this is one of {machine}: it would not start here; ezio.conf has \
                 to name another image for it",
                image.manifest.name
            ),
            _ => Ok(()),
        }
    }

    /// Smallest disk that can hold it, in bytes.
    pub(crate) fn needed_for_disk(&self) -> anyhow::Result<u64> {
        match self {
            Self::Directory(image) => {
                let name = image.manifest.name.clone();
                Ok(image.needed_for_disk().ok_or(PlanError::NotADisk { image: name })?)
            }
            Self::Torrent(torrent) if torrent.metainfo.is_raw() => Ok(torrent.needed),
            Self::Torrent(torrent) => {
                Err(PlanError::NotADisk { image: torrent.metainfo.name().to_owned() }.into())
            }
        }
    }

    /// Smallest partition that can hold (this partition of) it, in bytes.
    pub(crate) fn needed_for_partition(&self, wanted: Option<&str>) -> anyhow::Result<u64> {
        match self {
            Self::Directory(image) => Ok(image.needed_for_partition(wanted)?),
            Self::Torrent(torrent) => Ok(torrent.needed),
        }
    }

    /// What to do to a disk of this size.
    pub(crate) fn plan_for_disk(&self, size: u64, sector_size: u32, grow: &Grow) -> Result<Plan, PlanError> {
        match self {
            Self::Directory(image) => image.plan_for_disk(size, sector_size, grow),
            Self::Torrent(torrent) => {
                let room = Room { size, start: None, sector_size: Some(sector_size) };
                Plan::for_torrent(torrent.metainfo.clone(), torrent.needed, room, grow)
            }
        }
    }

    /// The image with new ids in its partition table, and which took the place of which.
    pub(crate) fn with_new_table_ids(&self) -> Result<(Self, NewIds), PlanError> {
        match self {
            Self::Directory(parts) => {
                let (parts, ids) = parts.with_new_table_ids(uuid::Uuid::new_v4)?;
                Ok((Self::Directory(Box::new(parts)), ids))
            }
            Self::Torrent(torrent) => Err(PlanError::NoNewIds {
                what: Regenerate::DiskGuid,
                image: torrent.metainfo.name().to_owned(),
                why: "there is no partition table of its own in it".to_owned(),
            }),
        }
    }

    /// Are its file systems such that they can get new ids?
    pub(crate) fn allows_new_volume_ids(&self) -> Result<(), PlanError> {
        match self {
            Self::Directory(parts) => parts.allows_new_volume_ids(),
            Self::Torrent(torrent) => Err(PlanError::NoNewIds {
                what: Regenerate::FsUuid,
                image: torrent.metainfo.name().to_owned(),
                why: "nothing is known of the file systems in it".to_owned(),
            }),
        }
    }

    /// What to do to a partition that is there.
    pub(crate) fn plan_for_partition(
        &self,
        wanted: Option<&str>,
        room: Room,
        grow: &Grow,
    ) -> Result<Plan, PlanError> {
        match self {
            Self::Directory(image) => image.plan_for_partition(wanted, room, grow),
            Self::Torrent(torrent) => Plan::for_torrent(torrent.metainfo.clone(), torrent.needed, room, grow),
        }
    }

    /// Has it a partition of this name?
    pub(crate) fn has_partition(&self, name: &str) -> bool {
        match self {
            Self::Directory(image) => {
                image.manifest.partitions.iter().any(|partition| partition.name == name)
            }
            Self::Torrent(_) => false,
        }
    }
}

/// What the name of an image stands for.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// One image.
    One(Box<Image>),
    /// One for each of several disks.
    Set(ImageSet),
}

/// The images of several disks.
#[derive(Debug)]
pub(crate) struct ImageSet {
    /// Their list.
    pub(crate) list: DiskSet,
    /// In its order.
    pub(crate) images: Vec<Image>,
}

impl Fetched {
    /// Fetches an image directory, or a set of them: what its checksums list, and they are listed by whoever signed them.
    pub(crate) async fn fetch(
        folder: &Location,
        fetcher: &Fetcher,
        key: Option<&PublicKey>,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let source = Source { folder, fetcher, screen };
        let checksums = source.bytes(CHECKSUM_FILE).await?;
        if let Some(key) = key {
            key.check(&folder.file(CHECKSUM_FILE), &checksums, fetcher).await?;
        }
        let listed = Checksums::parse(&String::from_utf8_lossy(&checksums))
            .with_context(|| folder.file(CHECKSUM_FILE).to_string())?;
        if listed.get(SET_FILE).is_none() {
            return Ok(Self::One(Box::new(source.image(checksums, &listed).await?)));
        }
        let list = source.bytes(SET_FILE).await?;
        let list = DiskSet::open(&list, &listed).with_context(|| folder.to_string())?;
        let mut images = Vec::new();
        for disk in &list.disks {
            let source = Source { folder: &folder.file(&disk.name), fetcher, screen };
            let checksums = source.bytes(CHECKSUM_FILE).await?;
            // By these the set's signature is theirs too.
            check_sum(&sums_of(&disk.name), &checksums, &listed).with_context(|| folder.to_string())?;
            let own = Checksums::parse(&String::from_utf8_lossy(&checksums))
                .with_context(|| source.folder.file(CHECKSUM_FILE).to_string())?;
            images.push(source.image(checksums, &own).await?);
        }
        Ok(Self::Set(ImageSet { list, images }))
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::One(image) => image.name(),
            Self::Set(set) => &set.list.name,
        }
    }

    /// All images of it.
    pub(crate) fn images(&self) -> &[Image] {
        match self {
            Self::One(image) => std::slice::from_ref(image),
            Self::Set(set) => &set.images,
        }
    }

    /// The one image that it is.
    pub(crate) fn one(self) -> anyhow::Result<Image> {
        match self {
            Self::One(image) => Ok(*image),
            Self::Set(set) => {
                let images: Vec<_> = set.list.images().collect();
                bail!("{} is a set of disks: name one of {}", set.list.name, images.join(", "))
            }
        }
    }
}

/// Where the files of an image come from.
struct Source<'a> {
    folder: &'a Location,
    fetcher: &'a Fetcher,
    screen: &'a Screen,
}

impl Source<'_> {
    async fn image(&self, checksums: Vec<u8>, listed: &Checksums) -> anyhow::Result<Image> {
        let names = listed.iter().map(|(name, _)| name).filter(|name| is_small_file(name));
        let fetched: Vec<_> = stream::iter(names)
            .map(async |name| anyhow::Ok((name, self.bytes(name).await?)))
            .buffer_unordered(FILES_AT_A_TIME)
            .try_collect()
            .await?;
        let mut files = Files::served();
        fetched.into_iter().for_each(|(name, bytes)| files.add(name, bytes));
        files.add(CHECKSUM_FILE, checksums);
        let image = directory::Image::open(&files).and_then(directory::Image::check);
        Ok(Image::Directory(Box::new(image.with_context(|| self.folder.to_string())?)))
    }

    async fn bytes(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let mut nag = Nag::new(self.screen);
        let tell = |error: &FetchError, _| nag.say(format!("image: {error}: trying again"));
        Ok(self.fetcher.get_patiently(&self.folder.file(name), Patience::DEFAULT, tell).await?)
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
