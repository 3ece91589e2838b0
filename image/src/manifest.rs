//! `manifest.toml`: what an image directory holds. Sizes and offsets are bytes unless named otherwise.
//!
//! ```text
//! NAME/manifest.toml      this file
//! NAME/layout.sfdisk      partition table, as `sfdisk --dump` prints it      (disk images with a table)
//! NAME/boot-code.bin      first 440 bytes of sector 0, or all 512 of it      (where there is boot code, or a boot flag
//!                         or partitions in the protective MBR of a GPT)
//! NAME/hidden.bin         sectors between sector 0 and the first partition   (images of format 1, and imported ones)
//! NAME/sda1.torrent       one per partition with content; `disk.torrent` for a raw disk
//! NAME/unpartitioned.torrent
//!                         what lies outside all partitions, as a partition's (where there is anything but zeros)
//! NAME/sda1.zst           its data in frames of zstd                         (store "zstd")
//! NAME/sda1/0000…         one file per run of used blocks, named by its offset in 32 hex digits (store "files")
//! NAME/disk               the data of a raw image, one (sparse) file         (store "files")
//! NAME/SHA256SUMS         of all of the above but the data, whose hashes are in the torrents
//! ```
//!
//! `docs/image-format.md` says all of it byte by byte.

use ezio_contract::Arch;
use serde::{Deserialize, Serialize};

use crate::layout::{Layout, Table};

mod check;
mod lvm;

pub use check::{ManifestError, RAW_DISK};
pub use lvm::{LvmInfo, VolumeInfo};

/// File name of the manifest inside an image directory.
pub const MANIFEST_FILE: &str = "manifest.toml";
/// File name of the partition table dump.
pub const LAYOUT_FILE: &str = "layout.sfdisk";
/// File name of the boot code.
pub const BOOT_CODE_FILE: &str = "boot-code.bin";
/// File name of the hidden sectors.
pub const HIDDEN_FILE: &str = "hidden.bin";
/// File name of the checksums, in the format of `sha256sum`.
pub const CHECKSUM_FILE: &str = "SHA256SUMS";
/// Newest version of the format; older ones are read too.
pub const FORMAT_VERSION: u32 = 3;
/// Name of what lies outside all partitions. It stands among them, with the number 0; its offsets are the disk's.
pub const UNPARTITIONED: &str = "unpartitioned";

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the image; also the name of its directory on the server (`SET/DISK` for a disk of a set).
    pub name: String,
    /// When it was captured, RFC 3339 in UTC.
    pub created: String,
    /// Program and version that wrote it.
    pub builder: String,
    /// What of the source is not kept, or not as people may expect: a sentence each, for people.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Architecture of the machines that it is for; none: of any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arch: Option<Arch>,
    /// How the data of its partitions is kept.
    #[serde(skip_serializing_if = "Store::is_files", default)]
    pub store: Store,
    /// Where it was captured from.
    pub source: Source,
    /// The disk; none for an image of a single partition.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disk: Option<DiskInfo>,
    /// Partitions in order of their number, then what lies outside of them ([`UNPARTITIONED`]); for a raw disk one, named
    /// `disk`.
    #[serde(rename = "partition", default)]
    pub partitions: Vec<PartitionInfo>,
}

/// How the data of partitions is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// The files that the torrents name, which any client can seed: one a run of used blocks, or one in all. So do all
    /// images of formats 1 and 2.
    #[default]
    Files,
    /// One file of zstd frames a partition ([`packed_file_name`]).
    Zstd,
}

impl Store {
    fn is_files(&self) -> bool {
        *self == Self::Files
    }
}

/// Name of the file of frames that holds the data of a partition.
#[must_use]
pub fn packed_file_name(partition: &str) -> String {
    format!("{partition}{PACKED}")
}

/// End of its name.
const PACKED: &str = ".zst";

