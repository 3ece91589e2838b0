//! Proof: what the media give back is what was meant to be written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ezio_scheduler::{PieceId, TorrentId};

use crate::block::BlockPool;
use crate::config::{Content, geometry};
use crate::pipeline::{Bounds, Pipeline, PipelineEvents};
use crate::storage::StorageError;
use crate::zeros::ZeroPieces;

/// Nothing is fetched or written.
struct NoEvents;

impl PipelineEvents for NoEvents {
    fn verified(&self, _: PieceId) {}
    fn failed(&self, _: PieceId) {}
    fn stored(&self, _: &[PieceId]) {}
    fn broken(&self, _: StorageError) {}
    fn finished(&self) {}
}

/// Places that are kept to be told one by one.
const KEPT: usize = 64;

/// Where media differ from what was meant to be on them.
#[derive(Debug, Default)]
pub struct Wrong {
    /// A piece of one disk each, in the order of disks and offsets: those that were found first.
    pub places: Vec<StorageError>,
    /// How many there are in all.
    pub count: u64,
}

impl Wrong {
    fn add(&mut self, place: StorageError) {
        self.count += 1;
        if self.places.len() < KEPT {
            self.places.push(place);
        }
    }
}

/// Reads every byte of these contents once more from each of their disks, past the system's memory, and hashes it; says
/// where a disk gives back something else, or nothing. None if `go_on`, which hears how many bytes of content have been
/// compared, said no before the end.
///
/// What was written has to be synced before: what is not on the medium yet is read from memory. Others may be served
/// meanwhile.
pub fn prove(contents: &[Content], go_on: impl Fn(u64) -> bool + Sync) -> Option<Wrong> {
    let geometry = geometry(contents);
    let zeros = ZeroPieces::of(contents.iter().map(|c| &*c.metainfo), &geometry);
    let targets = contents.iter().map(|c| (Arc::clone(&c.metainfo), Arc::clone(&c.storage))).collect();
    let torrents = (0..).map_while(|torrent| geometry.pieces_of(TorrentId(torrent))).collect::<Vec<_>>();
    let nothing = Bounds { kept: 0, packed: 0, gathered: 0 };
    let pipeline = Pipeline::new(targets, geometry, zeros, BlockPool::new(0), nothing, Arc::new(NoEvents));
    let left: Mutex<VecDeque<_>> = Mutex::new(pipeline.steps(torrents).into());
    let compared = AtomicU64::new(0);
    let next = || {
        let on = go_on(compared.load(Ordering::Relaxed));
        on.then(|| left.lock().unwrap_or_else(PoisonError::into_inner).pop_front()).flatten()
    };
    let wrong = Mutex::new(Wrong::default());
    pipeline.compare_all(ezio_sha1::Method::fastest(), next, |step, told| {
        compared.fetch_add(pipeline.length_of(step), Ordering::Relaxed);
        let differ = told.into_iter().filter_map(|(disk, piece, fits)| match fits {
            Ok(true) => None,
            Ok(false) => Some(pipeline.differs(disk, PieceId(piece))),
            Err(error) => Some(error),
        });
        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
        differ.for_each(|place| wrong.add(place));
    });
    let is_whole = left.into_inner().unwrap_or_else(PoisonError::into_inner).is_empty();
    let mut wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    wrong.places.sort_by(|a, b| (&a.device, a.device_offset).cmp(&(&b.device, b.device_offset)));
    is_whole.then_some(wrong)
}
