//! The initrd as an archive: cpio ("newc") under xz, the same bytes for the same content: entries
//! sorted, owned by root, without times, compressed by one thread.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType};
use liblzma::stream::{Check, Filters, LzmaOptions, PRESET_EXTREME, Stream};
use liblzma::write::XzEncoder;

/// xz's best level. Filters for machine code do harm: in modules, addresses are left to their relocations.
const XZ_PRESET: u32 = 9 | PRESET_EXTREME;
/// Longest match that LZMA looks for, in bytes: its limit.
const XZ_NICE_LENGTH: u32 = 273;
/// Bounds of the dictionary in bytes. It holds the whole archive, as long as the kernel finds the memory to unpack it.
const XZ_DICTIONARY: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 20;

/// What a path of the archive is.
#[derive(Debug)]
enum Node {
    Directory,
    File { content: Vec<u8>, mode: u32 },
    Symlink(String),
    CharDevice { major: u32, minor: u32 },
}

/// Content of an initrd, by path without a leading `/`. Parents come before what is in them because
/// the map sorts them so.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds a folder and its parents.
    pub(crate) fn directory(&mut self, path: &str) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::Directory);
    }

    /// Adds a file with permission bits `mode`.
    pub(crate) fn file(&mut self, path: &str, content: Vec<u8>, mode: u32) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::File { content, mode });
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::Symlink(target.to_owned()));
    }

    /// Adds a character device.
    pub(crate) fn char_device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), Node::CharDevice { major, minor });
    }

    fn parents(&mut self, path: &str) {
        for (i, _) in path.match_indices('/') {
            self.nodes.entry(path[..i].to_owned()).or_insert(Node::Directory);
        }
    }

    /// The archive, compressed.
    pub(crate) fn to_initrd(&self) -> Result<Vec<u8>> {
        // Not straight into the encoder: the end of each file would be flushed, and what comes then is compressed on its own.
        let mut cpio = Vec::new();
        self.write_cpio(&mut cpio).context("cannot put the initrd together")?;
        let mut encoder = XzEncoder::new_stream(Vec::new(), compressor(cpio.len())?);
        encoder.write_all(&cpio).context("cannot compress the initrd")?;
        encoder.finish().context("cannot finish compressing the initrd")
    }

    fn write_cpio(&self, out: &mut impl Write) -> std::io::Result<()> {
        for (number, (path, node)) in (1u32..).zip(&self.nodes) {
            let entry = Builder::new(path).ino(number);
            let (entry, content): (Builder, &[u8]) = match node {
                Node::Directory => {
                    (entry.mode(0o755).nlink(2).set_mode_file_type(ModeFileType::Directory), &[])
                }
                Node::File { content, mode } => {
                    (entry.mode(*mode).set_mode_file_type(ModeFileType::Regular), content)
                }
                Node::Symlink(target) => {
                    (entry.mode(0o777).set_mode_file_type(ModeFileType::Symlink), target.as_bytes())
                }
                Node::CharDevice { major, minor } => {
                    let entry = entry.mode(0o600).rdev_major(*major).rdev_minor(*minor);
                    (entry.set_mode_file_type(ModeFileType::Char), &[])
                }
            };
            let length = u32::try_from(content.len()).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
            let mut writer = entry.write(&mut *out, length);
            writer.write_all(content)?;
            writer.finish()?;
        }
        cpio::newc::trailer(out)?;
        Ok(())
    }
}

/// For so many bytes.
fn compressor(length: usize) -> Result<Stream> {
    let dictionary = (length as u64).clamp(*XZ_DICTIONARY.start(), *XZ_DICTIONARY.end());
    let mut options = LzmaOptions::new_preset(XZ_PRESET).context("cannot set up xz")?;
    options.dict_size(dictionary as u32).nice_len(XZ_NICE_LENGTH);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    // The kernel's decompressor knows no other check.
    Stream::new_stream_encoder(&filters, Check::Crc32).context("cannot set up xz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_have_in_common_is_packed_once() {
        // Xorshift: nothing repeats within it.
        let mut word: u64 = 0x9e37_79b9_7f4a_7c15;
        let noise = std::iter::repeat_with(|| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word as u8
        });
        let content: Vec<u8> = noise.take(64 << 10).collect();
        let packed = |names: &[&str]| {
            let mut archive = Archive::default();
            names.iter().for_each(|name| archive.file(name, content.clone(), 0o644));
            archive.to_initrd().unwrap().len()
        };
        let (one, three) = (packed(&["a"]), packed(&["a", "b/c", "d"]));
        assert!(three < one + 1024, "{one}, then {three} bytes");
    }
}
