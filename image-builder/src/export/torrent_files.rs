//! What any BitTorrent client seeds: a torrent a partition, and beside it the files that it names. An image directory
//! may hold them as they are; else they are unpacked.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_image::directory::Torrent;
use ezio_image::extents::Extent;
use ezio_image::layout::ReadAt;
use ezio_image::manifest::Store;
use ezio_image::metainfo::run_file_name;
use ezio_imagedir::{Stored, write_sparse};

use super::Image;

/// Bytes unpacked at once.
const CHUNK: u64 = 1 << 20;

type Watch<'a> = dyn FnMut(&str, u64) -> Result<()> + 'a;

/// Writes a folder, which must not exist yet.
pub(super) fn export(image: &Image, output: &Path, link: bool, watch: &mut Watch<'_>) -> Result<()> {
    let packed = image.parts.manifest.store == Store::Zstd;
    ensure!(!(link && packed), "--link is for images with --store files: the data of this one is compressed");
    fs::create_dir(output).with_context(|| format!("cannot make {}", output.display()))?;
    let exported = export_all(image, output, link, watch);
    if exported.is_err() {
        // It is ours, and was made just now.
        let _ = fs::remove_dir_all(output);
    }
    exported
}

fn export_all(image: &Image, output: &Path, link: bool, watch: &mut Watch<'_>) -> Result<()> {
    for (name, torrent) in &image.parts.torrents {
        let file = format!("{name}.torrent");
        place(&image.folder.join(&file), &output.join(&file), link)?;
        if !torrent.metainfo.is_raw() {
            let runs = output.join(name);
            fs::create_dir(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
        }
        match image.parts.manifest.store {
            Store::Files => place_all(&image.folder, name, torrent, output, link, watch)?,
            Store::Zstd => unpack_all(&image.stored(name)?, name, torrent, output, watch)?,
        }
    }
    Ok(())
}

fn place_all(
    folder: &Path,
    name: &str,
    torrent: &Torrent,
    output: &Path,
    link: bool,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let metainfo = &torrent.metainfo;
    if metainfo.is_raw() {
        place(&folder.join(name), &output.join(name), link)?;
        return watch(name, metainfo.total_length());
    }
    for run in metainfo.files().iter().filter(|file| !file.padding) {
        let path = run.path.join("/");
        place(&folder.join(name).join(&path), &output.join(name).join(&path), link)?;
        watch(name, run.length)?;
    }
    Ok(())
}

fn unpack_all(
    stored: &Stored,
    name: &str,
    torrent: &Torrent,
    output: &Path,
    watch: &mut Watch<'_>,
) -> Result<()> {
    for run in torrent.extents.extents() {
        let path = match torrent.metainfo.is_raw() {
            true => output.join(name),
            false => output.join(name).join(run_file_name(run.offset)),
        };
        let file = File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        unpack(stored, run, &file, &mut |length| watch(name, length))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn unpack(
    stored: &Stored,
    run: &Extent,
    file: &File,
    watch: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    file.set_len(run.length)?;
    for at in (0..run.length).step_by(CHUNK as usize) {
        let bytes = stored.read_vec(run.offset + at, CHUNK.min(run.length - at) as usize)?;
        write_sparse(file, at, &bytes)?;
        watch(bytes.len() as u64)?;
    }
    Ok(())
}

fn place(from: &Path, to: &Path, link: bool) -> Result<()> {
    let placed = if link { fs::hard_link(from, to) } else { fs::copy(from, to).map(drop) };
    placed.with_context(|| format!("cannot put {} at {}", from.display(), to.display()))
}
