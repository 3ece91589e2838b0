//! `image-builder export`: an image in the forms of others.

mod raw;
mod torrent_files;

use std::path::PathBuf;

use anyhow::{Context, Result};
use ezio_image::conf::units::human_size;
use ezio_image::directory::CheckedImage;
use ezio_imagedir::Stored;

use crate::cli::ExportArgs;
use crate::image_dir::{folders, open_checked};
use crate::progress::Progress;
use crate::stop::Stop;

/// Runs the command.
pub(crate) fn run(args: &ExportArgs, stop: &Stop) -> Result<()> {
    // Of the three forms, only Clonezilla's has room for several disks.
    let folders = match args.form.clonezilla {
        Some(_) => folders(&args.directory)?,
        None => vec![args.directory.clone()],
    };
    let images = folders.into_iter().map(Image::open).collect::<Result<Vec<_>>>()?;
    let first = images.first().context("there is no image")?;
    let total: u64 = match args.form.clonezilla {
        // Of some it has every byte, in use or not.
        Some(_) => images.iter().map(|image| ezio_clonezilla::exported_length(&image.parts)).sum(),
        None => first.parts.torrents.values().map(|torrent| torrent.metainfo.total_length()).sum(),
    };
    let mut progress = Progress::new(total, args.no_progress);
    let mut watch = |part: &str, length: u64| {
        progress.part(part);
        progress.add(length);
        stop.check()
    };
    let mut notes: Vec<String> =
        images.iter().flat_map(|image| &image.parts.manifest.notes).cloned().collect();
    let done = if let Some(output) = &args.form.clonezilla {
        let disks: Vec<_> = images.iter().map(|image| (image.folder.as_path(), &image.parts)).collect();
        ezio_clonezilla::export(&disks, output, &mut watch).map(|left_out| {
            notes.extend(left_out);
            output
        })
    } else if let Some(output) = &args.form.torrent_files {
        torrent_files::export(first, output, args.link, &mut watch).map(|()| output)
    } else {
        // One of the three is given.
        let output = args.form.raw.as_ref().context("no form is given")?;
        raw::export(first, output, &mut watch).map(|()| output)
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
struct Image {
    folder: PathBuf,
    parts: CheckedImage,
}

impl Image {
    fn open(folder: PathBuf) -> Result<Self> {
        Ok(Self { parts: open_checked(&folder)?, folder })
    }

    /// The content of a partition.
    fn stored(&self, name: &str) -> Result<Stored> {
        let torrent = self.parts.torrents.get(name).with_context(|| format!("{name} has no data"))?;
        Stored::open(&self.folder, self.parts.manifest.store, torrent)
            .with_context(|| format!("cannot open the data of {name}"))
    }
}
