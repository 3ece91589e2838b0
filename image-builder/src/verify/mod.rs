//! `image-builder verify`: every byte of an image directory against what should be there.

mod data;

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use ezio_image::conf::units::human_size;
use ezio_image::names::is_safe_name;
use ezio_imagedir::Set;

use crate::cli::VerifyArgs;
use crate::image_dir;
use crate::progress::Progress;
use crate::show::arch_of;
use crate::stop::{Stop, Stopped};

/// Runs the command: is the image whole, or each image of the set? What is wrong is printed, a line each.
pub(crate) fn run(args: &VerifyArgs, stop: &Stop) -> Result<bool> {
    if !Set::is_one(&args.directory) {
        return verify(&args.directory, args, stop);
    }
    let set = Set::open(&args.directory)?;
    let findings = set.findings()?;
    let mut whole = findings.is_empty();
    findings.iter().for_each(|found| say(&found.to_string()));
    for folder in set.folders() {
        whole &= match verify(&folder, args, stop) {
            Err(error) if !error.is::<Stopped>() => {
                say(&format!("{error:#}"));
                false
            }
            verified => verified?,
        };
    }
    let (path, disks) = (args.directory.display(), set.list.disks.len());
    match whole {
        true => crate::print(&format!("{path}: whole, {disks} disks\n"))?,
        false => say(&format!("{path}: DAMAGED")),
    }
    Ok(whole)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Is this image whole?
fn verify(directory: &Path, args: &VerifyArgs, stop: &Stop) -> Result<bool> {
    let image = image_dir::open(directory)?;
    let mut problems = Problems::default();
    image.findings().iter().for_each(|found| problems.add(found.to_owned()));
    problems.print(say);

    let store = image.manifest.store;
    let torrents = || image.torrents.iter().map(|(name, torrent)| (name, &*torrent.metainfo));
    let total = torrents().map(|(_, metainfo)| metainfo.total_length()).sum();
    let mut progress = Progress::new(total, args.no_progress);
    for (name, metainfo) in torrents().filter(|(name, _)| is_safe_name(name)) {
        progress.part(name);
        data::check(directory, store, name, metainfo, &mut progress, &mut problems, stop)?;
    }
    progress.finish();
    let pieces: u64 = torrents().map(|(_, metainfo)| u64::from(metainfo.piece_count())).sum();
    if problems.count == 0 {
        crate::print(&format!(
            "{}: whole ({pieces} pieces, {}), for machines of {}\n",
            directory.display(),
            human_size(total),
            arch_of(&image.manifest)
        ))?;
    } else {
        say(&format!("{}: DAMAGED, {} problems", directory.display(), problems.count));
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
