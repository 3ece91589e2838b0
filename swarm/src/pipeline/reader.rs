//! Threads that read what has left memory and is asked for.

use std::sync::Arc;
use std::time::Instant;

use ezio_scheduler::{BLOCK_SIZE, Blocks};

use super::{Content, Pipeline, chunk_of};
use crate::block::{CHUNK, Chunk, ChunkId};
use crate::storage::StorageError;

/// What is to be read.
pub(super) enum Read {
    Chunk(ChunkId),
    /// The frame of these blocks, as it lies in the storage.
    Frame(Blocks),
}

pub(super) fn run(pipeline: &Pipeline) {
    while let Some(read) = pipeline.to_read.pop() {
        match read {
            Read::Chunk(id) => drop(load(pipeline, id)),
            Read::Frame(run) => match said(read_frame(pipeline, run)) {
                Some(Some(frame)) => {
                    let content = pipeline.keep(run, frame);
                    pipeline.loaded(run, Some(&content));
                }
                Some(None) => {
                    let id = chunk_of(run);
                    let hot = pipeline.cache().get(id);
                    let chunk = hot.or_else(|| load(pipeline, id)).map(Content::Raw);
                    pipeline.loaded(run, chunk.as_ref());
                }
                None => pipeline.loaded(run, None),
            },
        }
    }
}

/// Reads a chunk, for the cache and for whoever waits for it.
fn load(pipeline: &Pipeline, id: ChunkId) -> Option<Arc<Chunk>> {
    let chunk = said(read_chunk(pipeline, id)).map(Arc::new);
    let waiters = pipeline.cache().loaded(id, chunk.as_ref(), Instant::now());
    waiters.into_iter().for_each(|waiter| waiter(chunk.clone().map(Content::Raw)));
    chunk
}

fn said<T>(result: Result<T, StorageError>) -> Option<T> {
    result
        .inspect_err(|error| {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::error!("{error}: {cause}");
        })
        .ok()
}

fn read_frame(pipeline: &Pipeline, run: Blocks) -> Result<Option<Vec<u8>>, StorageError> {
    let (torrent, piece) = pipeline.offset_of(run.piece);
    let offset = piece + u64::from(run.first) * u64::from(BLOCK_SIZE);
    torrent.storage.read_frame(offset, pipeline.geometry.bytes_of(run)).map_err(|e| torrent.named(e))
}

fn read_chunk(pipeline: &Pipeline, id: ChunkId) -> Result<Chunk, StorageError> {
    let (torrent, offset) = pipeline.offset_of(id.piece);
    let begin = id.index * CHUNK;
    let length = pipeline.geometry.piece_size(id.piece).saturating_sub(begin).min(CHUNK);
    let mut chunk = Chunk::blank(length, &pipeline.pool);
    let read = torrent.storage.read_vectored_at(offset + u64::from(begin), &mut chunk.slices_mut());
    read.map_err(|e| torrent.named(e))?;
    Ok(chunk)
}
