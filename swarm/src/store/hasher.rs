//! Hashes pieces. `sha1` uses the CPU's SHA instructions where there are any.

use sha1::{Digest, Sha1};

use super::{HashJob, Store, block_length};

pub(super) fn run(store: &Store) {
    while let Some(job) = store.to_hash.pop() {
        check(store, job);
    }
}

pub(super) fn check(store: &Store, HashJob { piece, blocks }: HashJob) {
    let size = store.geometry.piece_size(piece);
    let mut sha1 = Sha1::new();
    for (index, block) in (0..).zip(&blocks) {
        sha1.update(&block.0[..block_length(size, index)]);
    }
    let digest: [u8; 20] = sha1.finalize().into();
    let (torrent, index) = store.torrent_of(piece);
    if torrent.metainfo.piece_hash(index) == Some(&digest) {
        let chunks = store.chunks(piece, blocks);
        // In the cache first: once others know of the piece they may ask for it.
        store.cache().add_unwritten(piece.0, &chunks);
        store.events.verified(piece);
        store.to_write.push(piece, chunks);
    } else {
        store.pool.give(blocks);
        store.to_write.forgo();
        store.events.failed(piece);
    }
}