/// Where an image came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Whole disk, single partition, or a raw copy of either.
    pub kind: SourceKind,
    /// Path that was captured, for people.
    pub path: String,
    /// Model of the disk, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Serial number of the disk, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub serial: Option<String>,
}

/// What was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A disk with a partition table, or with a file system and no table.
    Disk,
    /// One partition.
    Partition,
    /// A disk copied whole, with whatever is on it.
    RawDisk,
}

/// The disk of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskInfo {
    /// Size of the source disk.
    pub size: u64,
    /// Logical sector size, 512 or 4096.
    pub sector_size: u32,
    /// Kind of partition table.
    pub label: DiskLabel,
    /// Smallest target disk that can hold the image.
    pub minimum_size: u64,
}

/// Kind of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskLabel {
    /// GUID partition table.
    Gpt,
    /// MBR, with or without an extended partition.
    Dos,
    /// No table: a raw disk, or one file system on all of it.
    None,
}

impl DiskLabel {
    /// That of a table.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        match layout.table() {
            Table::Gpt { .. } => Self::Gpt,
            Table::Dos { .. } => Self::Dos,
        }
    }
}

/// One partition of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionInfo {
    /// Name in the image ("sda1", or "disk"); also of its torrent and its data.
    pub name: String,
    /// Number in the partition table, from 1; 0 for a disk without a table, an image of a single partition, or
    /// [`UNPARTITIONED`].
    pub number: u32,
    /// Offset on the source disk; 0 for a disk without a table or an image of a single partition.
    pub offset: u64,
    /// Size.
    pub size: u64,
    /// File system type as blkid names it ("ext4", "vfat", "ntfs", "swap"); none where unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filesystem: Option<String>,
    /// Bytes that the file system spans, used or not: a partition that it goes to has at least as many. None where
    /// unknown; then it is as long as the partition.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filesystem_size: Option<u64>,
    /// Bytes of the smallest block that the file system is read and written by: disks with longer sectors cannot hold it.
    /// None where unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block_size: Option<u64>,
    /// File system UUID as blkid prints it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uuid: Option<String>,
    /// File system label.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// How its content is kept.
    pub content: Content,
    /// What is in it, where it is a physical volume of LVM that could be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lvm: Option<LvmInfo>,
}

/// How the content of a partition is kept and restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// Runs of used blocks in a multi-file torrent.
    Blocks {
        /// SHA-1 of the torrent's info dictionary, in hex.
        info_hash: String,
        /// Bytes in use.
        used: u64,
    },
    /// Every byte, in a single-file torrent.
    Raw {
        /// SHA-1 of the torrent's info dictionary, in hex.
        info_hash: String,
    },
    /// Linux swap: recreated with its UUID and label.
    Swap,
    /// Nothing to restore (an extended partition, an empty one).
    Empty,
}

impl PartitionInfo {
    /// Is it what lies outside all partitions?
    #[must_use]
    pub fn is_unpartitioned(&self) -> bool {
        self.number == 0 && self.name == UNPARTITIONED
    }

    /// Does a torrent carry its content?
    #[must_use]
    pub fn has_torrent(&self) -> bool {
        self.torrent_info_hash().is_some()
    }

    /// Info hash of its torrent in hex, where it has one.
    #[must_use]
    pub fn torrent_info_hash(&self) -> Option<&str> {
        match &self.content {
            Content::Blocks { info_hash, .. } | Content::Raw { info_hash } => Some(info_hash),
            Content::Swap | Content::Empty => None,
        }
    }

    /// Bytes that a partition must have to hold it.
    #[must_use]
    pub fn needed(&self) -> u64 {
        match self.content {
            // All of it is written, whatever the file system spans of it.
            Content::Raw { .. } => self.size,
            _ => self.filesystem_size.unwrap_or(self.size),
        }
    }

    /// File name of its torrent inside the image directory.
    #[must_use]
    pub fn torrent_file(&self) -> String {
        format!("{}.torrent", self.name)
    }
}
