//! An image of a disk as Clonezilla would have saved it, for its `ocs-sr` to restore.

mod descriptions;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ezio_image::directory::{CheckedImage, Torrent};
use ezio_image::extents::ExtentMap;
use ezio_image::layout::{Layout, ReadAt, Table};
use ezio_image::manifest::{PartitionInfo, UNPARTITIONED};
use ezio_imagedir::Stored;

use crate::import::Watch;
use crate::partclone;

/// Level of zstd, its own default.
const LEVEL: i32 = 3;
/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;
/// Bytes of code at the head of an extended boot record; the entries follow.
const EBR_CODE: u64 = 446;
/// Bytes of a raw partition that are copied at once.
const CHUNK: u64 = 1 << 20;

/// What is exported: an image with a partition table.
struct DiskImage<'a> {
    folder: &'a Path,
    image: &'a CheckedImage,
    layout: &'a Layout,
    /// Bytes of the disk.
    size: u64,
}

/// Writes a directory for Clonezilla, which must not exist yet, of the images of disks in these folders. When something goes
/// wrong nothing is left. Gives what Clonezilla has no place for, a sentence each.
///
/// # Errors
/// An image has no partition table; what cannot be read or written.
pub fn export(disks: &[(&Path, &CheckedImage)], output: &Path, watch: &mut Watch<'_>) -> Result<Vec<String>> {
    let images = disks.iter().map(|(folder, image)| DiskImage::of(folder, image));
    let images = images.collect::<Result<Vec<_>>>()?;
    ensure!(!output.exists(), "{} exists already", output.display());
    refuse_twins(&images)?;
    let name = output.file_name().context("the directory needs a name")?.to_string_lossy().into_owned();
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let partial = tempfile::Builder::new()
        .prefix(&format!("{name}.partial-"))
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
    let folder = Folder { path: partial.path().to_owned() };
    let mut left_out = Vec::new();
    for (file, bytes) in descriptions::all(&images)? {
        folder.write(&file, &bytes)?;
    }
    for image in &images {
        left_out.extend(image.left_out()?);
        for part in saved(image.image) {
            write_partition(image, part, &folder, watch)?;
        }
    }
    fs::rename(&folder.path, output).with_context(|| format!("cannot put {} in place", output.display()))?;
    let _ = partial.keep();
    Ok(left_out)
}

/// Bytes that [`export`] reads of the image of a disk.
#[must_use]
pub fn exported_length(image: &CheckedImage) -> u64 {
    saved(image).map(|part| streamed(image, part).map_or(part.size, ExtentMap::total_length)).sum()
}

/// The partitions that Clonezilla has files of.
fn saved(image: &CheckedImage) -> impl Iterator<Item = &PartitionInfo> {
    image.manifest.partitions.iter().filter(|part| part.has_torrent() && !part.is_unpartitioned())
}

/// The runs of a partition whose file is a stream of partclone; none where it is a plain copy. The file's name is that of the
/// partclone that restores it, and there is none for LVM, nor for what is not known.
fn streamed<'a>(image: &'a CheckedImage, part: &PartitionInfo) -> Option<&'a ExtentMap> {
    let known = part.filesystem.as_deref().is_some_and(|filesystem| filesystem != "LVM2_member");
    image.torrents.get(&part.name).and_then(Torrent::runs).filter(|_| known)
}

/// Clonezilla names all files after disks and partitions.
fn refuse_twins(images: &[DiskImage<'_>]) -> Result<()> {
    for (index, image) in images.iter().enumerate() {
        let twin = images[..index].iter().find(|other| other.disk() == image.disk());
        ensure!(twin.is_none(), "two disks are called {}, which Clonezilla cannot tell apart", image.disk());
    }
    Ok(())
}

impl Deref for DiskImage<'_> {
    type Target = CheckedImage;

    fn deref(&self) -> &CheckedImage {
        self.image
    }
}

impl<'a> DiskImage<'a> {
    fn of(folder: &'a Path, image: &'a CheckedImage) -> Result<Self> {
        let layout = image.layout.as_ref().with_context(|| {
            format!("Clonezilla keeps partition tables, and {} has none (--raw)", image.manifest.name)
        })?;
        let size = image.manifest.disk.as_ref().context("it is the image of a partition")?.size;
        Ok(Self { folder, image, layout, size })
    }

    /// Name of the disk ("sda").
    fn disk(&self) -> &str {
        self.layout.device().rsplit('/').next().unwrap_or_default()
    }

    /// The runs of a partition; none where every byte is kept.
    fn runs(&self, name: &str) -> Option<&ExtentMap> {
        self.torrents.get(name).and_then(Torrent::runs)
    }

    /// The content of a partition.
    fn stored(&self, name: &str) -> Result<Stored> {
        let torrent = self.torrents.get(name).with_context(|| format!("{name} has no data"))?;
        Stored::open(self.folder, self.manifest.store, torrent)
            .with_context(|| format!("cannot open the data of {name}"))
    }

