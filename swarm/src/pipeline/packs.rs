//! Packs that are hot: those in which pieces came, to be passed on as they are, and those made here. They have a bound of their
//! own, and the oldest go first; all packs that live count, wherever they are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ezio_scheduler::Blocks;

use super::Loaded;
use crate::block::BlockPool;
use crate::pack::Pack;

/// Piece and first block.
type Place = (u32, u32);

fn place(run: Blocks) -> Place {
    (run.piece.0, run.first)
}

pub(super) struct Packs {
    entries: HashMap<Place, Arc<Pack>>,
    /// Oldest first.
    order: VecDeque<Place>,
    limit: u64,
    /// Where their memory is from.
    pool: Arc<BlockPool>,
    waiting: HashMap<Blocks, Vec<Loaded>>,
}

impl Packs {
    pub(super) fn new(limit: u64, pool: Arc<BlockPool>) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), limit, pool, waiting: HashMap::new() }
    }

    /// A pack for the beginning of `run`, or for all of it.
    pub(super) fn get(&self, run: Blocks) -> Option<Arc<Pack>> {
        self.entries.get(&place(run)).filter(|pack| pack.run().count <= run.count).cloned()
    }

    /// Keeps a pack whose bytes are known to be right.
    pub(super) fn keep(&mut self, pack: Arc<Pack>) {
        let place = place(pack.run());
        if self.entries.insert(place, pack).is_none() {
            self.order.push_back(place);
        }
        while self.pool.packs.held() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    /// Notes who waits for these blocks; whether a pack of them is to be made for that.
    pub(super) fn wait(&mut self, run: Blocks, loaded: Loaded) -> bool {
        let waiters = self.waiting.entry(run).or_default();
        waiters.push(loaded);
        waiters.len() == 1
    }

    /// Who waits for these blocks.
    pub(super) fn end_wait(&mut self, run: Blocks) -> Vec<Loaded> {
        self.waiting.remove(&run).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ezio_scheduler::PieceId;

    fn pack(packs: &Packs, piece: u32, first: u32, count: u32) -> Arc<Pack> {
        let run = Blocks { piece: PieceId(piece), first, count };
        Arc::new(Pack::new(run, count << 14, vec![0; 1000], &packs.pool))
    }

    #[test]
    fn all_that_lives_counts_and_the_oldest_go() {
        let mut packs = Packs::new(10_000, BlockPool::new(0));
        let in_use = pack(&packs, 100, 0, 1);
        for piece in 0..50 {
            packs.keep(pack(&packs, piece, 0, 16));
            assert!(packs.pool.packs.held() <= 10_000);
        }
        let kept: Vec<u32> = (0..50)
            .filter(|&p| packs.get(Blocks { piece: PieceId(p), first: 0, count: 16 }).is_some())
            .collect();
        assert_eq!(kept, (41..50).collect::<Vec<u32>>());
        drop((in_use, packs));
    }

    #[test]
    fn what_is_asked_for_is_got_or_the_beginning_of_it_and_never_more() {
        let mut packs = Packs::new(10_000, BlockPool::new(0));
        packs.keep(pack(&packs, 1, 4, 4));
        let get = |first, count| packs.get(Blocks { piece: PieceId(1), first, count }).map(|p| p.run().count);
        assert_eq!((get(4, 4), get(4, 16), get(4, 3), get(0, 16)), (Some(4), Some(4), None, None));
    }
}
