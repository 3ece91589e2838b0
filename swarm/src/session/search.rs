//! What the targets hold already: yesterday's image, another version of it, or as much as there was when the power failed.
//!
//! Before anything is fetched some dozen pieces, spread over the whole, are read and hashed. If enough of them fit, all others
//! are looked for, while those that were found missing arrive: first what the server suggests, for it has heard of nobody who has
//! that; then where those fit that were read, each machine beginning elsewhere, so that the room soon knows what none of them has;
//! last where none fits. There pieces are given up unread while the network has nothing else to do. What is found is not
//! written again; the server hears of it at once, others soon.

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

/// So many of those before a step, and behind it, are asked whether it is worth while: changed pieces that are scattered are no run of new
/// ones.
const BESIDE: usize = 2;

/// Pieces that are yet to be looked for.
pub(crate) struct Search(Mutex<Steps>);

struct Steps {
    /// Where pieces are likely to fit.
    old: VecDeque<Range<u32>>,
    /// Where they are not, so that who has nothing else to do may fetch them unread.
    new: VecDeque<Range<u32>>,
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
        let begin = u64::from_be_bytes(self.member) as usize;
        Some(Search(Mutex::new(Steps::of(self.pipeline.steps(left), &asked, &found, begin))))
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
        self.with_core(|core| {
            // What was suggested meanwhile has been looked at by itself, and may have come since.
            let looked: Vec<u32> = step.filter(|&p| core.scheduler.is_sought(PieceId(p))).collect();
            self.watchers.note(0, self.size_of(looked.iter().copied().filter(|p| is_there(p))));
            for piece in looked {
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
        if let Some(PieceId(soon)) = engine.next_sought() {
            return Some(soon..soon + 1);
        }
        let steps = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !steps().new.is_empty()
            && engine.waits_for_nothing()
            && let Some(given_up) = { steps().new.pop_back() }
        {
            engine.looked_at(given_up, &[]);
        }
        steps().next()
    }
}

impl Steps {
    /// Orders steps by which of the pieces `asked` were `found`; both rise. `begin` is a number of this machine's own.
    fn of(steps: Vec<Range<u32>>, asked: &[u32], found: &[u32], begin: usize) -> Self {
        let fits = |step: &Range<u32>| {
            let at = asked.partition_point(|piece| *piece < step.start);
            let beside = &asked[at.saturating_sub(BESIDE)..asked.len().min(at + BESIDE)];
            beside.is_empty() || beside.iter().any(|piece| found.binary_search(piece).is_ok())
        };
        let (old, new): (Vec<_>, Vec<_>) = steps.into_iter().partition(fits);
        let mut old = VecDeque::from(old);
        old.rotate_left(begin % old.len().max(1));
        Self { old, new: new.into() }
    }

    fn next(&mut self) -> Option<Range<u32>> {
        self.old.pop_front().or_else(|| self.new.pop_front())
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
    fn where_pieces_fit_is_looked_first_and_each_machine_begins_elsewhere() {
        let steps: Vec<Range<u32>> = (0..10).map(|step| step * 10 + 1..step * 10 + 10).collect();
        let asked: Vec<u32> = (0..=10).map(|n| n * 10).collect();
        let starts = |found: &[u32], begin| {
            let steps = Steps::of(steps.clone(), &asked, found, begin);
            let starts = |of: VecDeque<Range<u32>>| of.iter().map(|step| step.start / 10).collect::<Vec<_>>();
            (starts(steps.old), starts(steps.new))
        };
        // The power failed at half.
        let half = [0, 10, 20, 30, 40];
        assert_eq!(starts(&half, 0), (vec![0, 1, 2, 3, 4, 5], vec![6, 7, 8, 9]));
        assert_eq!(starts(&half, 8), (vec![2, 3, 4, 5, 0, 1], vec![6, 7, 8, 9]));
        // Some pieces have changed.
        assert!(starts(&[0, 10, 20, 40, 50, 70, 90, 100], 1).1.is_empty());
        assert_eq!(starts(&[], 1), (vec![], (0..10).collect()));
    }

    #[test]
    fn a_run_without_some_pieces_is_all_others() {
        assert_eq!(without(3..9, &[1, 4, 5, 8, 12]), [3..4, 6..8]);
        assert_eq!(without(3..9, &[3]).as_slice(), std::slice::from_ref(&(4..9)));
        assert_eq!(without(3..4, &[3]), []);
    }
}
