//! `image-builder verify`: every byte of an image directory against what should be there.

mod data;
mod files;
mod layout;
mod torrents;

use anyhow::Result;
use ezio_image::conf::units::human_size;
use ezio_image::metainfo::Metainfo;
use std::io::Write as _;

use crate::cli::VerifyArgs;
use crate::image_dir::ImageDir;
use crate::progress::Progress;
use crate::show::arch_of;
use crate::stop::Stop;

/// Runs the command: is the image whole? What is wrong is printed, a line each.
pub(crate) fn run(args: &VerifyArgs, stop: &Stop) -> Result<bool> {
    let image = ImageDir::open(&args.directory)?;
    let mut problems = Problems::default();
    files::check(&image, &mut problems);
    layout::check(&image, &mut problems);
    let torrents = torrents::check(&image, &mut problems);
    problems.print(|line| {
        let _ = writeln!(std::io::stderr(), "{line}");
    });

    let total = torrents.iter().map(|(_, metainfo)| metainfo.total_length()).sum();
    let mut progress = Progress::new(total, args.no_progress);
    for (name, metainfo) in &torrents {
        progress.part(name);
        data::check(&image, name, metainfo, &mut progress, &mut problems, stop)?;
    }
    progress.finish();
    let pieces: u64 = torrents.iter().map(|(_, m): &(String, Metainfo)| u64::from(m.piece_count())).sum();
    if problems.count == 0 {
        crate::print(&format!(
            "{}: whole ({pieces} pieces, {}), for machines of {}\n",
            args.directory.display(),
            human_size(total),
            arch_of(&image.manifest)
        ))?;
    } else {
        let _ =
            writeln!(std::io::stderr(), "{}: DAMAGED, {} problems", args.directory.display(), problems.count);
    }
    Ok(problems.count == 0)
}

/// What is wrong with an image.
#[derive(Debug, Default)]
struct Problems {
    count: usize,
    unprinted: Vec<String>,
}

impl Problems {
    fn add(&mut self, problem: String) {
        self.count += 1;
        self.unprinted.push(problem);
    }

    fn print(&mut self, print: impl Fn(&str)) {
        self.unprinted.drain(..).for_each(|line| print(&line));
    }
}
