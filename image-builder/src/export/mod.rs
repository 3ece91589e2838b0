//! `image-builder export`: an image in the forms of others.

mod raw;
mod torrent_files;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ezio_clonezilla::DiskImage;
use ezio_image::conf::units::human_size;
use ezio_image::extents::ExtentMap;
use ezio_image::layout::Layout;
use ezio_image::manifest::{BOOT_CODE_FILE, HIDDEN_FILE, LAYOUT_FILE};
use ezio_image::plan::ImageParts;

use crate::cli::ExportArgs;
use crate::image_dir::ImageDir;
use crate::progress::Progress;
use crate::stop::Stop;

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, stop: &Stop) -> Result<()> {
    let image = Image::open(&args.directory)?;
    let total: u64 = image.parts.metainfos.values().map(|metainfo| metainfo.total_length()).sum();
    let mut progress = Progress::new(total, args.no_progress);
    let mut watch = |part: &str, length: u64| {
        progress.part(part);
        progress.add(length);
        stop.check()
    };
    let done = if let Some(output) = &args.form.clonezilla {
        clonezilla(&image, output, &mut watch).map(|()| output)
    } else if let Some(output) = &args.form.torrent_files {
        torrent_files::export(&image, output, args.link, &mut watch).map(|()| output)
    } else {
        // One of the three is given.
        let output = args.form.raw.as_ref().context("no form is given")?;
        raw::export(&image, output, &mut watch).map(|()| output)
    };
    let how_far = || format!("after {} of {}", human_size(progress.done()), human_size(total));
    let output = done.with_context(how_far)?;
    progress.finish();
    for note in &image.parts.manifest.notes {
        progress.note(&format!("note: {note}"));
    }
    crate::print(&format!("{}: {} of data\n", output.display(), human_size(total)))
}

/// An image directory, its small files read.
struct Image<'a> {
    folder: &'a Path,
    parts: ImageParts,
    /// The runs of each torrent that has several.
    runs: BTreeMap<String, ExtentMap>,
}

impl<'a> Image<'a> {
    fn open(folder: &'a Path) -> Result<Self> {
        let directory = ImageDir::open(folder)?;
        let (manifest, mut metainfos, mut runs) = (&directory.manifest, BTreeMap::new(), BTreeMap::new());
        for partition in manifest.partitions.iter().filter(|p| p.has_torrent()) {
            let metainfo = directory.metainfo(partition)?;
            if !metainfo.is_raw() {
                let map = metainfo.extents().with_context(|| partition.torrent_file())?;
                runs.insert(partition.name.clone(), map);
            }
            metainfos.insert(partition.name.clone(), Arc::new(metainfo));
        }
        let optional = |name: &str| {
            let path = folder.join(name);
            let read = path.exists().then(|| fs::read(&path));
            read.transpose().with_context(|| format!("cannot read {}", path.display()))
        };
        let table =
            optional(LAYOUT_FILE)?.map(|bytes| Layout::parse_sfdisk(&String::from_utf8_lossy(&bytes)));
        let layout = table.transpose().with_context(|| folder.join(LAYOUT_FILE).display().to_string())?;
        let (boot_code, hidden) = (optional(BOOT_CODE_FILE)?, optional(HIDDEN_FILE)?);
        let parts = ImageParts { manifest: directory.manifest, layout, metainfos, boot_code, hidden };
        Ok(Self { folder, parts, runs })
    }
}

fn clonezilla(
    image: &Image<'_>,
    output: &Path,
    watch: &mut dyn FnMut(&str, u64) -> Result<()>,
) -> Result<()> {
    let name = &image.parts.manifest.name;
    let table = image.parts.layout.as_ref();
    let layout =
        table.with_context(|| format!("Clonezilla keeps partition tables, and {name} has none (--raw)"))?;
    let disk = DiskImage {
        folder: image.folder,
        manifest: &image.parts.manifest,
        layout,
        boot_code: image.parts.boot_code.as_deref(),
        hidden: image.parts.hidden.as_deref(),
        runs: &image.runs,
    };
    ezio_clonezilla::export(&disk, output, watch)
}
