//! The small files of an image directory: all but the data.

use std::collections::BTreeMap;

use crate::manifest::{BOOT_CODE_FILE, CHECKSUM_FILE, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE};

/// The small files, by name.
#[derive(Debug, Default)]
pub struct Files {
    by_name: BTreeMap<String, Vec<u8>>,
    /// A server puts its announce address into torrents: these are not the bytes that the checksums are of.
    served: bool,
}

impl Files {
    /// Of a server, none of them yet.
    #[must_use]
    pub fn served() -> Self {
        Self { by_name: BTreeMap::new(), served: true }
    }

    /// Adds one.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.by_name.insert(name.to_owned(), bytes);
    }

    /// The bytes of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// All of them, by name.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, Vec<u8>> {
        self.by_name
    }

    /// Those that are what was captured, so that their checksums must fit.
    pub(super) fn with_checksum(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.by_name.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        all.filter(|(name, _)| *name != CHECKSUM_FILE && !(self.served && is_torrent(name)))
    }
}

fn is_torrent(name: &str) -> bool {
    name.ends_with(".torrent")
}

/// Is this the name of a small file of an image?
#[must_use]
pub fn is_small_file(name: &str) -> bool {
    [MANIFEST_FILE, LAYOUT_FILE, BOOT_CODE_FILE, HIDDEN_FILE, CHECKSUM_FILE].contains(&name)
        || is_torrent(name)
}
