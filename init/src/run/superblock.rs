//! The last look at what arrives, where nobody could be asked for its superblock beforehand: as soon as the head of the
//! payload is here.

use std::io;

use ezio_disk::BlockTarget;
use ezio_image::extents::ExtentMap;
use ezio_swarm::storage::{Action, StorageError};

use crate::fetch::superblock;

/// Refuses a file system that is longer than its target, or works in smaller blocks; a file is made as long as it has to
/// be.
pub(super) fn check(head: &[u8], extents: &ExtentMap, target: &BlockTarget) -> Result<(), StorageError> {
    let failed = |error| StorageError::whole(Action::Write, &target.path().display().to_string(), error);
    let found = superblock::look(head, extents).map_err(failed)?;
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
