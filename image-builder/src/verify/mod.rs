//! `image-builder verify`: every byte of an image directory against what should be there.

mod data;

use anyhow::Result;
use ezio_image::conf::units::human_size;
use ezio_image::names::is_safe_name;
use std::io::Write as _;

use crate::cli::VerifyArgs;
use crate::image_dir;
use crate::progress::Progress;
use crate::show::arch_of;
use crate::stop::Stop;

/// Runs the command: is the image whole? What is wrong is printed, a line each.
pub(crate) fn run(args: &VerifyArgs, stop: &Stop) -> Result<bool> {
    let image = image_dir::open(&args.directory)?;
    let mut problems = Problems::default();
    image.findings().iter().for_each(|found| problems.add(found.to_owned()));
    problems.print(|line| {
        let _ = writeln!(std::io::stderr(), "{line}");
    });

    let store = image.manifest.store;
    let torrents = || image.torrents.iter().map(|(name, torrent)| (name, &*torrent.metainfo));
    let total = torrents().map(|(_, metainfo)| metainfo.total_length()).sum();
    let mut progress = Progress::new(total, args.no_progress);
    for (name, metainfo) in torrents().filter(|(name, _)| is_safe_name(name)) {
        progress.part(name);
        data::check(&args.directory, store, name, metainfo, &mut progress, &mut problems, stop)?;
    }
    progress.finish();
    let pieces: u64 = torrents().map(|(_, metainfo)| u64::from(metainfo.piece_count())).sum();
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
