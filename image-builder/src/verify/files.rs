//! The small files against `SHA256SUMS`.

use std::collections::BTreeMap;
use std::fs;

use ezio_image::manifest::{
    BOOT_CODE_FILE, CHECKSUM_FILE, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE, SourceKind,
};

use super::Problems;
use crate::checksums;
use crate::image_dir::ImageDir;

pub(super) fn check(image: &ImageDir, problems: &mut Problems) {
    let path = image.path.join(CHECKSUM_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return problems.add(format!("{CHECKSUM_FILE}: cannot be read: {error}")),
    };
    let mut sums = BTreeMap::new();
    for (i, line) in checksums::parse(&text).into_iter().enumerate() {
        match line {
            Some((_, name)) if name.contains('/') => {
                problems.add(format!("{CHECKSUM_FILE}: line {} leads elsewhere: {name:?}", i + 1));
            }
            Some((sum, name)) => drop(sums.insert(name, sum)),
            None => problems.add(format!("{CHECKSUM_FILE}: line {} is no checksum", i + 1)),
        }
    }
    for (name, sum) in &sums {
        match fs::read(image.path.join(name)) {
            Ok(content) if checksums::line(name, &content)[..64] == **sum => {}
            Ok(_) => problems.add(format!("{name}: its SHA-256 is not the one in {CHECKSUM_FILE}")),
            Err(error) => problems.add(format!("{name}: cannot be read: {error}")),
        }
    }
    for name in expected(image) {
        if !sums.contains_key(&name) {
            problems.add(format!("{name}: is not in {CHECKSUM_FILE}"));
        }
    }
}

/// Files that must have a checksum.
fn expected(image: &ImageDir) -> Vec<String> {
    let mut names = vec![MANIFEST_FILE.to_owned()];
    if image.manifest.source.kind == SourceKind::Disk {
        names.push(LAYOUT_FILE.to_owned());
    }
    // These need not be there; where they are, they are used.
    let there = [BOOT_CODE_FILE, HIDDEN_FILE].into_iter().filter(|name| image.path.join(name).exists());
    names.extend(there.map(str::to_owned));
    names.extend(image.manifest.partitions.iter().filter(|p| p.has_torrent()).map(|p| p.torrent_file()));
    names
}
