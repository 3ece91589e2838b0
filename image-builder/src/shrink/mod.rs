//! `image-builder shrink`: an image that needs a smaller disk. The file system of one partition is unpacked into a sparse
//! file, made shorter and checked there, and captured again; what lies behind its partition moves up.

mod filesystem;
mod unpacked;

use anyhow::{Context, Result, bail, ensure};
use ezio_image::conf::units::human_size;
use ezio_image::directory::{CheckedImage, Torrent};
use ezio_image::layout::{Layout, ReadAt, is_hybrid};
use ezio_image::manifest::{
    BOOT_CODE_FILE, HIDDEN_FILE, LAYOUT_FILE, Manifest, PartitionInfo, Store, UNPARTITIONED,
};
use ezio_imagedir::{Content, ImageWriter, Keep, Part, Stored, check_target};

use crate::capture::capture_file;
use crate::cli::ShrinkArgs;
use crate::image_dir;
use crate::progress::Progress;
use crate::stop::Stop;
use filesystem::Shrinker;
use unpacked::Unpacked;

/// Partitions keep their alignment when they move by multiples of this. Bytes.
const ALIGNMENT: u64 = 1 << 20;

/// Runs the command.
pub(crate) fn run(args: &ShrinkArgs, stop: &Stop) -> Result<()> {
    check_target(&args.output, args.force)?;
    let image = image_dir::open_checked(&args.image)?;
    let chosen = choose(&image.manifest, args.partition.as_deref())?;
    let shrinker = Shrinker::of(chosen)?;
    refuse_what_would_stay_behind(&image, chosen)?;
    let unpacked = Unpacked::make(&image, chosen, args, stop)?;
    let length = shrinker.shrink(unpacked.path(), args.to, stop)?;
    shrinker.check(unpacked.path(), stop)?;
    let length = length.next_multiple_of(ALIGNMENT);
    let (has, needs) = (human_size(chosen.size), human_size(length));
    ensure!(length < chosen.size, "{} has {has} and needs {needs}: there is nothing to gain", chosen.name);

    let mut manifest = image.manifest.clone();
    let layout = match &image.layout {
        None => None,
        Some(layout) => Some(layout.shrunk(chosen.number, length)?),
    };
    arrange(&mut manifest, layout.as_ref(), chosen, length);
    let size = manifest.partitions.iter().find(|p| p.name == chosen.name).map_or(length, |p| p.size);
    unpacked.cut(size)?;
    let needed = manifest.partitions.iter().filter_map(used).sum();
    let keep = match manifest.store {
        Store::Files => Keep::Files,
        Store::Zstd => Keep::Zstd { level: None },
    };
    let mut output = ImageWriter::create(&args.output, args.force, keep, needed)?;
    if let Some(layout) = &layout {
        output.write(LAYOUT_FILE, layout.to_sfdisk().as_bytes())?;
    }
    for (file, bytes) in [(BOOT_CODE_FILE, &image.boot_code), (HIDDEN_FILE, &image.hidden)] {
        if let Some(bytes) = bytes {
            output.write(file, bytes)?;
        }
    }
    let mut progress = Progress::new(needed, args.no_progress);
    for info in &mut manifest.partitions {
        if info.name == chosen.name {
            let captured = capture_file(unpacked.path(), info, &mut output, &mut progress, stop)?;
            (info.filesystem_size, info.content) = (captured.filesystem_size, captured.content);
        } else if let Some(torrent) = image.torrents.get(&info.name) {
            let stored = Stored::open(&args.image, manifest.store, torrent)
                .with_context(|| format!("cannot open the data of {}", info.name))?;
            copy(stored, torrent, info, &mut output, &mut progress, stop)?;
        }
    }
    progress.finish();
    manifest.notes.push(format!("{}: made smaller, from {has} to {}", chosen.name, human_size(size)));
    manifest.notes.extend(shrinker.note(chosen));
    output.finish(&manifest)?;
    let least = manifest.disk.as_ref().map_or(size, |disk| disk.minimum_size);
    crate::print(&format!(
        "{}: {} has {} instead of {has}; the image needs {} ({least} bytes)\n",
        args.output.display(),
        chosen.name,
        human_size(size),
        human_size(least)
    ))
}

