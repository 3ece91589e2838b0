//! What must hold between the parts of an image.

use super::{Findings, Image, Torrent, with_causes};
use crate::layout::{Layout, Partition, Table};
use crate::manifest::{
    Content, DiskInfo, DiskLabel, HIDDEN_FILE, LAYOUT_FILE, MANIFEST_FILE, PartitionInfo, SourceKind,
    UNPARTITIONED,
};
use crate::swap;

pub(super) fn check(image: &Image, findings: &mut Findings) {
    for problem in image.manifest.problems() {
        findings.add(MANIFEST_FILE, problem);
    }
    for partition in &image.manifest.partitions {
        match &partition.content {
            Content::Blocks { .. } | Content::Raw { .. } => check_torrent(image, partition, findings),
            Content::Swap => {
                let made =
                    swap::signature(partition.size, partition.uuid.as_deref(), partition.label.as_deref());
                if let Err(error) = made {
                    findings.add(MANIFEST_FILE, format!("partition {}: {error}", partition.name));
                }
            }
            Content::Empty => {}
        }
    }
    let disk = image.manifest.disk.as_ref().filter(|disk| disk.label != DiskLabel::None);
    if let (SourceKind::Disk, Some(disk)) = (image.manifest.source.kind, disk) {
        match &image.layout {
            Some(layout) => {
                check_disk(layout, disk, findings);
                check_partitions(layout, &image.manifest.partitions, findings);
                check_hidden(layout, image.hidden.as_deref().unwrap_or_default(), findings);
                check_unpartitioned(layout, image, findings);
            }
            // One that makes no sense was told when it was read.
            None if image.damage.iter().any(|found| found.starts_with(LAYOUT_FILE)) => {}
            None => {
                findings.add(LAYOUT_FILE, "is missing: the manifest says that there is a partition table")
            }
        }
    }
}

fn check_torrent(image: &Image, partition: &PartitionInfo, findings: &mut Findings) {
    let file = partition.torrent_file();
    let Some(Torrent { metainfo, extents }) = image.torrents.get(&partition.name) else {
        if !image.damage.iter().any(|found| found.starts_with(&file)) {
            findings.add(&file, "is missing");
        }
        return;
    };
    let mut must = |holds: bool, problem: String| {
        if !holds {
            findings.add(&file, problem);
        }
    };
    let hash = metainfo.info_hash().as_string();
    let said = partition.torrent_info_hash().unwrap_or_default();
    must(hash.eq_ignore_ascii_case(said), format!("its info hash is {hash}, the manifest says {said}"));
    must(metainfo.name() == partition.name, format!("it is named {:?}", metainfo.name()));
    must(metainfo.private(), "it is not private".to_owned());
    let (length, end, size) = (metainfo.total_length(), extents.target_end(), partition.size);
    match &partition.content {
        Content::Blocks { used, .. } => {
            must(!metainfo.is_raw(), "it is a single file, the manifest says runs of blocks".to_owned());
            must(length == *used, format!("it holds {length} bytes, the manifest says {used}"));
            must(end <= size, format!("its last run ends at byte {end} of a partition of {size} bytes"));
        }
        _ => {
            must(metainfo.is_raw(), "it is no single file".to_owned());
            must(length == size, format!("it holds {length} bytes, the partition {size}"));
        }
    }
}

/// The table against the disk that it is for.
fn check_disk(layout: &Layout, disk: &DiskInfo, findings: &mut Findings) {
    if DiskLabel::of(layout) != disk.label {
        findings.add(LAYOUT_FILE, "is of another kind than the manifest says");
    }
    if layout.minimum_size() > disk.minimum_size {
        let (needed, said) = (layout.minimum_size(), disk.minimum_size);
        findings.add(LAYOUT_FILE, format!("needs a disk of {needed} bytes, the manifest says {said}"));
    }
    if let Err(error) = layout.encode(disk.size, disk.sector_size) {
        let error = with_causes(&error);
        findings.add(LAYOUT_FILE, format!("does not fit the disk of the manifest: {error}"));
    }
}

/// The table and the manifest name the same partitions at the same places.
fn check_partitions(layout: &Layout, partitions: &[PartitionInfo], findings: &mut Findings) {
    for info in partitions.iter().filter(|info| !info.is_unpartitioned()) {
        let Some(range) = layout.partition(info.number).map(|p| layout.byte_range(p)) else {
            let (name, number) = (&info.name, info.number);
            findings.add(LAYOUT_FILE, format!("has no partition {number}, which is {name} in the manifest"));
            continue;
        };
        let length = range.end.saturating_sub(range.start);
        if (range.start, length) != (info.offset, info.size) {
            let (name, start, offset, size) = (&info.name, range.start, info.offset, info.size);
            findings.add(
                LAYOUT_FILE,
                format!(
                    "puts {name} at byte {start} with {length} bytes, the manifest at {offset} with {size}"
                ),
            );
        }
    }
    let known = |p: &&Partition| partitions.iter().all(|info| info.number != p.number);
    for p in layout.partitions().iter().filter(known) {
        findings.add(LAYOUT_FILE, format!("has a partition {}, which is not in the manifest", p.number));
    }
}

/// What is said to lie outside all partitions does, and leaves the table alone.
fn check_unpartitioned(layout: &Layout, image: &Image, findings: &mut Findings) {
    let Some(Torrent { extents, .. }) = image.torrents.get(UNPARTITIONED) else { return };
    // Not behind the last partition: smaller disks have nothing there.
    let size = layout.minimum_size();
    let Ok(table) = layout.encode(size, layout.sector_size()) else { return };
    let table: Vec<_> = table.writes().iter().map(|(at, bytes)| *at..*at + bytes.len() as u64).collect();
    let gaps = layout.gaps(size);
    let misplaced = extents.extents().iter().find(|run| {
        let end = run.offset + run.length;
        let in_gap = gaps.iter().any(|gap| gap.start <= run.offset && end <= gap.end);
        !in_gap || table.iter().any(|taken| taken.start < end && run.offset < taken.end)
    });
    if let Some(run) = misplaced {
        let what = format!(
            "byte {} belongs to a partition or to the table, or lies behind all partitions",
            run.offset
        );
        findings.add(&format!("{UNPARTITIONED}.torrent"), what);
    }
}

fn check_hidden(layout: &Layout, hidden: &[u8], findings: &mut Findings) {
    if hidden.is_empty() {
        return;
    }
    if matches!(layout.table(), Table::Gpt { .. }) {
        return findings.add(HIDDEN_FILE, "cannot be there: a GPT lies in its place");
    }
    let end = u64::from(layout.sector_size()) + hidden.len() as u64;
    let first = layout.first_partition_offset().unwrap_or(u64::MAX);
    if end > first {
        let what = format!("ends at byte {end} of the disk, the first partition begins at {first}");
        findings.add(HIDDEN_FILE, what);
    }
}
