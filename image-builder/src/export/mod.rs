//! `image-builder export`: an image in the forms of others.

mod raw;
mod torrent_files;

use std::path::Path;

use anyhow::{Context, Result};
use ezio_image::conf::units::human_size;
use ezio_image::directory::CheckedImage;
use ezio_imagedir::Stored;

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
    let mut notes = image.parts.manifest.notes.clone();
    let done = if let Some(output) = &args.form.clonezilla {
        let left_out = ezio_clonezilla::export(image.folder, &image.parts, output, &mut watch);
        left_out.map(|left_out| {
            notes.extend(left_out);
            output
        })
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
    for note in &notes {
        progress.note(&format!("note: {note}"));
    }
    crate::print(&format!("{}: {} of data\n", output.display(), human_size(total)))
}

/// An image directory with whose small files nothing is wrong.
struct Image<'a> {
    folder: &'a Path,
    parts: CheckedImage,
}

impl Image<'_> {
    /// The content of a partition.
    fn stored(&self, name: &str) -> Result<Stored> {
        let torrent = self.parts.torrents.get(name).with_context(|| format!("{name} has no data"))?;
        Stored::open(self.folder, self.parts.manifest.store, torrent)
            .with_context(|| format!("cannot open the data of {name}"))
    }
}
