//! Reading, checking and writing `manifest.toml`.

use std::collections::HashSet;

use thiserror::Error;

use super::{
    BOOT_CODE_FILE, CHECKSUM_FILE, Content, DiskLabel, FORMAT_VERSION, HIDDEN_FILE, LAYOUT_FILE,
    MANIFEST_FILE, Manifest, PACKED, PartitionInfo, SourceKind,
};
use crate::names::{is_image_name, is_safe_name};

/// Name of the only partition of a raw disk.
pub const RAW_DISK: &str = "disk";

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Not TOML, or not with the keys of a manifest.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Written by a later version.
    #[error("has format {found}; this program knows formats up to {FORMAT_VERSION}")]
    Format {
        /// What it says.
        found: u32,
    },
    /// Something that cannot be.
    #[error("{0}")]
    Content(String),
    /// Something about a partition that cannot be.
    #[error("partition {name}: {what}")]
    Partition {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
}

impl Manifest {
    /// Reads a manifest; [`Manifest::problems`] checks it.
    ///
    /// # Errors
    /// It is none, or one of a format that this program does not know.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|e| {
            let error = crate::conf::ConfError::from_toml(text, &e);
            ManifestError::Syntax { line: error.line, column: error.column, message: error.message }
        })?;
        match manifest.format {
            1..=FORMAT_VERSION => Ok(manifest),
            found => Err(ManifestError::Format { found }),
        }
    }

    /// The manifest as TOML, which [`Manifest::parse`] reads as the same manifest.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is text, a number below 2^63 (checked), a list or a table.
        toml::to_string(self).expect("a manifest consists of what TOML can say")
    }

    /// Everything that is wrong in itself and that the types do not say.
    #[must_use]
    pub fn problems(&self) -> Vec<ManifestError> {
        let mut problems = Vec::new();
        if !is_image_name(&self.name) {
            problems.push(content(format!("the name {:?} cannot be a directory on a server", self.name)));
        }
        let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
        for p in &self.partitions {
            check_partition(p, &mut problems);
            if !names.insert(&p.name) {
                problems.push(refuse(p, "is there twice"));
            }
            if p.number > 0 && !numbers.insert(p.number) {
                problems.push(refuse(p, "has the number of another one"));
            }
        }
        self.check_shape(&mut problems);
        self.check_places(&mut problems);
        problems
    }

    fn check_shape(&self, problems: &mut Vec<ManifestError>) {
        let single = match &self.partitions[..] {
            [one] if one.number == 0 && one.offset == 0 => Some(one),
            _ => None,
        };
        match (self.source.kind, &self.disk) {
            (SourceKind::Disk, Some(disk)) if disk.label != DiskLabel::None => {
                let unnumbered = self.partitions.iter().filter(|p| p.number == 0 && !p.is_unpartitioned());
                problems.extend(unnumbered.map(|p| refuse(p, "has no number in the partition table")));
            }
            (SourceKind::Disk, Some(_)) if single.is_some_and(|p| p.content != Content::Empty) => {}
            (SourceKind::Disk, Some(_)) => problems.push(content(
                "a disk without a partition table has one part, number 0 at offset 0, with content",
            )),
            (SourceKind::Disk, None) => problems.push(content("the image of a disk does not say its size")),
            (SourceKind::RawDisk, Some(disk)) if disk.label == DiskLabel::None => {
                let good =
                    single.is_some_and(|p| p.name == RAW_DISK && matches!(p.content, Content::Raw { .. }));
                if !good {
                    problems.push(content("a raw disk has one raw part with the name \"disk\""));
                }
            }
            (SourceKind::RawDisk, _) => {
                problems.push(content("a raw disk has a size, and the label \"none\""))
            }
            (SourceKind::Partition, None) if single.is_some() => {}
            (SourceKind::Partition, _) => problems
                .push(content("an image of one partition has one part, number 0 at offset 0, and no disk")),
        }
    }

    fn check_places(&self, problems: &mut Vec<ManifestError>) {
        let Some(disk) = &self.disk else { return };
        if !matches!(disk.sector_size, 512 | 4096) {
            let size = disk.sector_size;
            problems.push(content(format!("sectors of {size} bytes: only 512 and 4096 are in use")));
        }
        if disk.size > i64::MAX as u64 || disk.minimum_size > disk.size {
            problems.push(content(format!("a disk of {} bytes that needs {}", disk.size, disk.minimum_size)));
        }
        for p in self.partitions.iter().filter(|p| end(p) > disk.size) {
            let what = format!("ends at byte {}, behind the disk's end at {}", end(p), disk.size);
            problems.push(refuse(p, what));
        }
        // An extended partition has no content, and the logical ones lie inside it.
        let is_filled = |p: &&PartitionInfo| p.content != Content::Empty && !p.is_unpartitioned();
        let mut filled: Vec<_> = self.partitions.iter().filter(is_filled).collect();
        filled.sort_by_key(|p| p.offset);
        for pair in filled.windows(2).filter(|pair| end(pair[0]) > pair[1].offset) {
            let what = format!("overlaps {} at byte {}", pair[0].name, pair[1].offset);
            problems.push(refuse(pair[1], what));
        }
    }
}