    /// Bytes that lie outside all partitions; zeros where nothing is kept.
    fn outside(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end.saturating_sub(range.start))?];
        let Some(runs) = self.runs(UNPARTITIONED) else { return Ok(bytes) };
        let stored = self.stored(UNPARTITIONED)?;
        for run in runs.extents() {
            let (from, to) = (run.offset.max(range.start), (run.offset + run.length).min(range.end));
            if from < to {
                let place = (from - range.start) as usize..(to - range.start) as usize;
                stored
                    .read_exact_at(from, &mut bytes[place])
                    .with_context(|| format!("cannot read byte {from} of {UNPARTITIONED}"))?;
            }
        }
        Ok(bytes)
    }

    /// Where what lies behind the MBR ends that Clonezilla keeps; of a disk with a GPT it keeps nothing of that.
    fn first_gap(&self) -> u64 {
        self.layout.first_partition_offset().filter(|_| !is_gpt(self.layout)).unwrap_or(0)
    }

    /// What lies outside all partitions and finds no place in Clonezilla's directory.
    fn left_out(&self) -> Result<Option<String>> {
        let codes = self.layout.partitions().iter().filter(|p| p.is_extended());
        let codes = codes.map(|p| self.layout.byte_range(p).start).map(|start| start..start + EBR_CODE);
        let kept: Vec<Range<u64>> = std::iter::once(0..self.first_gap()).chain(codes).collect();
        let (mut first, mut count) = (None, 0u64);
        for run in self.runs(UNPARTITIONED).map_or(&[][..], ExtentMap::extents) {
            let mut at = run.offset;
            while at < run.offset + run.length {
                let end = (at + CHUNK).min(run.offset + run.length);
                let bytes = self.outside(at..end)?;
                let lost = (at..)
                    .zip(&bytes)
                    .filter(|(at, byte)| **byte != 0 && !kept.iter().any(|k| k.contains(at)));
                for (place, _) in lost {
                    first.get_or_insert(place);
                    count += 1;
                }
                at = end;
            }
        }
        Ok(first.map(|first| {
            format!(
                "what lies outside all partitions of {} ({count} bytes from byte {first} on) is not exported: Clonezilla has \
                 no place for it",
                self.disk()
            )
        }))
    }

    /// Of a disk with an MBR, what lies between it and the first partition, without the zeros at its end.
    fn after_mbr(&self) -> Result<Option<Vec<u8>>> {
        if let Some(hidden) = &self.hidden {
            return Ok(Some(hidden.clone()));
        }
        let first = self.first_gap();
        let runs = self.runs(UNPARTITIONED).map_or(&[][..], ExtentMap::extents);
        let ends = runs.iter().map(|run| run.offset + run.length).filter(|end| *end <= first);
        let sector = u64::from(self.layout.sector_size());
        let end = ends.max().map(|end| end.next_multiple_of(sector));
        end.map(|end| self.outside(sector..end)).transpose()
    }
}

struct Folder {
    path: PathBuf,
}

impl Folder {
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn write_partition(
    image: &DiskImage<'_>,
    part: &PartitionInfo,
    folder: &Folder,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let name = &part.name;
    let stored = image.stored(name)?;
    let mut read = |offset: u64, buffer: &mut [u8]| -> Result<()> {
        let bytes = buffer.len();
        let read = stored.read_exact_at(offset, buffer);
        read.with_context(|| format!("cannot read {bytes} bytes at byte {offset} of {name}"))?;
        watch(name, bytes as u64)
    };
    let map = streamed(image, part);
    let filesystem = part.filesystem.as_deref().unwrap_or_default();
    let form = if map.is_some() { filesystem } else { "dd" };
    let path = folder.path.join(format!("{name}.{form}-ptcl-img.zst.aa"));
    let writing = || format!("cannot write {}", path.display());
    let file = BufWriter::with_capacity(BUFFER, File::create_new(&path).with_context(writing)?);
    let mut out = zstd::Encoder::new(file, LEVEL).with_context(writing)?;
    match map {
        Some(map) => {
            partclone::write(&mut out, descriptions::partclone_name(filesystem), part.size, map, read)
                .with_context(writing)?;
        }
        None => {
            let mut position = 0;
            while position < part.size {
                let mut bytes = vec![0; CHUNK.min(part.size - position) as usize];
                read(position, &mut bytes)?;
                out.write_all(&bytes).with_context(writing)?;
                position += bytes.len() as u64;
            }
        }
    }
    let finish = || -> io::Result<()> {
        out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    finish().with_context(writing)
}

/// Is it a GPT?
fn is_gpt(layout: &Layout) -> bool {
    matches!(layout.table(), Table::Gpt { .. })
}
