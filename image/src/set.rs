//! An image of several disks of one machine is a set: a directory with an image directory for each disk, and a list of them.
//!
//! ```text
//! NAME/set.toml      this file
//! NAME/sda/…         image directory of a disk, whole in itself; its image is called NAME/sda
//! NAME/sdb/…         that of the next one
//! NAME/SHA256SUMS    of set.toml, and of the SHA256SUMS of each disk, which has those of all else
//! ```

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checksums::Checksums;
use crate::conf::{Bus, Orders, Target, Write};
use crate::manifest::CHECKSUM_FILE;
use crate::names::is_safe_name;

/// File name of the list inside the directory of a set.
pub const SET_FILE: &str = "set.toml";
/// Version of the list's format.
pub const SET_VERSION: u32 = 1;
/// Most disks of a set: sda to sdz.
pub const MAX_DISKS: usize = 26;

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSet {
    /// Version of the format.
    pub format: u32,
    /// Name of the set; also the name of its directory on the server.
    pub name: String,
    /// Program and version that wrote it.
    pub builder: String,
    /// The disks, in the order of the source machine.
    #[serde(rename = "disk")]
    pub disks: Vec<SetDisk>,
}

/// One disk of it. Its model, serial number and sizes are in the manifest of its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDisk {
    /// Name of its image directory, after the disk ("sda").
    pub name: String,
    /// How it was attached, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bus: Option<Bus>,
}

/// What ezio.conf says of one image does not say which of several.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{set} is a set of disks, and {order} takes one image: name one of {}", images.join(", "))]
pub struct OneImageOrder {
    set: String,
    order: &'static str,
    images: Vec<String>,
}

/// What is wrong with a set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}: {what}")]
pub struct SetError {
    /// Which file.
    pub file: String,
    /// A sentence.
    pub what: String,
}

impl SetError {
    fn new(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), what: what.into() }
    }
}

impl DiskSet {
    /// The list in a file, held against the checksums beside it.
    ///
    /// # Errors
    /// It is damaged, of a newer version, or makes no sense.
    pub fn open(list: &[u8], sums: &Checksums) -> Result<Self, SetError> {
        let refuse = |what: String| SetError::new(SET_FILE, what);
        check_sum(SET_FILE, list, sums)?;
        let text = std::str::from_utf8(list).map_err(|error| refuse(error.to_string()))?;
        let set: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        match set.problem() {
            Some(problem) => Err(refuse(problem)),
            None => Ok(set),
        }
    }

    /// As TOML, which [`DiskSet::open`] reads as the same list.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is text, a small number, or a list of tables.
        toml::to_string(self).expect("a list of disks consists of what TOML can say")
    }

    /// What is wrong in itself and that the types do not say.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.format != SET_VERSION {
            return Some(format!("format {} is unknown to this version", self.format));
        }
        if !is_safe_name(&self.name) {
            return Some(format!("the name {:?} cannot be a directory on a server", self.name));
        }
        if !(2..=MAX_DISKS).contains(&self.disks.len()) {
            return Some(format!("it has {} disks, not 2 to {MAX_DISKS}", self.disks.len()));
        }
        let mut names = HashSet::new();
        let bad = self.disks.iter().map(|disk| &disk.name).find(|name| {
            let taken = name.starts_with(CHECKSUM_FILE) || *name == SET_FILE || !names.insert(*name);
            taken || !is_safe_name(name)
        });
        bad.map(|name| format!("{name:?} cannot be the name of a disk, or is there twice"))
    }

    /// Whether these orders, of which one write is for this set, can be carried out by each of its images for itself.
    ///
    /// # Errors
    /// They say of one image what does not say which of several.
    pub fn check_orders(&self, write: &Write, orders: &Orders) -> Result<(), OneImageOrder> {
        let order = match &write.target {
            _ if orders.writes.len() > 1 => "[[disk]]",
            Target::WholeDisk { all: true } => "all = true",
            Target::Partition(_) => "a target that is a partition",
            Target::WholeDisk { all: false } => return Ok(()),
        };
        Err(OneImageOrder { set: self.name.clone(), order, images: self.images().collect() })
    }

    /// Names of its images, as ezio.conf has them: `NAME/sda`.
    pub fn images(&self) -> impl Iterator<Item = String> {
        self.disks.iter().map(|disk| image_name(&self.name, &disk.name))
    }
}

