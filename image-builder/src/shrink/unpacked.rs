//! The content of one partition in a sparse file, as long as the partition was.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ezio_image::directory::{CheckedImage, Torrent};
use ezio_image::extents::Extent;
use ezio_image::layout::ReadAt;
use ezio_image::manifest::PartitionInfo;
use ezio_imagedir::{PieceHasher, Stored, write_sparse};
use tempfile::NamedTempFile;

use crate::cli::ShrinkArgs;
use crate::progress::Progress;
use crate::stop::Stop;

/// Bytes read at once.
const BLOCK: u64 = 1 << 20;

/// A file that goes when this is dropped.
pub(super) struct Unpacked(NamedTempFile);

impl Unpacked {
    /// Unpacks a partition beside the image that is to be written. Its pieces are checked on the way.
    pub(super) fn make(
        image: &CheckedImage,
        info: &PartitionInfo,
        args: &ShrinkArgs,
        stop: &Stop,
    ) -> Result<Self> {
        let torrent = image.torrents.get(&info.name);
        let torrent = torrent.with_context(|| format!("{} has no data", info.name))?;
        let Torrent { metainfo, extents: map } = torrent;
        let folder = args.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".shrink-").tempfile_in(folder);
        let file = file.with_context(|| format!("cannot make a file in {}", folder.display()))?;
        file.as_file().set_len(info.size).context("cannot make room for the partition")?;
        let stored = Stored::open(&args.image, image.manifest.store, torrent)
            .with_context(|| format!("cannot open the data of {}", info.name))?;
        let mut progress = Progress::new(map.total_length(), args.no_progress);
        progress.part(&info.name);
        let mut hasher = PieceHasher::new(metainfo.piece_length());
        let mut hashes: Vec<[u8; 20]> = Vec::new();
        for &Extent { offset, length } in map.extents() {
            for at in (offset..offset + length).step_by(BLOCK as usize) {
                stop.check()?;
                let now = BLOCK.min(offset + length - at);
                let bytes = stored.read_vec(at, now as usize);
                let bytes = bytes.with_context(|| format!("cannot read {} at byte {at}", info.name))?;
                hasher.update(&bytes, |hash| hashes.push(hash));
                // Zeros of a raw image stay holes.
                write_sparse(file.as_file(), at, &bytes).context("cannot unpack the partition")?;
                progress.add(now);
            }
        }
        hasher.finish(|hash| hashes.push(hash));
        progress.finish();
        let good = (0..).zip(&hashes).all(|(index, hash)| metainfo.piece_hash(index) == Some(hash));
        ensure!(good, "the data of {} is damaged; image-builder verify says where", info.name);
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Cuts off what lies behind the file system.
    pub(super) fn cut(&self, length: u64) -> Result<()> {
        self.0.as_file().set_len(length).context("cannot shorten the unpacked partition")
    }
}
