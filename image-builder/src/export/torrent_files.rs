//! What any BitTorrent client seeds: a torrent a partition, and beside it the files that it names. The image directory
//! holds them as they are.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Image;

/// Writes a folder, which must not exist yet.
pub(super) fn export(
    image: &Image<'_>,
    output: &Path,
    link: bool,
    watch: &mut dyn FnMut(&str, u64) -> Result<()>,
) -> Result<()> {
    fs::create_dir(output).with_context(|| format!("cannot make {}", output.display()))?;
    let exported = export_all(image, output, link, watch);
    if exported.is_err() {
        // It is ours, and was made just now.
        let _ = fs::remove_dir_all(output);
    }
    exported
}

fn export_all(
    image: &Image<'_>,
    output: &Path,
    link: bool,
    watch: &mut dyn FnMut(&str, u64) -> Result<()>,
) -> Result<()> {
    let folder = image.folder;
    for (name, torrent) in &image.parts.torrents {
        let metainfo = &torrent.metainfo;
        let file = format!("{name}.torrent");
        place(&folder.join(&file), &output.join(&file), link)?;
        if metainfo.is_raw() {
            place(&folder.join(name), &output.join(name), link)?;
            watch(name, metainfo.total_length())?;
            continue;
        }
        let runs = output.join(name);
        fs::create_dir(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
        for run in metainfo.files().iter().filter(|file| !file.padding) {
            let path = run.path.join("/");
            place(&folder.join(name).join(&path), &runs.join(&path), link)?;
            watch(name, run.length)?;
        }
    }
    Ok(())
}

fn place(from: &Path, to: &Path, link: bool) -> Result<()> {
    let placed = if link { fs::hard_link(from, to) } else { fs::copy(from, to).map(drop) };
    placed.with_context(|| format!("cannot put {} at {}", from.display(), to.display()))
}
