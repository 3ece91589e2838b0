//! What this node has, what it is fetching, and how rare each piece is.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::bits::Bits;
use super::event::ConnId;
use super::geometry::{Geometry, PieceId};

/// One block of a piece that is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Nobody was asked.
    Free,
    /// One connection was asked, or two when the first was late.
    Asked(ConnId, Option<ConnId>),
    /// It is here; from this member.
    Here(u32),
}

/// A piece that is being fetched.
#[derive(Debug)]
pub(super) struct Active {
    /// None while the piece is sought on the target.
    pub(super) blocks: Vec<Block>,
    /// Blocks that nobody was asked for.
    pub(super) free: u32,
    /// Blocks that are here.
    pub(super) here: u32,
    /// All of it comes from this connection alone: its hash failed before, or the peer is under suspicion.
    pub(super) sole: Option<ConnId>,
    /// It failed its hash before: fetch it from one peer.
    pub(super) failed: bool,
}

/// The rarest of the pieces it was shown; among equals, one by chance.
pub(super) struct Rarest {
    pub(super) piece: Option<PieceId>,
    copies: u16,
    ties: u32,
}

impl Rarest {
    pub(super) fn new() -> Self {
        Self { piece: None, copies: u16::MAX, ties: 0 }
    }

    /// Whether a piece with so many copies could be the one.
    pub(super) fn admits(&self, copies: u16) -> bool {
        copies <= self.copies
    }

    /// Takes note of a piece that is admitted.
    pub(super) fn show(&mut self, piece: PieceId, copies: u16, rng: &mut SmallRng) {
        self.ties = if copies < self.copies { 1 } else { self.ties + 1 };
        self.copies = copies;
        if self.ties == 1 || rng.random_range(0..self.ties) == 0 {
            self.piece = Some(piece);
        }
    }
}

/// All pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) have: Bits,
    /// Missing pieces which somebody connected, servers apart, has and which have a block that nobody was asked for.
    pub(super) open: Bits,
    /// Nothing before this one is open.
    lowest: u32,
    /// Number of connections, servers apart, that have it.
    pub(super) copies: Vec<u16>,
    active: Vec<Option<Box<Active>>>,
    /// Started pieces which are open, oldest first.
    pub(super) started: Vec<PieceId>,
    pub(super) active_bytes: u64,
    active_count: u32,
    /// Pieces that failed their hash.
    pub(super) failed: Vec<PieceId>,
}

impl Pieces {
    pub(super) fn new(count: u32) -> Self {
        let mut active = Vec::new();
        active.resize_with(count as usize, || None);
        Self {
            have: Bits::new(count),
            open: Bits::new(count),
            lowest: 0,
            copies: vec![0; count as usize],
            active,
            started: Vec::new(),
            active_bytes: 0,
            active_count: 0,
            failed: Vec::new(),
        }
    }

    pub(super) fn active(&self, piece: PieceId) -> Option<&Active> {
        self.active.get(piece.index())?.as_deref()
    }

    pub(super) fn active_mut(&mut self, piece: PieceId) -> Option<&mut Active> {
        self.active.get_mut(piece.index())?.as_deref_mut()
    }

    /// Somebody more has it.
    pub(super) fn gained(&mut self, piece: PieceId) {
        if let Some(n) = self.copies.get_mut(piece.index()) {
            *n = n.saturating_add(1);
        }
        self.refresh(piece);
    }

    /// Somebody who has it is gone.
    pub(super) fn lost(&mut self, piece: PieceId) {
        if let Some(n) = self.copies.get_mut(piece.index()) {
            *n = n.saturating_sub(1);
        }
        self.refresh(piece);
    }

    /// Whether `open` holds the piece is worked out anew.
    pub(super) fn refresh(&mut self, piece: PieceId) {
        let free = self.active(piece).is_none_or(|a| a.free > 0);
        let copies = self.copies.get(piece.index()).copied().unwrap_or(0);
        if free && copies > 0 && !self.have.get(piece.0) {
            self.open.set(piece.0);
            self.lowest = self.lowest.min(piece.0);
        } else {
            self.open.clear(piece.0);
        }
    }

    /// The first open piece.
    pub(super) fn first_open(&mut self) -> Option<u32> {
        let first = self.open.first_from(self.lowest);
        self.lowest = first.unwrap_or(self.open.len());
        first
    }

    /// Whether every missing piece is being fetched.
    pub(super) fn all_begun(&self) -> bool {
        self.have.count() + self.active_count >= self.have.len()
    }

    /// Begins to fetch a piece, or goes on.
    pub(super) fn start(&mut self, geometry: &Geometry, piece: PieceId) -> Option<&mut Active> {
        let slot = self.active.get_mut(piece.index())?;
        if slot.is_none() {
            let blocks = geometry.blocks_in(piece);
            let failed = self.failed.contains(&piece);
            *slot = Some(Box::new(Active {
                blocks: vec![Block::Free; blocks as usize],
                free: blocks,
                here: 0,
                sole: None,
                failed,
            }));
            self.active_count += 1;
            self.active_bytes += u64::from(geometry.piece_size(piece));
            self.started.push(piece);
        }
        slot.as_deref_mut()
    }

    /// A piece is not to be asked of anybody for now.
    pub(super) fn seek(&mut self, piece: PieceId) {
        if let Some(slot) = self.active.get_mut(piece.index())
            && slot.is_none()
        {
            let nothing = Active { blocks: Vec::new(), free: 0, here: 0, sole: None, failed: false };
            *slot = Some(Box::new(nothing));
            self.refresh(piece);
        }
    }

    /// Is it sought, rather than fetched?
    pub(super) fn is_sought(&self, piece: PieceId) -> bool {
        self.active(piece).is_some_and(|a| a.blocks.is_empty())
    }

    /// What still has to come from this connection alone.
    pub(super) fn only_from(&self, conn: ConnId) -> Vec<PieceId> {
        let awaits = |a: &Active| a.sole == Some(conn) && (a.here as usize) < a.blocks.len();
        let pieces = (0..).map(PieceId).zip(&self.active);
        pieces.filter(|(_, a)| a.as_deref().is_some_and(awaits)).map(|(piece, _)| piece).collect()
    }

    /// A piece is fetched no more: it is complete, has failed, or nothing of it is here or asked for.
    pub(super) fn end(&mut self, geometry: &Geometry, piece: PieceId) -> Option<Box<Active>> {
        let active = self.active.get_mut(piece.index())?.take()?;
        if active.blocks.is_empty() {
            return Some(active);
        }
        self.active_count -= 1;
        self.active_bytes -= u64::from(geometry.piece_size(piece));
        self.started.retain(|&p| p != piece);
        Some(active)
    }

    /// A block that was asked for is asked for no more.
    pub(super) fn release(&mut self, geometry: &Geometry, piece: PieceId, block: u32, conn: ConnId) {
        let Some(active) = self.active_mut(piece) else { return };
        let Some(state) = active.blocks.get_mut(block as usize) else { return };
        match *state {
            Block::Asked(a, Some(b)) if a == conn => *state = Block::Asked(b, None),
            Block::Asked(a, Some(b)) if b == conn => *state = Block::Asked(a, None),
            Block::Asked(a, None) if a == conn => {
                *state = Block::Free;
                active.free += 1;
                if active.free as usize == active.blocks.len() {
                    self.end(geometry, piece);
                } else if !self.started.contains(&piece) {
                    self.started.push(piece);
                }
                self.refresh(piece);
            }
            _ => {}
        }
    }
}
