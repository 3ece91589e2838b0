//! What the targets hold already: yesterday's image, another version of it, or as much as there was when the power failed.
//!
//! Before anything is fetched some dozen pieces, spread over the whole, are read and hashed. If enough of them fit, all others
//! are looked for, from the front, while those that were found missing arrive. Where most is missing and the disk is slower than
//! the network, pieces at the other end are given up unread. What is found is offered to others at once, and not written again.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use ezio_image::conf::Reuse;
use ezio_scheduler::{Input, PieceId, TorrentId};

use super::Engine;
use crate::pipeline::Fits;
use crate::storage::Storage;
use crate::threads::Threads;

/// Pieces that are read before it is known whether it is worth while.
const ASKED: usize = 40;
/// Of so many one must fit: to read what is not there costs a disk's time, to fetch what is there the room's.
const ENOUGH: usize = 10;

/// Pieces that are yet to be looked for.
pub(crate) struct Search {
    steps: Mutex<VecDeque<Range<u32>>>,
    /// Most of them are not there, so that who has nothing else to do may fetch them unread.
    most_is_new: bool,
}

impl Engine {
    /// Takes note of what need not be fetched. Reads the targets: for a thread that may wait.
    pub(crate) fn ask_targets(&self) -> Option<Search> {
        let wanted: Vec<Range<u32>> = self.wanted().collect();
        let zeros: Vec<Range<u32>> =
            wanted.iter().flat_map(|pieces| self.pipeline.zeros.of_torrent(pieces)).collect();
        let others: Vec<u32> = wanted.iter().cloned().flatten().filter(|&p| !self.is_zero(p)).collect();
        let asked: Vec<u32> = match self.config.reuse {
            Reuse::Never => Vec::new(),
            Reuse::Auto | Reuse::Always => {
                let count = ASKED.min(others.len());
                (0..count).map(|n| others[(2 * n + 1) * others.len() / (2 * count)]).collect()
            }
        };
        let found = self.look_for(&asked);
        let search = match self.config.reuse {
            Reuse::Never => false,
            Reuse::Auto => !found.is_empty() && found.len() * ENOUGH >= asked.len(),
            Reuse::Always => true,
        };
        // Before the job can end, for all is known to be there: what has to be written still.
        match search {
            true => self.pipeline.expect(),
            false => zeros.iter().cloned().for_each(|pieces| self.pipeline.write_zeros(pieces)),
        }
        self.with_core(|core| {
            let sought = others.iter().filter(|p| search && asked.binary_search(p).is_err());
            sought.for_each(|&piece| core.input(Input::Sought(PieceId(piece))));
            let had = zeros.iter().cloned().flatten().chain(found.iter().copied());
            had.for_each(|piece| core.input(Input::Found(PieceId(piece))));
        });
        self.watchers.note(self.size_of(zeros.into_iter().flatten()), self.size_of(found.iter().copied()));
        if !search {
            return None;
        }
        tracing::info!(
            fit = found.len(),
            of = asked.len(),
            "the targets hold some of it: looking for the rest"
        );
        let left = wanted.into_iter().flat_map(|pieces| without(pieces, &asked));
        let steps = Mutex::new(self.pipeline.steps(left).into());
        Some(Search { steps, most_is_new: 2 * found.len() < asked.len() })
    }

    /// Pieces of torrents that are not complete from the start.
    fn wanted(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let torrents = (0..).zip(&self.contents).filter(|(_, content)| !content.complete);
        torrents.filter_map(|(torrent, _)| self.geometry.pieces_of(TorrentId(torrent)))
    }

    fn is_zero(&self, piece: u32) -> bool {
        self.pipeline.zeros.holds(PieceId(piece))
    }

    /// Which of these, each read by itself, are there.
    fn look_for(&self, pieces: &[u32]) -> Vec<u32> {
        let left = Mutex::new(pieces.iter());
        let next =
            || left.lock().unwrap_or_else(PoisonError::into_inner).next().map(|&piece| piece..piece + 1);
        let found = Mutex::new(Vec::new());
        self.pipeline.compare_all(self.config.hashing, next, |step, told| {
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(held(step, &told));
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable();
        found
    }

    /// Takes note of what lay in a step and what did not.
    fn looked_at(&self, step: Range<u32>, found: &[u32]) {
        let is_there = |piece: &u32| found.contains(piece);
        for zeros in step.clone().filter(|p| self.is_zero(*p) && !is_there(p)) {
            self.pipeline.write_zeros(zeros..zeros + 1);
        }
        let others: Vec<u32> = step.filter(|&p| !self.is_zero(p)).collect();
        let kept: Vec<u32> = others.iter().copied().filter(|p| is_there(p)).collect();
        self.watchers.note(0, self.size_of(kept));
        self.with_core(|core| {
            for piece in others {
                let piece_id = PieceId(piece);
                core.input(if is_there(&piece) { Input::Found(piece_id) } else { Input::Absent(piece_id) });
            }
        });
    }
}

impl Search {
    /// Searches, in a thread of its own.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn run(self, engine: &Arc<Engine>, threads: &Threads) -> std::io::Result<()> {
        let method = engine.config.hashing;
        let (pipeline, engine) = (Arc::clone(&engine.pipeline), Arc::downgrade(engine));
        threads.spawn("ezio-search", move || {
            let begin = Instant::now();
            pipeline.compare_all(
                method,
                || self.next(&engine),
                |step, told| {
                    if let Some(engine) = engine.upgrade() {
                        engine.looked_at(step.clone(), &held(step, &told));
                    }
                },
            );
            tracing::info!("the targets were looked through in {:.1} s", begin.elapsed().as_secs_f64());
            pipeline.forgo();
        })
    }

    /// The next step, if anybody still wants to know.
    fn next(&self, engine: &Weak<Engine>) -> Option<Range<u32>> {
        let engine = engine.upgrade()?;
        let pop = |which: fn(&mut VecDeque<Range<u32>>) -> Option<Range<u32>>| {
            which(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner))
        };
        if self.most_is_new
            && engine.waits_for_nothing()
            && let Some(given_up) = pop(VecDeque::pop_back)
        {
            engine.looked_at(given_up, &[]);
        }
        pop(VecDeque::pop_front)
    }
}

/// The pieces of a step that all disks hold.
fn held(step: Range<u32>, told: &[(&dyn Storage, u32, Fits)]) -> Vec<u32> {
    let lacks = |piece: u32| told.iter().any(|(_, told, fits)| *told == piece && !matches!(fits, Ok(true)));
    step.filter(|&piece| !lacks(piece)).collect()
}

/// What is left of a run without these pieces, which rise.
fn without(pieces: Range<u32>, taken: &[u32]) -> Vec<Range<u32>> {
    let (mut runs, mut start) = (Vec::new(), pieces.start);
    for &piece in taken.iter().filter(|piece| pieces.contains(piece)) {
        runs.push(start..piece);
        start = piece + 1;
    }
    runs.push(start..pieces.end);
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_some_pieces_is_all_others() {
        assert_eq!(without(3..9, &[1, 4, 5, 8, 12]), [3..4, 6..8]);
        assert_eq!(without(3..9, &[3]).as_slice(), std::slice::from_ref(&(4..9)));
        assert_eq!(without(3..4, &[3]), []);
    }
}