/// Name of the image of a disk of a set.
#[must_use]
pub fn image_name(set: &str, disk: &str) -> String {
    format!("{set}/{disk}")
}

/// Path, inside a set, of the checksums of a disk's image.
#[must_use]
pub fn sums_of(disk: &str) -> String {
    format!("{disk}/{CHECKSUM_FILE}")
}

/// Are these the bytes of a file that the checksums list?
///
/// # Errors
/// They are not, or it is not listed.
pub fn check_sum(file: &str, bytes: &[u8], sums: &Checksums) -> Result<(), SetError> {
    match sums.matches(file, bytes) {
        Some(true) => Ok(()),
        Some(false) => {
            let length = bytes.len();
            let what =
                format!("its {length} bytes have another SHA-256 than {CHECKSUM_FILE} of the set says");
            Err(SetError::new(file, what))
        }
        None => Err(SetError::new(file, format!("is not listed in {CHECKSUM_FILE} of the set"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &str = r#"format = 1
name = "lab"
builder = "image-builder 0.1.0"

[[disk]]
name = "nvme0n1"
bus = "nvme"

[[disk]]
name = "sda"
"#;

    fn open(list: &str) -> Result<DiskSet, SetError> {
        let mut sums = Checksums::default();
        sums.add(SET_FILE, list.as_bytes());
        DiskSet::open(list.as_bytes(), &sums)
    }

    #[test]
    fn a_list_survives_writing_and_reading() {
        let set = open(LIST).unwrap();
        assert_eq!(set.to_toml(), LIST);
        assert_eq!(set.images().collect::<Vec<_>>(), ["lab/nvme0n1", "lab/sda"]);
        assert_eq!((set.disks[0].bus, set.disks[1].bus), (Some(Bus::Nvme), None));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to, words) in [
            ("format = 1", "format = 2", "format 2"),
            ("\"lab\"", "\"../lab\"", "directory on a server"),
            ("\"sda\"", "\"nvme0n1\"", "twice"),
            ("\"sda\"", "\"set.toml\"", "name of a disk"),
            ("\"sda\"", "\"SHA256SUMS\"", "name of a disk"),
            ("\"sda\"", "\"a/b\"", "name of a disk"),
            ("\"nvme\"", "\"floppy\"", "floppy"),
            ("\n[[disk]]\nname = \"sda\"", "", "it has 1 disks"),
            ("builder", "built-by", "unknown field"),
        ] {
            let error = open(&LIST.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with("set.toml: ") && error.contains(words), "{to}: {error}");
        }
        let disks: String = (0..MAX_DISKS + 1).map(|n| format!("[[disk]]\nname = \"sd{n}\"\n")).collect();
        let many = LIST.split_once("[[").unwrap().0.to_owned() + &disks;
        assert!(open(&many).unwrap_err().to_string().contains("it has 27 disks"));
    }

    #[test]
    fn a_list_that_is_not_what_was_written_is_refused() {
        let mut sums = Checksums::default();
        assert!(DiskSet::open(LIST.as_bytes(), &sums).unwrap_err().to_string().contains("not listed"));
        sums.add(SET_FILE, b"another");
        assert!(DiskSet::open(LIST.as_bytes(), &sums).unwrap_err().to_string().contains("another SHA-256"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..LIST.len()) {
            let mut list = LIST.as_bytes().to_vec();
            list.splice(at..at, bytes);
            let mut sums = Checksums::default();
            sums.add(SET_FILE, &list);
            if let Ok(set) = DiskSet::open(&list, &sums) {
                prop_assert_eq!(open(&set.to_toml()), Ok(set));
            }
        }
    }
}
