//! What is known of one connection.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::answers::Answers;
use super::bits::Bits;
use super::event::{ConnId, Peer, Role};
use super::geometry::{BLOCK_SIZE, Blocks, PieceId, TorrentId};
use super::rate::Rate;
use super::stopwatch::Stopwatch;

/// One block asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) piece: PieceId,
    pub(super) block: u32,
    pub(super) at: Duration,
}

/// A run of blocks that the peer asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued {
    pub(super) blocks: Blocks,
    pub(super) at: Duration,
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) peer: Peer,
    /// Index of its member in the scheduler's table.
    pub(super) member: usize,
    /// Global pieces that it has.
    pub(super) has: Bits,
    /// How many of them we miss.
    pub(super) useful: u32,
    /// They choke us.
    pub(super) choked: bool,
    /// We told them that we are interested.
    pub(super) interested: bool,
    /// Requests of ours, oldest first.
    pub(super) pending: VecDeque<Pending>,
    pub(super) pending_bytes: u64,
    /// Rate at which it sends to us, over the times in which we waited for it.
    pub(super) down: Rate,
    /// When something of it last arrived that we had asked for, or when we began to wait.
    pub(super) progress: Duration,
    /// When the latest of the requests that it answered was made.
    pub(super) answered: Duration,
    /// How long it takes to answer.
    pub(super) answers: Answers,
    /// It let requests go late: ask it little until it delivers.
    pub(super) late: bool,
    /// When it last suggested something.
    pub(super) steered: Duration,
    /// When we last offered it something.
    pub(super) offered: Duration,
    /// Pieces it suggested, oldest first.
    pub(super) suggested: VecDeque<PieceId>,
    /// Requests of theirs.
    pub(super) queue: VecDeque<Queued>,
    pub(super) queue_blocks: u32,
    /// Requests of theirs for what is not here yet: they are our child in a tree.
    pub(super) awaited: VecDeque<Queued>,
    /// We pass pieces on to it: it goes before all others.
    pub(super) child: bool,
    /// Holds a slot.
    pub(super) serving: bool,
    /// The piece whose run is being served.
    pub(super) turn: Option<PieceId>,
    /// Payload bytes given to the driver and not yet taken by the kernel.
    pub(super) in_service: u64,
    /// When the kernel last took some.
    pub(super) taken: Duration,
    /// Runs while the kernel has something of ours to send.
    pub(super) stopwatch: Stopwatch,
    /// How much of the log of own pieces it has been told.
    pub(super) announced: usize,
    /// How much was looked at for pieces that it is to fetch for its site,
    pub(super) called: usize,
    /// and those of which it was told.
    pub(super) calls: Bits,
    /// When it was last told of any.
    pub(super) told: Duration,
    pub(super) closing: bool,
}

impl Conn {
    pub(super) fn new(peer: Peer, member: usize, pieces: u32, now: Duration) -> Self {
        Self {
            peer,
            member,
            has: Bits::new(pieces),
            useful: 0,
            choked: true,
            interested: false,
            pending: VecDeque::new(),
            pending_bytes: 0,
            down: Rate::default(),
            progress: now,
            answered: Duration::ZERO,
            answers: Answers::default(),
            late: false,
            steered: now,
            offered: Duration::ZERO,
            suggested: VecDeque::new(),
            queue: VecDeque::new(),
            queue_blocks: 0,
            awaited: VecDeque::new(),
            child: false,
            serving: false,
            turn: None,
            in_service: 0,
            taken: now,
            stopwatch: Stopwatch::default(),
            announced: 0,
            called: 0,
            calls: Bits::default(),
            told: now,
            closing: false,
        }
    }

    /// Payload bytes that it asked for and that have not left.
    pub(super) fn owed(&self) -> u64 {
        u64::from(self.queue_blocks) * u64::from(BLOCK_SIZE) + self.in_service
    }

    /// Blocks that it asked for and that are kept here.
    pub(super) fn kept(&self) -> u32 {
        self.queue_blocks + self.awaited.iter().map(|queued| queued.blocks.count).sum::<u32>()
    }

    /// Whether it keeps so many more bytes of requests; one run in any case.
    pub(super) fn keeps(&self, bytes: u64) -> bool {
        let blocks = self.pending.len() as u64 + bytes.div_ceil(BLOCK_SIZE.into());
        self.pending.is_empty() || blocks <= self.peer.queue.into()
    }

    /// Notes that it is told of a piece, of this many, which it may fetch for its site; whether that is news.
    pub(super) fn note_call(&mut self, piece: PieceId, pieces: u32) -> bool {
        if self.calls.len() == 0 {
            self.calls = Bits::new(pieces);
        }
        self.calls.set(piece.0)
    }

    pub(super) fn ours(&self) -> bool {
        self.peer.role != Role::Foreign
    }
}

/// All connections, by id.
#[derive(Debug, Default)]
pub(super) struct Conns {
    slots: Vec<Option<Box<Conn>>>,
    /// Ids in use, in the order of their coming.
    live: Vec<ConnId>,
    /// How many there are of each torrent.
    of_torrent: HashMap<TorrentId, u32>,
}

impl Conns {
    pub(super) fn insert(&mut self, id: ConnId, conn: Conn) {
        if id.index() >= self.slots.len() {
            self.slots.resize_with(id.index() + 1, || None);
        }
        *self.of_torrent.entry(conn.peer.torrent).or_default() += 1;
        if let Some(old) = self.slots[id.index()].replace(Box::new(conn)) {
            self.forget(&old);
        } else {
            self.live.push(id);
        }
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        let conn = self.slots.get_mut(id.index())?.take();
        self.live.retain(|&l| l != id);
        if let Some(conn) = &conn {
            self.forget(conn);
        }
        conn
    }

    fn forget(&mut self, conn: &Conn) {
        if let Some(count) = self.of_torrent.get_mut(&conn.peer.torrent) {
            *count -= 1;
        }
    }

    pub(super) fn of_torrent(&self, torrent: TorrentId) -> u32 {
        self.of_torrent.get(&torrent).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slots.get(id.index())?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slots.get_mut(id.index())?.as_deref_mut()
    }

    pub(super) fn ids(&self) -> &[ConnId] {
        &self.live
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.live.iter().filter_map(|&id| Some((id, self.get(id)?)))
    }
}
