//! The torrents against the manifest.

use std::collections::BTreeSet;

use ezio_image::manifest::{Content, PartitionInfo};
use ezio_image::metainfo::Metainfo;

use super::Problems;
use crate::image_dir::ImageDir;

/// Gives the torrents that can be read, by partition name.
pub(super) fn check(image: &ImageDir, problems: &mut Problems) -> Vec<(String, Metainfo)> {
    let mut torrents = Vec::new();
    let mut names = BTreeSet::new();
    for partition in &image.manifest.partitions {
        if !names.insert(&partition.name) {
            problems.add(format!("manifest: two partitions are named {}", partition.name));
        } else if partition.has_torrent() {
            match image.metainfo(partition) {
                Ok(metainfo) => {
                    check_one(partition, &metainfo, problems);
                    torrents.push((partition.name.clone(), metainfo));
                }
                Err(error) => problems.add(format!("{}: {error:#}", partition.torrent_file())),
            }
        }
    }
    torrents
}

fn check_one(partition: &PartitionInfo, metainfo: &Metainfo, problems: &mut Problems) {
    let file = partition.torrent_file();
    let mut must = |holds: bool, problem: String| {
        if !holds {
            problems.add(format!("{file}: {problem}"));
        }
    };
    let hash = metainfo.info_hash().as_string();
    let said = partition.torrent_info_hash().unwrap_or_default();
    must(hash == said, format!("its info hash is {hash}, the manifest says {said}"));
    must(metainfo.name() == partition.name, format!("it is named {:?}", metainfo.name()));
    must(metainfo.private(), "it is not private".to_owned());
    let length = metainfo.total_length();
    match &partition.content {
        Content::Blocks { used, .. } => {
            must(!metainfo.is_raw(), "it is a single file, the manifest says runs of blocks".to_owned());
            must(length == *used, format!("it holds {length} bytes, the manifest says {used}"));
        }
        _ => {
            must(metainfo.is_raw(), "it is no single file".to_owned());
            let size = partition.size;
            must(length == size, format!("it holds {length} bytes, the partition {size}"));
        }
    }
    match metainfo.extents() {
        Ok(extents) => {
            let (end, size) = (extents.target_end(), partition.size);
            must(end <= size, format!("its last run ends at byte {end} of a partition of {size} bytes"));
        }
        Err(error) => must(false, error.to_string()),
    }
}
