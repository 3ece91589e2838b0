//! The partition table against the manifest: same partitions, and they fit the disk.

use std::fs;

use ezio_image::layout::{Layout, Table};
use ezio_image::manifest::{DiskInfo, DiskLabel, LAYOUT_FILE, SourceKind};

use super::Problems;
use crate::image_dir::ImageDir;

pub(super) fn check(image: &ImageDir, problems: &mut Problems) {
    let manifest = &image.manifest;
    let Some(disk) = &manifest.disk else {
        if manifest.source.kind != SourceKind::Partition {
            problems.add("manifest: the image of a disk does not say what disk".to_owned());
        }
        return;
    };
    if manifest.source.kind == SourceKind::Disk {
        match read(image) {
            Ok(layout) => check_against(&layout, disk, image, problems),
            Err(problem) => problems.add(problem),
        }
    }
}

fn read(image: &ImageDir) -> Result<Layout, String> {
    let text = fs::read_to_string(image.path.join(LAYOUT_FILE))
        .map_err(|e| format!("{LAYOUT_FILE}: cannot be read: {e}"))?;
    Layout::parse_sfdisk(&text).map_err(|e| format!("{LAYOUT_FILE}: {e}"))
}

fn check_against(layout: &Layout, disk: &DiskInfo, image: &ImageDir, problems: &mut Problems) {
    let label = match layout.table() {
        Table::Gpt { .. } => DiskLabel::Gpt,
        Table::Dos { .. } => DiskLabel::Dos,
    };
    if label != disk.label {
        problems.add(format!("{LAYOUT_FILE}: is of another kind than the manifest says"));
    }
    if layout.minimum_size() != disk.minimum_size {
        problems.add(format!(
            "{LAYOUT_FILE}: needs a disk of {} bytes, the manifest says {}",
            layout.minimum_size(),
            disk.minimum_size
        ));
    }
    if let Err(error) = layout.encode(disk.size, disk.sector_size) {
        problems.add(format!("{LAYOUT_FILE}: does not fit the disk of the manifest: {error}"));
    }
    let partitions: Vec<_> = image.manifest.partitions.iter().filter(|p| !p.is_unpartitioned()).collect();
    for entry in layout.partitions() {
        let range = layout.byte_range(entry);
        let number = entry.number;
        match partitions.iter().find(|p| p.number == number) {
            None => problems.add(format!("{LAYOUT_FILE}: partition {number} is not in the manifest")),
            Some(p) if p.offset != range.start || p.size != range.end - range.start => {
                problems
                    .add(format!("{LAYOUT_FILE}: partition {number} lies elsewhere than the manifest says"));
            }
            Some(_) => {}
        }
    }
    for partition in partitions.iter().filter(|p| layout.partition(p.number).is_none()) {
        problems.add(format!("manifest: partition {} is not in {LAYOUT_FILE}", partition.name));
    }
}