/// The partition that is to become smaller: the one that is named, or else the largest that can.
fn choose<'a>(manifest: &'a Manifest, wanted: Option<&str>) -> Result<&'a PartitionInfo> {
    let list = || manifest.partitions.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
    match wanted {
        Some(name) => match manifest.partitions.iter().find(|p| p.name == name) {
            Some(info) => Ok(info),
            None => bail!("the image {} has no partition {name:?}: it has {}", manifest.name, list()),
        },
        None => {
            let can = manifest.partitions.iter().filter(|p| Shrinker::of(p).is_ok());
            can.max_by_key(|p| p.size).with_context(|| {
                format!("no partition of the image {} ({}) can be made smaller", manifest.name, list())
            })
        }
    }
}

/// What says where partitions lie, or lies between them, would no longer fit when those behind `chosen` move.
fn refuse_what_would_stay_behind(image: &CheckedImage, chosen: &PartitionInfo) -> Result<()> {
    let hybrid = image.boot_code.as_ref().is_some_and(|code| is_hybrid(code));
    ensure!(
        !hybrid,
        "the image has a hybrid MBR, which says where partitions lie: it cannot be made smaller"
    );
    let Some(Torrent { extents, .. }) = image.torrents.get(UNPARTITIONED) else { return Ok(()) };
    let behind = extents.extents().iter().find(|run| run.offset >= chosen.offset);
    match behind {
        Some(run) => bail!(
            "byte {} is kept outside all partitions and lies behind {}, whose neighbours would move over it",
            run.offset,
            chosen.name
        ),
        None => Ok(()),
    }
}

/// Puts the partitions where the smaller table has them.
fn arrange(manifest: &mut Manifest, layout: Option<&Layout>, chosen: &PartitionInfo, length: u64) {
    let Some(layout) = layout else {
        for info in manifest.partitions.iter_mut().filter(|p| p.name == chosen.name) {
            info.size = length;
        }
        return;
    };
    for info in &mut manifest.partitions {
        if let Some(p) = layout.partition(info.number) {
            let range = layout.byte_range(p);
            (info.offset, info.size) = (range.start, range.end - range.start);
        }
    }
    if let Some(disk) = &mut manifest.disk {
        disk.minimum_size = layout.minimum_size();
    }
}

fn used(info: &PartitionInfo) -> Option<u64> {
    use ezio_image::manifest::Content;
    match &info.content {
        Content::Blocks { used, .. } => Some(*used),
        Content::Raw { .. } => Some(info.size),
        Content::Swap | Content::Empty => None,
    }
}

/// Copies the content of a partition as it is.
fn copy(
    stored: Stored,
    torrent: &Torrent,
    info: &PartitionInfo,
    output: &mut ImageWriter,
    progress: &mut Progress,
    stop: &Stop,
) -> Result<()> {
    let (name, runs) = (&info.name, torrent.runs());
    let part = match runs {
        Some(map) => Part::Runs { name, map },
        None => Part::Whole { name, size: info.size },
    };
    progress.part(name);
    let mut content = StoredContent(stored);
    let copied =
        output.content(&part, Some(torrent.metainfo.piece_length()), &mut content, &mut |length| {
            progress.add(length);
            stop.check()
        })?;
    // The same hash says that all of it is what was captured.
    ensure!(copied == info.content, "the data of {name} is damaged; image-builder verify says where");
    Ok(())
}

/// What lies in an image, read as the partition would be.
struct StoredContent(Stored);

impl Content for StoredContent {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0
            .read_exact_at(offset, buffer)
            .with_context(|| format!("cannot read the image at byte {offset}"))
    }
}
