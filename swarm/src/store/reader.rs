//! Threads that read what has left memory and is asked for.

use std::sync::Arc;
use std::time::Instant;

use super::Store;
use crate::block::{CHUNK, Chunk, ChunkId};
use crate::scheduler::PieceId;
use crate::storage::StorageError;

pub(super) fn run(store: &Store) {
    while let Some(id) = store.to_read.pop() {
        let chunk = match read(store, id) {
            Ok(chunk) => Some(Arc::new(chunk)),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::error!("{error}: {cause}");
                None
            }
        };
        let waiters = store.cache().loaded(id, chunk.as_ref(), Instant::now());
        for waiter in waiters {
            waiter(id, chunk.clone());
        }
    }
}

fn read(store: &Store, id: ChunkId) -> Result<Chunk, StorageError> {
    let piece = PieceId(id.piece);
    let (torrent, index) = store.torrent_of(piece);
    let begin = id.index * CHUNK;
    let length = store.geometry.piece_size(piece).saturating_sub(begin).min(CHUNK);
    let piece_length = torrent.metainfo.piece_length();
    let offset = u64::from(index) * u64::from(piece_length) + u64::from(begin);
    let mut chunk = Chunk::blank(length, &store.pool);
    torrent
        .storage
        .read_vectored_at(offset, &mut chunk.slices_mut())
        .map_err(|e| e.in_torrent(torrent.metainfo.name(), piece_length))?;
    Ok(chunk)
}
