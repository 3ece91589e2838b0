//! Hashes pieces: those that are ready together at once, where the processor is quicker that way.

use ezio_sha1::Method;

use super::{HashJob, Pipeline, block_length};

pub(super) fn run(pipeline: &Pipeline, method: Method) {
    loop {
        let jobs = pipeline.to_hash.pop_some(method.lanes());
        if jobs.is_empty() {
            break;
        }
        check(pipeline, method, jobs);
    }
}

pub(super) fn check(pipeline: &Pipeline, method: Method, jobs: Vec<HashJob>) {
    let blocks: Vec<Vec<&[u8]>> = jobs.iter().map(|job| bytes(pipeline, job)).collect();
    let digests = method.hash(&blocks.iter().map(Vec::as_slice).collect::<Vec<_>>());
    for (HashJob { piece, blocks, packs }, digest) in jobs.into_iter().zip(digests) {
        let (torrent, index) = pipeline.torrent_of(piece);
        if torrent.metainfo.piece_hash(index) == Some(&digest) {
            let chunks = pipeline.chunks(piece, blocks);
            // In the cache first: once others know of the piece they may ask for it.
            pipeline.cache().add_unwritten(piece, &chunks);
            let mut hot = pipeline.packs();
            packs.into_iter().for_each(|pack| hot.keep(pack));
            drop(hot);
            pipeline.events.verified(piece);
            pipeline.to_write.push(piece, chunks);
        } else {
            pipeline.pool.give(blocks);
            pipeline.to_write.forgo();
            pipeline.events.failed(piece);
        }
    }
}

/// The bytes of a piece, block by block.
fn bytes<'a>(pipeline: &Pipeline, job: &'a HashJob) -> Vec<&'a [u8]> {
    let size = pipeline.geometry.piece_size(job.piece);
    (0..).zip(&job.blocks).map(|(index, block)| &block.0[..block_length(size, index)]).collect()
}
