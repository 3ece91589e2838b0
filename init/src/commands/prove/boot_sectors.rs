//! Boot sectors that were amended when their volume was written, because it lies elsewhere than on the source: what they
//! said before is not kept, but the hash of their piece knows it.

use std::ops::Range;
use std::sync::Arc;

use ezio_disk::BlockTarget;
use ezio_image::filesystem;
use ezio_image::metainfo::Metainfo;
use ezio_image::plan::Payload;
use ezio_sha1::Method;
use ezio_swarm::storage::Storage;

use crate::run::amended::Amended;

/// The storage of a payload whose boot sectors read as they were on the source, if they said there that the volume
/// begins where it did (one of the bytes `was`), or nothing (0); else as they are.
pub(super) fn as_before(
    storage: Arc<dyn Storage>,
    device: &BlockTarget,
    payload: &Payload,
    volume: &Range<u64>,
    was: impl IntoIterator<Item = u64>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Arc<dyn Storage>> {
    if begins_right(&*storage, &payload.metainfo) {
        return Ok(storage);
    }
    for start in was.into_iter().chain([0]) {
        let Some(moved) = filesystem::moved(device, volume, start)? else { continue };
        let amended = Amended::new(Arc::clone(&storage), device, payload);
        amended.remember(&moved.changes);
        if begins_right(&amended, &payload.metainfo) {
            notes.push(format!(
                "{}: {}: its boot sectors say that it begins at sector {}, and {} on the source; all else in them is held \
                 against the image",
                device.path().display(),
                payload.name,
                moved.was,
                moved.is
            ));
            return Ok(Arc::new(amended));
        }
    }
    Ok(storage)
}

/// Does the first piece fit?
fn begins_right(storage: &dyn Storage, metainfo: &Metainfo) -> bool {
    let mut bytes = vec![0; metainfo.piece_size(0) as usize];
    storage.forget(0, bytes.len() as u64);
    // One that cannot be read is told when all are compared.
    storage.read_at(0, &mut bytes).is_ok()
        && Method::ONE_BY_ONE.hash(&[&[&bytes]]).first() == metainfo.piece_hash(0)
}
