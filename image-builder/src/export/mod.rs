//! `image-builder export`: an image in the forms of others.

mod raw;
mod torrent_files;

use std::path::Path;

use anyhow::{Context, Result};
use ezio_clonezilla::DiskImage;
use ezio_image::conf::units::human_size;
use ezio_image::directory::CheckedImage;

use crate::cli::ExportArgs;
use crate::image_dir::open_checked;
use crate::progress::Progress;
use crate::stop::Stop;

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, stop: &Stop) -> Result<()> {
    let image = Image { folder: &args.directory, parts: open_checked(&args.directory)? };
    let total: u64 = image.parts.torrents.values().map(|torrent| torrent.metainfo.total_length()).sum();
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

/// An image directory with whose small files nothing is wrong.
struct Image<'a> {
    folder: &'a Path,
    parts: CheckedImage,
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
    let torrents = image.parts.torrents.iter().filter(|(_, torrent)| !torrent.metainfo.is_raw());
    let runs = torrents.map(|(name, torrent)| (name.clone(), (*torrent.extents).clone())).collect();
    let disk = DiskImage {
        folder: image.folder,
        manifest: &image.parts.manifest,
        layout,
        boot_code: image.parts.boot_code.as_deref(),
        hidden: image.parts.hidden.as_deref(),
        runs: &runs,
    };
    ezio_clonezilla::export(&disk, output, watch)
}
