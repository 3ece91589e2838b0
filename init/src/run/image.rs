//! An image as the server offers it: fetched whole but for the payload; what is damaged or missing on
//! the way is refused here, what does not fit together by the plan.

use std::sync::Arc;

use anyhow::{Context, bail};
use ezio_contract::Arch;
use ezio_image::checksums::Checksums;
use ezio_image::conf::Grow;
use ezio_image::layout::{Layout, NewIds};
use ezio_image::manifest::{
    BOOT_CODE_FILE, CHECKSUM_FILE, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE, Manifest, PartitionInfo,
};
use ezio_image::metainfo::Metainfo;
use ezio_image::plan::{ImageParts, Plan, PlanError, Room};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::fetch::location::Location;
use crate::fetch::signature::PublicKey;
use crate::fetch::torrent;
use crate::fetch::{FetchError, Fetcher, Patience};
use crate::screen::Screen;
use crate::screen::nag::Nag;

/// Each takes a round trip, and longer where a server is busy with a whole room; many at a time would only wait for each
/// other.
const TORRENTS_AT_A_TIME: usize = 4;

/// An image, fetched.
#[derive(Debug, Clone)]
pub(crate) enum Image {
    /// A directory with a manifest.
    Directory(Box<ImageParts>),
    /// One torrent and nothing else.
    Torrent(Arc<Metainfo>),
}

impl Image {
    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Directory(parts) => &parts.manifest.name,
            Self::Torrent(metainfo) => metainfo.name(),
        }
    }

    /// Refuses an image that would not start on this machine.
    pub(crate) fn check_architecture(&self, machine: Option<Arch>) -> anyhow::Result<()> {
        let Self::Directory(parts) = self else { return Ok(()) };
        match (parts.manifest.arch, machine) {
            (Some(image), Some(machine)) if image != machine => bail!(
                "image {:?} is for machines of {image}, and this is one of {machine}: it would not start here; ezio.conf has \
                 to name another image for it",
                parts.manifest.name
            ),
            _ => Ok(()),
        }
    }

    /// Smallest disk that can hold it, in bytes.
    pub(crate) fn needed_for_disk(&self) -> anyhow::Result<u64> {
        match self {
            Self::Directory(parts) => {
                let image = parts.manifest.name.clone();
                Ok(parts.needed_for_disk().ok_or(PlanError::NotADisk { image })?)
            }
            Self::Torrent(metainfo) if metainfo.is_raw() => Ok(metainfo.total_length()),
            Self::Torrent(metainfo) => Err(PlanError::NotADisk { image: metainfo.name().to_owned() }.into()),
        }
    }

    /// Smallest partition that can hold (this partition of) it, in bytes.
    pub(crate) fn needed_for_partition(&self, wanted: Option<&str>) -> anyhow::Result<u64> {
        match self {
            Self::Directory(parts) => Ok(parts.needed_for_partition(wanted)?),
            Self::Torrent(metainfo) => Ok(metainfo.extents()?.target_end()),
        }
    }

    /// What to do to a disk of this size.
    pub(crate) fn plan_for_disk(&self, size: u64, sector_size: u32, grow: &Grow) -> Result<Plan, PlanError> {
        match self {
            Self::Directory(parts) => parts.plan_for_disk(size, sector_size, grow),
            Self::Torrent(metainfo) => Plan::for_torrent(metainfo.clone(), Room { size, start: None }, grow),
        }
    }

    /// The image with new ids in its partition table, and which took the place of which.
    pub(crate) fn with_new_table_ids(&self) -> Result<(Self, NewIds), PlanError> {
        match self {
            Self::Directory(parts) => {
                let (parts, ids) = parts.with_new_table_ids(uuid::Uuid::new_v4)?;
                Ok((Self::Directory(Box::new(parts)), ids))
            }
            Self::Torrent(metainfo) => Err(PlanError::NoNewIds {
                image: metainfo.name().to_owned(),
                why: "there is no partition table of its own in it".to_owned(),
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
            Self::Directory(parts) => parts.plan_for_partition(wanted, room, grow),
            Self::Torrent(metainfo) => Plan::for_torrent(metainfo.clone(), room, grow),
        }
    }

    /// Fetches an image directory.
    pub(crate) async fn fetch(
        folder: &Location,
        fetcher: &Fetcher,
        key: Option<&PublicKey>,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let mut source = Source { folder, fetcher, screen, checksums: Checksums::default() };
        let checksums = source.bytes(CHECKSUM_FILE).await?;
        if let Some(key) = key {
            key.check(&folder.file(CHECKSUM_FILE), &checksums, fetcher).await?;
        }
        let text = String::from_utf8_lossy(&checksums);
        source.checksums = Checksums::parse(&text).with_context(|| folder.file(CHECKSUM_FILE).to_string())?;
        let manifest = Manifest::parse(&source.text(MANIFEST_FILE).await?)
            .with_context(|| folder.file(MANIFEST_FILE).to_string())?;
        let layout = match source.has(LAYOUT_FILE) {
            true => Some(
                Layout::parse_sfdisk(&source.text(LAYOUT_FILE).await?)
                    .with_context(|| folder.file(LAYOUT_FILE).to_string())?,
            ),
            false => None,
        };
        let boot_code = source.optional(BOOT_CODE_FILE).await?;
        let hidden = source.optional(HIDDEN_FILE).await?;
        let torrents = manifest.partitions.iter().filter(|p| p.has_torrent());
        let metainfos = stream::iter(torrents)
            .map(async |info| anyhow::Ok((info.name.clone(), source.torrent(info).await?)))
            .buffer_unordered(TORRENTS_AT_A_TIME)
            .try_collect()
            .await?;
        Ok(Self::Directory(Box::new(ImageParts { manifest, layout, metainfos, boot_code, hidden })))
    }
}

/// Where the files of an image come from, and what they must be.
struct Source<'a> {
    folder: &'a Location,
    fetcher: &'a Fetcher,
    screen: &'a Screen,
    checksums: Checksums,
}

impl Source<'_> {
    /// Does the file belong to the image?
    fn has(&self, name: &str) -> bool {
        self.checksums.get(name).is_some()
    }

    /// A file whatever is in it.
    async fn bytes(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let mut nag = Nag::new(self.screen);
        let tell = |error: &FetchError, _| nag.say(format!("image: {error}: trying again"));
        Ok(self.fetcher.get_patiently(&self.folder.file(name), Patience::DEFAULT, tell).await?)
    }

    /// A file that is what the checksums say.
    async fn checked(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let location = self.folder.file(name);
        if !self.has(name) {
            bail!("{location} is not listed in {CHECKSUM_FILE}: this is no complete image");
        }
        let bytes = self.bytes(name).await?;
        if self.checksums.matches(name, &bytes) != Some(true) {
            bail!(
                "{location} is damaged: its {} bytes have another SHA-256 than {CHECKSUM_FILE} says",
                bytes.len()
            );
        }
        Ok(bytes)
    }

    /// Not by its checksum: the server puts its announce address in. Its hash is in the manifest.
    async fn torrent(&self, info: &PartitionInfo) -> anyhow::Result<Arc<Metainfo>> {
        let file = info.torrent_file();
        torrent::parse(&self.bytes(&file).await?, &self.folder.file(&file))
    }

    async fn optional(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.has(name) {
            true => Ok(Some(self.checked(name).await?)),
            false => Ok(None),
        }
    }

    async fn text(&self, name: &str) -> anyhow::Result<String> {
        let bytes = self.checked(name).await?;
        String::from_utf8(bytes).with_context(|| format!("{}: not text", self.folder.file(name)))
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
