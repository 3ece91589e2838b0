//! An image directory. [`Image::open`] reads its small files, [`Image::findings`] says everything that is wrong with it,
//! and only a [`CheckedImage`], with which nothing is, can be planned for a disk. Who shows, verifies, serves or deploys
//! an image judges it by this and nothing else; the data itself is held against the torrents by whoever reads it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::checksums::Checksums;
use crate::extents::ExtentMap;
use crate::layout::Layout;
use crate::manifest::{BOOT_CODE_FILE, CHECKSUM_FILE, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE, Manifest};
use crate::metainfo::{Metainfo, MetainfoError};

mod check;
mod files;

pub use files::{Files, is_small_file};

/// More findings than these are counted where they are told in one line.
const TOLD: usize = 4;

/// Everything that an image directory says, parsed, and not yet checked.
#[derive(Debug, Clone)]
pub struct Image {
    /// `manifest.toml`.
    pub manifest: Manifest,
    /// `layout.sfdisk`; images of disks with a table have it.
    pub layout: Option<Layout>,
    /// `PART.torrent`, by the partition's name in the manifest.
    pub torrents: BTreeMap<String, Torrent>,
    /// `boot-code.bin`.
    pub boot_code: Option<Vec<u8>>,
    /// `hidden.bin`.
    pub hidden: Option<Vec<u8>>,
    /// What was found wrong when it was opened.
    pub(crate) damage: Findings,
}

/// An image with which nothing is wrong.
#[derive(Debug, Clone)]
pub struct CheckedImage(Image);

/// A torrent, and where its bytes lie on the partition.
#[derive(Debug, Clone)]
pub struct Torrent {
    /// What it says.
    pub metainfo: Arc<Metainfo>,
    /// The runs of its content.
    pub extents: Arc<ExtentMap>,
}

/// What is wrong with an image: a sentence each, which begins with the name of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(Vec<String>);

impl Image {
    /// Reads what the files say. What cannot be read of them is told by [`Image::findings`].
    ///
    /// # Errors
    /// There is no manifest, or none that can be read.
    pub fn open(files: &Files) -> Result<Self, Findings> {
        let mut damage = Findings::default();
        check_sums(files, &mut damage);
        if files.get(MANIFEST_FILE).is_none() {
            damage.add(MANIFEST_FILE, "is missing: this is no image directory");
        }
        let Some(manifest) =
            read(files, MANIFEST_FILE, &mut damage, |bytes| Ok(Manifest::parse(text(bytes)?)?))
        else {
            return Err(damage);
        };
        let layout = read(files, LAYOUT_FILE, &mut damage, |bytes| Ok(Layout::parse_sfdisk(text(bytes)?)?));
        let mut torrents = BTreeMap::new();
        for partition in manifest.partitions.iter().filter(|p| p.has_torrent()) {
            let torrent = read(files, &partition.torrent_file(), &mut damage, Torrent::parse);
            torrents.extend(torrent.map(|torrent| (partition.name.clone(), torrent)));
        }
        let bytes = |name: &str| files.get(name).map(<[u8]>::to_vec);
        let (boot_code, hidden) = (bytes(BOOT_CODE_FILE), bytes(HIDDEN_FILE));
        Ok(Self { manifest, layout, torrents, boot_code, hidden, damage })
    }

    /// Everything that is wrong with it.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let mut findings = self.damage.clone();
        check::check(self, &mut findings);
        findings
    }

    /// The image, if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is.
    pub fn check(self) -> Result<CheckedImage, Findings> {
        let findings = self.findings();
        if findings.0.is_empty() { Ok(CheckedImage(self)) } else { Err(findings) }
    }
}

impl CheckedImage {
    /// The image with something changed so that nothing is wrong with it all the same.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Image)) -> Self {
        let mut image = self.0.clone();
        change(&mut image);
        Self(image)
    }
}

impl Deref for CheckedImage {
    type Target = Image;

    fn deref(&self) -> &Image {
        &self.0
    }
}

impl Torrent {
    fn parse(bytes: &[u8]) -> Result<Self, Box<dyn Error>> {
        Ok(Self::new(Arc::new(Metainfo::parse(bytes)?))?)
    }

    /// The torrent with this metainfo.
    ///
    /// # Errors
    /// Its runs do not fit together.
    pub fn new(metainfo: Arc<Metainfo>) -> Result<Self, MetainfoError> {
        let extents = Arc::new(metainfo.extents()?);
        Ok(Self { metainfo, extents })
    }

    /// The runs that are a file each; none where every byte is in one file.
    #[must_use]
    pub fn runs(&self) -> Option<&ExtentMap> {
        (!self.metainfo.is_raw()).then_some(&*self.extents)
    }
}

impl Findings {
    fn add(&mut self, file: &str, what: impl fmt::Display) {
        self.0.push(format!("{file}: {what}"));
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..self.0.len().min(TOLD)].join("; "))?;
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more (image-builder verify tells all)"),
        }
    }
}

impl Error for Findings {}

/// The small files against the checksums.
fn check_sums(files: &Files, damage: &mut Findings) {
    if files.get(CHECKSUM_FILE).is_none() {
        damage.add(CHECKSUM_FILE, "is missing");
    }
    let Some(sums) = read(files, CHECKSUM_FILE, damage, |bytes| Ok(Checksums::parse(text(bytes)?)?)) else {
        return;
    };
    for (name, bytes) in files.with_checksum() {
        match sums.matches(name, bytes) {
            Some(true) => {}
            Some(false) => {
                let length = bytes.len();
                let what =
                    format!("is damaged: its {length} bytes have another SHA-256 than {CHECKSUM_FILE} says");
                damage.add(name, what);
            }
            None => damage.add(name, format!("is not listed in {CHECKSUM_FILE}")),
        }
    }
    for (name, _) in sums.iter().filter(|(name, _)| is_small_file(name) && files.get(name).is_none()) {
        damage.add(name, format!("is missing, and {CHECKSUM_FILE} lists it"));
    }
}

/// What a file says; `None` where it is not there, or makes no sense.
fn read<T>(
    files: &Files,
    name: &str,
    damage: &mut Findings,
    parse: impl FnOnce(&[u8]) -> Result<T, Box<dyn Error>>,
) -> Option<T> {
    match parse(files.get(name)?) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            damage.add(name, with_causes(error.as_ref()));
            None
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Box<dyn Error>> {
    Ok(std::str::from_utf8(bytes)?)
}

/// An error with all its causes, in one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
pub(crate) mod test_image;
#[cfg(test)]
mod tests;