fn end(partition: &PartitionInfo) -> u64 {
    partition.offset.saturating_add(partition.size)
}

fn content(what: impl Into<String>) -> ManifestError {
    ManifestError::Content(what.into())
}

fn refuse(partition: &PartitionInfo, what: impl Into<String>) -> ManifestError {
    ManifestError::Partition { name: partition.name.clone(), what: what.into() }
}

fn check_partition(p: &PartitionInfo, problems: &mut Vec<ManifestError>) {
    let taken = [MANIFEST_FILE, LAYOUT_FILE, BOOT_CODE_FILE, HIDDEN_FILE, CHECKSUM_FILE];
    let ends = [".torrent", PACKED].iter().any(|end| p.name.ends_with(end));
    if !is_safe_name(&p.name) || ends || taken.contains(&p.name.as_str()) {
        problems.push(ManifestError::Partition {
            name: format!("{:?}", p.name),
            what: "cannot be the name of a file in the image".to_owned(),
        });
    }
    if p.size == 0 || p.offset.checked_add(p.size).is_none_or(|end| end > i64::MAX as u64) {
        problems.push(refuse(p, format!("cannot lie at byte {} and have {} bytes", p.offset, p.size)));
    }
    if let Some(hash) = p.torrent_info_hash()
        && !(hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        problems.push(refuse(p, format!("info_hash {hash:?} is not 40 hexadecimal digits")));
    }
    if let Content::Blocks { used, .. } = p.content
        && (used == 0 || used > p.size)
    {
        problems.push(refuse(p, format!("uses {used} of {} bytes", p.size)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Store;

    const DISK: &str = r#"
format = 1
name = "golden"
created = "2026-01-02T03:04:05Z"
builder = "image-builder 0.1.0"
notes = ["sda1: copied whole"]
arch = "arm64"
[source]
kind = "disk"
path = "/dev/sda"
[disk]
size = 8589934592
sector_size = 512
label = "gpt"
minimum_size = 8000000000
[[partition]]
name = "sda1"
number = 1
offset = 1048576
size = 4194304
filesystem = "ext4"
filesystem_size = 4194304
block_size = 4096
uuid = "3c1b7ad1-0c39-4e0a-a4c6-5d5a1e1f0b1d"
[partition.content]
kind = "blocks"
info_hash = "0123456789abcdef0123456789abcdef01234567"
used = 1000000
[[partition]]
name = "sda2"
number = 2
offset = 5242880
size = 1048576
[partition.content]
kind = "swap"
"#;

    #[test]
    fn a_manifest_survives_writing_and_reading() {
        let manifest = Manifest::parse(DISK).unwrap();
        assert_eq!(manifest.problems(), []);
        assert_eq!(Manifest::parse(&manifest.to_toml()).unwrap(), manifest);
        let packed = Manifest { store: Store::Zstd, ..manifest };
        assert_eq!(Manifest::parse(&packed.to_toml()).unwrap(), packed);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to, words) in [
            ("format = 1", "format = 4", "format 4"),
            ("format = 1", "format = \"x\"", "line 2, column 10"),
            ("arch", "store = \"tar\"\narch", "unknown variant `tar`, expected `files` or `zstd`"),
            ("arm64", "sparc", "unknown variant `sparc`, expected `amd64` or `arm64`"),
            ("\"golden\"", "\"../golden\"", "directory on a server"),
            ("name = \"sda1\"", "name = \"a/b\"", "name of a file"),
            ("name = \"sda1\"", "name = \"manifest.toml\"", "name of a file"),
            ("name = \"sda1\"", "name = \"sda2.zst\"", "name of a file"),
            ("name = \"sda1\"", "name = \"sda2\"", "twice"),
            ("number = 1", "number = 2", "number of another"),
            ("number = 1", "number = 0", "no number"),
            ("size = 4194304", "size = 4194305", "sda2: overlaps sda1 at byte 5242880"),
            ("size = 1048576", "size = 9589934592", "behind the disk's end"),
            ("size = 1048576", "size = 0", "cannot lie"),
            ("01234567\"", "0123456g\"", "40 hexadecimal"),
            ("used = 1000000", "used = 5000000", "uses 5000000"),
            ("label = \"gpt\"", "label = \"none\"", "without a partition table has one part"),
            ("sector_size = 512", "sector_size = 520", "520"),
            ("minimum_size = 8000000000", "minimum_size = 8600000000", "needs"),
            ("kind = \"disk\"", "kind = \"partition\"", "one part"),
            ("kind = \"disk\"", "kind = \"raw-disk\"", "raw disk"),
            ("kind = \"disk\"", "kind = \"tape\"", "`tape`"),
            ("path = ", "paths = ", "unknown field `paths`"),
        ] {
            let text = DISK.replacen(from, to, 1);
            assert_ne!(text, DISK, "{from}");
            let problems = match Manifest::parse(&text) {
                Ok(manifest) => manifest.problems(),
                Err(error) => vec![error],
            };
            assert!(problems.iter().any(|p| p.to_string().contains(words)), "{to}: {problems:?}");
        }
    }
}
