//! How long a file system is, its superblock says. A torrent alone does not: the last of its blocks in use may lie far
//! before the end. So this is looked at as soon as the head of the payload has arrived.

use std::io;

use ezio_disk::BlockTarget;
use ezio_image::extents::ExtentMap;
use ezio_image::filesystem;
use ezio_image::layout::ReadAt;
use ezio_swarm::storage::{Action, StorageError};

/// The beginning of a target, of which what has not arrived is zeros.
struct Beginning(Vec<u8>);

impl Beginning {
    /// `head`: the content's first bytes.
    fn new(head: &[u8], extents: &ExtentMap) -> Self {
        let mut bytes = Vec::new();
        let mut head = head;
        for slice in extents.slices(0, head.len() as u64) {
            // All of it lies within what is held, which is little.
            let (run, rest) = head.split_at(slice.length as usize);
            head = rest;
            let Some(offset) = slice.offset else { continue };
            let place = offset as usize..offset as usize + run.len();
            bytes.resize(bytes.len().max(place.end), 0);
            bytes[place].copy_from_slice(run);
        }
        Self(bytes)
    }
}

impl ReadAt for Beginning {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let known = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let length = known.len().min(buffer.len());
        buffer[..length].copy_from_slice(&known[..length]);
        buffer[length..].fill(0);
        Ok(())
    }
}

/// Refuses a file system that is longer than its target, or works in smaller blocks; a file is made as long as it has to
/// be.
pub(super) fn check(head: &[u8], extents: &ExtentMap, target: &BlockTarget) -> Result<(), StorageError> {
    let failed = |error| StorageError::whole(Action::Write, &target.path().display().to_string(), error);
    let found = filesystem::inspect(&Beginning::new(head, extents), 0).map_err(failed)?.unwrap_or_default();
    let (block, sector) = (found.block, u64::from(target.sector_size()));
    if target.is_device() && (1..sector).contains(&block) {
        let what = format!(
            "it reads and writes {sector} bytes at least, the file system that arrives works in blocks of {block}"
        );
        return Err(failed(io::Error::new(io::ErrorKind::Unsupported, what)));
    }
    let needed = found.size;
    let Some(missing) = needed.checked_sub(target.size()).filter(|missing| *missing > 0) else {
        return Ok(());
    };
    if !target.is_device() {
        return target.file().set_len(needed).map_err(failed);
    }
    let what = format!(
        "it is too small by {missing} bytes: it has {}, the file system that arrives has {needed}",
        target.size()
    );
    Err(failed(io::Error::new(io::ErrorKind::StorageFull, what)))
}
