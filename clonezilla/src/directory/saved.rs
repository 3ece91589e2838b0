//! Which files hold which partition, by their names: `sda1.ext4-ptcl-img.gz.aa`, `sda1.ext4-ptcl-img.gz.ab`, ….

use anyhow::{Result, bail};

use crate::stream::Compression;

/// How a partition was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// partclone's stream.
    Partclone,
    /// Byte for byte.
    Whole,
}

/// The files of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Name of the partition ("sda1").
    pub(crate) partition: String,
    /// The file system as Clonezilla named it ("ext4", "vfat", "dd").
    pub(crate) filesystem: String,
    pub(crate) form: Form,
    pub(crate) compression: Compression,
    /// In order.
    pub(crate) files: Vec<String>,
}

/// Groups file names by partition. The names are sorted.
///
/// # Errors
/// A file of a partition that was split is missing.
pub(super) fn find(names: &[String]) -> Result<Vec<Saved>> {
    let mut found: Vec<Saved> = Vec::new();
    let mut previous = String::new();
    for name in names {
        let Some(file) = parse(name) else { continue };
        let volume = file.volume.unwrap_or_default();
        match found.iter_mut().find(|saved| saved.partition == file.partition) {
            Some(saved) if saved.form == file.form && saved.compression == file.compression => {
                if !follows(&previous, volume) {
                    bail!("before {name} a file is missing (the one before is {})", saved.files.join(", "));
                }
                saved.files.push(name.clone());
            }
            Some(saved) => bail!("{name} and {} hold the same partition", saved.files.join(", ")),
            None => {
                if !volume.bytes().all(|b| b == b'a') {
                    bail!("{name} is there, and the files before it are not");
                }
                found.push(Saved {
                    partition: file.partition.to_owned(),
                    filesystem: file.filesystem.to_owned(),
                    form: file.form,
                    compression: file.compression,
                    files: vec![name.clone()],
                });
            }
        }
        volume.clone_into(&mut previous);
    }
    Ok(found)
}

struct FileName<'a> {
    partition: &'a str,
    filesystem: &'a str,
    form: Form,
    compression: Compression,
    volume: Option<&'a str>,
}

fn parse(name: &str) -> Option<FileName<'_>> {
    let (partition, filesystem, rest) = match (name.split_once("-ptcl-img"), name.split_once(".dd-img")) {
        (Some((head, rest)), _) => {
            let (partition, filesystem) = head.rsplit_once('.')?;
            (partition, filesystem, rest)
        }
        (None, Some((partition, rest))) => (partition, "dd", rest),
        (None, None) => return None,
    };
    let mut words = rest.split('.').skip(1).peekable();
    // Images of old versions tell no compression: that was gzip.
    let compression = words.peek().and_then(|word| Compression::of_suffix(word));
    if compression.is_some() {
        words.next();
    }
    let volume = words.next();
    let lower = volume.is_none_or(|v| v.len() >= 2 && v.bytes().all(|b| b.is_ascii_lowercase()));
    let form = if filesystem == "dd" { Form::Whole } else { Form::Partclone };
    let compression = compression.unwrap_or(Compression::Gzip);
    (lower && words.next().is_none()).then_some(FileName { partition, filesystem, form, compression, volume })
}

/// Is this the name that `split` gives next: `aa`, `ab`, …, `az`, `ba`, …?
fn follows(before: &str, name: &str) -> bool {
    let mut next = before.as_bytes().to_vec();
    for letter in next.iter_mut().rev() {
        if *letter < b'z' {
            *letter += 1;
            return next == name.as_bytes();
        }
        *letter = b'a';
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn files_are_grouped_by_partition() {
        let list = names(&[
            "Info-dmi.txt",
            "nvme0n1p2.ntfs-ptcl-img.zst",
            "sda-pt.sf",
            "sda1.ext4-ptcl-img.gz.aa",
            "sda1.ext4-ptcl-img.gz.ab",
            "sda2.dd-ptcl-img.uncomp.aa",
            "sda3.dd-img.aa",
            "vg-root.xfs-ptcl-img.lz4.aa",
        ]);
        let found = find(&list).unwrap();
        let short: Vec<_> =
            found.iter().map(|s| (s.partition.as_str(), s.form, s.compression, s.files.len())).collect();
        assert_eq!(
            short,
            [
                ("nvme0n1p2", Form::Partclone, Compression::Zstd, 1),
                ("sda1", Form::Partclone, Compression::Gzip, 2),
                ("sda2", Form::Whole, Compression::None, 1),
                ("sda3", Form::Whole, Compression::Gzip, 1),
                ("vg-root", Form::Partclone, Compression::Lz4, 1),
            ]
        );
        assert_eq!(found[0].filesystem, "ntfs");
    }

    #[test]
    fn a_file_that_is_missing_is_told() {
        for (list, words) in [
            (["sda1.ext4-ptcl-img.gz.aa", "sda1.ext4-ptcl-img.gz.ac"], "before sda1.ext4-ptcl-img.gz.ac"),
            (["sda1.ext4-ptcl-img.gz.ab", "sda1.ext4-ptcl-img.gz.ac"], "files before it are not"),
            (["sda1.ext4-ptcl-img.gz.aa", "sda1.ext4-ptcl-img.zst.aa"], "hold the same partition"),
        ] {
            assert!(find(&names(&list)).unwrap_err().to_string().contains(words), "{words}");
        }
    }

    #[test]
    fn volumes_follow_as_split_names_them() {
        for (before, name) in [("aa", "ab"), ("az", "ba"), ("aaz", "aba")] {
            assert!(follows(before, name), "{before} {name}");
        }
        for (before, name) in [("aa", "aa"), ("aa", "ac"), ("zz", "aa"), ("", "ab"), ("", "")] {
            assert!(!follows(before, name), "{before} {name}");
        }
    }
}
