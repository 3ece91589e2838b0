//! Hashes pieces: those that are ready together at once, where the processor is quicker that way.

use ezio_sha1::Method;

use super::{HashJob, Store, block_length};

pub(super) fn run(store: &Store, method: Method) {
    loop {
        let jobs = store.to_hash.pop_some(method.lanes());
        if jobs.is_empty() {
            break;
        }
        check(store, method, jobs);
    }
}

pub(super) fn check(store: &Store, method: Method, jobs: Vec<HashJob>) {
    let blocks: Vec<Vec<&[u8]>> = jobs.iter().map(|job| bytes(store, job)).collect();
    let digests = method.hash(&blocks.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for (HashJob { piece, blocks, packs }, digest) in jobs.into_iter().zip(digests) {
        let (torrent, index) = store.torrent_of(piece);
        if torrent.metainfo.piece_hash(index) == Some(&digest) {
            let chunks = store.chunks(piece, blocks);
            // In the cache first: once others know of the piece they may ask for it.
            store.cache().add_unwritten(piece.0, &chunks);
            let mut hot = store.packs();
            packs.into_iter().for_each(|pack| hot.keep(pack));
            drop(hot);
            store.events.verified(piece);
            store.to_write.push(piece, chunks);
        } else {
            store.pool.give(blocks);
            store.to_write.forgo();
            store.events.failed(piece);
        }
    }
}

/// The bytes of a piece, block by block.
fn bytes<'a>(store: &Store, job: &'a HashJob) -> Vec<&'a [u8]> {
    let size = store.geometry.piece_size(job.piece);
    (0..).zip(&job.blocks).map(|(index, block)| &block.0[..block_length(size, index)]).collect()
}
