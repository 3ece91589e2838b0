//! What happens in a room, and when.

use super::super::link::Nanos;
use super::super::tcp::Segment;
use ezio_scheduler::{ConnId, Echo, Input, Pace, PieceId, Routes};

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Start(u32),
    Kill(u32),
    Connect(u32, u32),
    Closed(u32, ConnId),
    /// A segment leaves link `hop` of its path.
    Data {
        stream: u32,
        segment: Segment,
        sent_at: Nanos,
        hop: u8,
    },
    Ack {
        stream: u32,
        len: u32,
        sent_at: Nanos,
        hop: u8,
    },
    Lost {
        stream: u32,
        segment: Segment,
    },
    Hashed(u32, PieceId),
    Wake(u32, Nanos),
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Nanos,
    pub(super) order: u64,
    pub(super) what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

pub(super) enum Told {
    Plain(Input<'static>),
    /// Time has passed.
    Nothing,
    Bitfield(ConnId, Vec<u8>),
    Report(ConnId, Vec<Pace>),
    Echoes(ConnId, Vec<Echo>),
    Routes(Routes),
    Have(ConnId, PieceId),
}
