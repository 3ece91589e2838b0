//! `image-builder show`: what an image directory holds.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use ezio_contract::Arch;
use ezio_image::conf::units::human_size;
use ezio_image::directory::{Image, Torrent};
use ezio_image::manifest::{
    Content, DiskLabel, Manifest, PartitionInfo, SourceKind, Store, packed_file_name,
};
use ezio_image::names::is_safe_name;
use ezio_image::set::SetDisk;
use ezio_imagedir::Set;
use serde::Serialize;

use crate::cli::ShowArgs;
use crate::image_dir;

/// Runs the command.
pub(crate) fn run(args: &ShowArgs) -> Result<()> {
    match Set::is_one(&args.directory) {
        true => show_set(args),
        false => {
            let image = open(&args.directory)?;
            match args.json {
                true => print_json(&image.manifest),
                false => crate::print(&table(&image, &args.directory)),
            }
        }
    }
}

/// The list, and the image of each disk.
fn show_set(args: &ShowArgs) -> Result<()> {
    let set = Set::open(&args.directory)?;
    set.findings()?.iter().for_each(|found| say_damaged(&found.to_string()));
    let images = set.folders().iter().map(|folder| open(folder)).collect::<Result<Vec<_>>>()?;
    let list = &set.list;
    if args.json {
        let disks = list.disks.iter().zip(&images);
        let disks = disks.map(|(disk, image)| OneOfSet { disk, manifest: &image.manifest }).collect();
        return print_json(&ShownSet {
            format: list.format,
            name: &list.name,
            builder: &list.builder,
            disks,
        });
    }
    let mut out = format!("{}, a set of {} disks by {}\n", list.name, list.disks.len(), list.builder);
    for ((disk, image), folder) in list.disks.iter().zip(&images).zip(set.folders()) {
        let bus = disk.bus.map(|bus| format!(", bus {bus}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(out, "\n{}{bus}: {}", disk.name, table(image, &folder));
    }
    crate::print(&out)
}

/// A set as it is printed: its list, with the manifests in it.
#[derive(Serialize)]
struct ShownSet<'a> {
    format: u32,
    name: &'a str,
    builder: &'a str,
    #[serde(rename = "disk")]
    disks: Vec<OneOfSet<'a>>,
}

#[derive(Serialize)]
struct OneOfSet<'a> {
    #[serde(flatten)]
    disk: &'a SetDisk,
    manifest: &'a Manifest,
}

/// Opens an image, and says what is wrong with it.
fn open(directory: &Path) -> Result<Image> {
    let image = image_dir::open(directory)?;
    image.findings().iter().for_each(say_damaged);
    Ok(image)
}

fn say_damaged(found: &str) {
    let _ = writeln!(std::io::stderr(), "damaged: {found}");
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).context("cannot print the manifest")?;
    crate::print(&(json + "\n"))
}

fn table(image: &Image, directory: &Path) -> String {
    let manifest = &image.manifest;
    let mut out = format!("{}, captured {} by {}\n", manifest.name, manifest.created, manifest.builder);
    let kind = match manifest.source.kind {
        SourceKind::Disk => "disk",
        SourceKind::Partition => "partition",
        SourceKind::RawDisk => "disk, copied whole",
    };
    // Writing to a String cannot fail.
    let _ = write!(out, "from {kind} {}", manifest.source.path);
    for (what, value) in [("model", &manifest.source.model), ("serial", &manifest.source.serial)] {
        if let Some(value) = value {
            let _ = write!(out, ", {what} {value}");
        }
    }
    let _ = writeln!(out, "\nfor machines of {}", arch_of(manifest));
    if let Some(disk) = &manifest.disk {
        let label = match disk.label {
            DiskLabel::Gpt => "GPT",
            DiskLabel::Dos => "MBR",
            DiskLabel::None => "no partition table",
        };
        let _ = writeln!(
            out,
            "{} of {} ({} byte sectors), fits disks from {} up",
            label,
            human_size(disk.size),
            disk.sector_size,
            human_size(disk.minimum_size)
        );
    }
    let _ = writeln!(
        out,
        "\n{:<12} {:>10} {:>10} {:>10} {:<10} {:<36} {:<16} PIECES",
        "PARTITION", "SIZE", "DATA", "STORED", "TYPE", "UUID", "LABEL"
    );
    let (mut total, mut all_stored) = (0, 0);
    for partition in &manifest.partitions {
        let (data, pieces) = data_of(image, partition, &mut total);
        let stored = stored(manifest, partition, directory);
        all_stored += stored.unwrap_or(0);
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let _ = writeln!(
            out,
            "{:<12} {:>10} {data:>10} {:>10} {:<10} {:<36} {:<16} {pieces}",
            partition.name,
            human_size(partition.size),
            stored.map_or_else(|| "-".to_owned(), human_size),
            text(&partition.filesystem),
            text(&partition.uuid),
            text(&partition.label)
        );
        for volume in partition.lvm.iter().flat_map(|lvm| &lvm.volumes) {
            let kept = if volume.whole { "copied whole" } else { "what is in use" };
            let _ = writeln!(
                out,
                "  {:<10} {:>10} {:>10} {:<10} {kept}",
                volume.name,
                human_size(volume.size),
                human_size(volume.used),
                text(&volume.filesystem)
            );
        }
    }
    let _ = write!(out, "\n{} of data in all", human_size(total));
    if all_stored > 0 {
        let ratio = total as f64 / all_stored as f64;
        let _ = write!(out, ", compressed to {} ({ratio:.2} to 1)", human_size(all_stored));
    }
    out.push('\n');
    for note in &manifest.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// Bytes of the file that holds a partition compressed; none where it is not, or is missing.
fn stored(manifest: &Manifest, partition: &PartitionInfo, directory: &Path) -> Option<u64> {
    let packed = manifest.store == Store::Zstd && partition.has_torrent() && is_safe_name(&partition.name);
    let path = directory.join(packed_file_name(&partition.name));
    packed.then(|| std::fs::metadata(path).ok()).flatten().map(|metadata| metadata.len())
}

/// The architecture of its machines, as text.
pub(crate) fn arch_of(manifest: &Manifest) -> &'static str {
    manifest.arch.map_or("any architecture", Arch::debian)
}

/// Size of the data and its pieces, as text.
fn data_of(image: &Image, partition: &PartitionInfo, total: &mut u64) -> (String, String) {
    let length = match &partition.content {
        Content::Blocks { used, .. } => *used,
        Content::Raw { .. } => partition.size,
        Content::Swap => return ("made anew".to_owned(), "-".to_owned()),
        Content::Empty => return ("none".to_owned(), "-".to_owned()),
    };
    *total += length;
    let pieces = image.torrents.get(&partition.name).map(|Torrent { metainfo, .. }| {
        format!("{} of {}", metainfo.piece_count(), human_size(u64::from(metainfo.piece_length())))
    });
    (human_size(length), pieces.unwrap_or_else(|| "damaged".to_owned()))
}
