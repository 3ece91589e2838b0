//! One machine: the scheduler, and what a driver would do around it.

use std::collections::{HashMap, HashSet};

use ezio_scheduler::{BLOCK_SIZE, Blocks, Echo, Near, PROBE, Pace, PieceId, Place, Scheduler, SiteId};

use super::link::Nanos;

/// A message on the wire.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Bitfield(Vec<u8>),
    Have(PieceId),
    Interested(bool),
    Unchoked,
    Request(Blocks),
    Cancel(Blocks),
    Reject(Blocks),
    Suggest(PieceId),
    Place(Option<Place>),
    Report(Vec<Pace>),
    Near(Near<u64>),
    Meet(Vec<u64>),
    Probe,
    Echo,
    Echoes(Vec<Echo>),
    /// A block, and whether it is what it should be.
    Block(Blocks, bool),
}

impl Message {
    /// Bytes of BEP 3's and BEP 6's framing, with what a handshake adds to the first.
    pub(super) fn bytes(&self) -> u32 {
        match self {
            Self::Bitfield(bits) => 68 + 160 + 5 + bits.len() as u32,
            Self::Have(_) | Self::Suggest(_) => 9,
            Self::Interested(_) | Self::Unchoked => 5,
            Self::Place(_) => 90,
            Self::Probe => 20 + PROBE as u32,
            Self::Echo => 20,
            Self::Echoes(echoes) => 20 + 12 * echoes.len() as u32,
            Self::Near(near) => {
                let members: usize = near.members.values().map(Vec::len).sum();
                20 + 30 * near.routes.sites().len() as u32 + 6 * members as u32
            }
            Self::Meet(members) => 20 + 6 * members.len() as u32,
            Self::Report(paces) => 20 + 16 * paces.len() as u32,
            Self::Request(b) | Self::Cancel(b) | Self::Reject(b) => 17 * b.count,
            Self::Block(_, _) => 13 + BLOCK_SIZE,
        }
    }
}

/// A machine.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) scheduler: Option<Scheduler>,
    /// Global connection and end of each local connection id.
    pub(super) conns: Vec<(u32, u8)>,
    pub(super) wake: Nanos,
    pub(super) bad: HashSet<(u32, u32)>,
    pub(super) start: Nanos,
    pub(super) done: Option<Nanos>,
    pub(super) dead: bool,
    pub(super) corrupt: bool,
    /// Where the server said that this machine is, and others.
    pub(super) found: Option<(SiteId, HashMap<u32, SiteId>)>,
    /// Most bytes that the scheduler had outstanding.
    pub(super) outstanding: u64,
}
