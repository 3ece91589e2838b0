//! The scheduler and what belongs to it, behind one lock. A connection's task takes it once for all that it has read,
//! the pipeline's threads once a piece; what the scheduler answers is put into outboxes before the lock is released.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ezio_scheduler::{
    BLOCK_SIZE, Blocks, ConnId, Input, Near, Output, Peer, PieceId, Place, Scheduler, SiteId, TorrentId,
};

use super::outbox::{Close, Outbox};
use super::receive::ReceivedBlock;
use crate::block::{BLOCK, Block, BlockPool, CHUNK_BLOCKS};
use crate::config::Role;
use crate::pack::Pack;
use crate::wire::{ExtensionIds, Message, PackMessage, Parent, PlaceMessage, ShapeMessage};

/// A registered connection.
pub(super) struct Conn {
    pub(super) outbox: Arc<Outbox>,
    pub(super) torrent: TorrentId,
    pub(super) peer_id: [u8; 20],
    pub(super) member: u64,
    /// `None` for clients that are not ezio.
    pub(super) ezio: Option<(Role, [u8; 8])>,
    /// The numbers it gave to extensions.
    pub(super) ids: ExtensionIds,
    /// Where the peer takes connections, if known; else where it connected from.
    pub(super) address: SocketAddr,
    /// Did we dial?
    pub(super) outgoing: bool,
    pub(super) fast: bool,
    /// Requests that it keeps.
    pub(super) queue: u32,
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// A piece with all its blocks, and the packs in which some of them came.
pub(super) type Whole = (PieceId, Vec<Box<Block>>, Vec<Arc<Pack>>);

/// What is to be done once the lock is released.
#[derive(Default)]
pub(super) struct Effects {
    /// Pieces whose blocks are all there.
    pub(super) check: Vec<Whole>,
    /// Outboxes with news.
    pub(super) wake: Vec<Arc<Outbox>>,
    /// Every piece is verified.
    pub(super) complete: bool,
    /// The first bytes are here, or the first piece is verified.
    pub(super) begun: bool,
}

/// What is here of a piece.
#[derive(Default)]
struct Arriving {
    blocks: Vec<Option<Box<Block>>>,
    /// In which some of the blocks came.
    packs: Vec<Arc<Pack>>,
}

pub(super) struct Core {
    pub(super) scheduler: Scheduler,
    started: Instant,
    /// What the scheduler takes for the time.
    now: Duration,
    conns: Vec<Option<Conn>>,
    arriving: HashMap<PieceId, Arriving>,
    out: Vec<Output>,
    /// Connections whose outboxes have news; empty between two calls of [`Core::dispatch`].
    touched: Vec<ConnId>,
    /// Are there any bytes, and any piece that is verified?
    begun: [bool; 2],
}

impl Core {
    pub(super) fn new(scheduler: Scheduler) -> Self {
        Self {
            scheduler,
            started: Instant::now(),
            now: Duration::ZERO,
            conns: Vec::new(),
            arriving: HashMap::new(),
            out: Vec::new(),
            touched: Vec::new(),
            begun: [false; 2],
        }
    }

    /// Registered connections.
    pub(super) fn conns(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        (0..).zip(&self.conns).filter_map(|(i, c)| c.as_ref().map(|c| (ConnId(i), c)))
    }

    pub(super) fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.0 as usize)?.as_mut()
    }

    /// Looks at the clock: once for all inputs that come together, among them dozens of HAVEs.
    pub(super) fn look_at_clock(&mut self) {
        self.now = self.started.elapsed();
    }

    /// Tells the scheduler.
    pub(super) fn input(&mut self, input: Input<'_>) {
        self.scheduler.handle(self.now, input);
    }

    /// Time until the scheduler wants to look at the clock.
    pub(super) fn next_wakeup(&self) -> Option<Duration> {
        Some(self.scheduler.next_wakeup()?.saturating_sub(self.started.elapsed()))
    }

    /// Takes a connection in: what we have is its first message.
    pub(super) fn register(&mut self, conn: Conn, site: Option<SiteId>) -> ConnId {
        let index = self.conns.iter().position(Option::is_none).unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len() - 1
        });
        let id = ConnId(u32::try_from(index).unwrap_or(u32::MAX));
        self.say_what_we_have(&conn);
        let role = match conn.ezio {
            Some((Role::Server, _)) => ezio_scheduler::Role::Server,
            Some((Role::Member, _)) => ezio_scheduler::Role::Member,
            None => ezio_scheduler::Role::Foreign,
        };
        let peer = Peer {
            torrent: conn.torrent,
            member: conn.member,
            role,
            site,
            fast: conn.fast,
            queue: conn.queue,
        };
        self.conns[index] = Some(conn);
        self.input(Input::Connected(id, peer));
        id
    }

    fn say_what_we_have(&self, conn: &Conn) {
        let Some(range) = self.scheduler.geometry().pieces_of(conn.torrent) else { return };
        let mut bits = vec![0u8; range.len().div_ceil(8)];
        let mut count = 0;
        for (index, piece) in range.clone().enumerate() {
            if self.scheduler.has(PieceId(piece)) {
                bits[index / 8] |= 0x80 >> (index % 8);
                count += 1;
            }
        }
        let message = match count {
            0 if conn.fast => Message::HaveNone,
            0 => return,
            _ if conn.fast && count == range.len() => Message::HaveAll,
            _ => Message::Bitfield(&bits),
        };
        message.encode(&mut conn.outbox.lock().control);
    }

    /// A connection has ended.
    pub(super) fn unregister(&mut self, id: ConnId) {
        if self.conns.get_mut(id.0 as usize).and_then(Option::take).is_some() {
            self.input(Input::Closed(id));
        }
    }

    /// A block has come. Whether its number makes sense.
    pub(super) fn block(&mut self, id: ConnId, received: ReceivedBlock, pool: &BlockPool) -> bool {
        let Some(conn) = self.conn_mut(id) else { return true };
        conn.received += u64::from(received.length);
        let torrent = conn.torrent;
        let geometry = self.scheduler.geometry();
        let Some(piece) = geometry.piece(torrent, received.piece) else { return false };
        let block = received.begin / BLOCK_SIZE;
        let blocks = Blocks::one(piece, block);
        if !received.begin.is_multiple_of(BLOCK_SIZE)
            || received.length == 0
            || geometry.bytes_of(blocks) != received.length
        {
            return false;
        }
        self.arrived(id, blocks, [received.block], pool);
        true
    }

    /// Tells the scheduler of blocks that have come, and keeps those that it wanted; whether it wanted all.
    fn arrived(
        &mut self,
        id: ConnId,
        run: Blocks,
        blocks: impl IntoIterator<Item = Box<Block>>,
        pool: &BlockPool,
    ) -> bool {
        let wants = |core: &Self| {
            let wanted = (run.first..run.first + run.count).map(|at| core.scheduler.wants(run.piece, at));
            wanted.enumerate().fold(0u32, |bits, (at, wanted)| bits | u32::from(wanted) << at)
        };
        let before = wants(self);
        self.input(Input::Arrived(id, run));
        let taken = before & !wants(self);
        let count = self.scheduler.geometry().blocks_in(run.piece) as usize;
        let mut waste = Vec::new();
        for (at, block) in blocks.into_iter().enumerate() {
            if taken >> at & 1 == 0 {
                waste.push(block);
                continue;
            }
            let arriving = self.arriving.entry(run.piece).or_default();
            arriving.blocks.resize_with(count, || None);
            if let Some(slot) = arriving.blocks.get_mut(run.first as usize + at) {
                *slot = Some(block);
            }
        }
        pool.give(waste);
        taken.count_ones() == run.count
    }

    /// A pack has come. Whether what it stands for exists; and that, if any of it is wanted: else it is not worth opening.
    pub(super) fn pack_comes(&mut self, id: ConnId, message: PackMessage) -> Option<Option<Blocks>> {
        let Some(torrent) = self.torrent_of(id) else { return Some(None) };
        let geometry = self.scheduler.geometry();
        let piece = geometry.piece(torrent, message.piece)?;
        let end = message.first.checked_add(message.count)?;
        let run = Blocks { piece, first: message.first, count: message.count };
        let bytes = geometry.bytes_of(run);
        if end > geometry.blocks_in(piece) || message.first / CHUNK_BLOCKS != (end - 1) / CHUNK_BLOCKS {
            return None;
        }
        if let Some(conn) = self.conn_mut(id) {
            conn.received += u64::from(bytes);
        }
        let wanted = (run.first..end).any(|block| self.scheduler.wants(piece, block));
        if !wanted {
            self.input(Input::Arrived(id, run));
        }
        Some(wanted.then_some(run))
    }

    /// A pack was opened. If all of it is of use, it is kept beside its blocks, to be passed on as it is.
    pub(super) fn pack_came(
        &mut self,
        id: ConnId,
        outbox: &Arc<Outbox>,
        pack: Pack,
        blocks: Vec<Box<Block>>,
        pool: &BlockPool,
    ) {
        if self.conn_mut(id).is_none_or(|conn| !Arc::ptr_eq(&conn.outbox, outbox)) {
            // It is gone, and its number may be another's.
            return pool.give(blocks);
        }
        let run = pack.run();
        let saved = pack.raw().saturating_sub(pack.bytes().len());
        self.input(Input::Saved(u32::try_from(saved).unwrap_or(u32::MAX)));
        if self.arrived(id, run, blocks, pool)
            && let Some(arriving) = self.arriving.get_mut(&run.piece)
        {
            arriving.packs.push(Arc::new(pack));
        }
    }

    /// Does what the scheduler has decided since the last time. The connection `own` need not be woken.
    pub(super) fn dispatch(&mut self, own: Option<ConnId>, effects: &mut Effects) {
        self.scheduler.poll(self.now, &mut self.out);
        let mut out = std::mem::take(&mut self.out);
        let mut touched = std::mem::take(&mut self.touched);
        for output in out.drain(..) {
            match output {
                Output::Check(piece) => {
                    let Arriving { blocks, packs } = self.arriving.remove(&piece).unwrap_or_default();
                    effects.check.push((piece, blocks.into_iter().flatten().collect(), packs));
                }
                Output::Discard(piece) => drop(self.arriving.remove(&piece)),
                Output::Complete => effects.complete = true,
                other => {
                    if let Some(id) = self.deliver(other)
                        && own != Some(id)
                        && !touched.contains(&id)
                    {
                        touched.push(id);
                    }
                }
            }
        }
        self.out = out;
        effects.wake.extend(touched.drain(..).filter_map(|id| Some(Arc::clone(&self.conn_mut(id)?.outbox))));
        self.touched = touched;
        let stats = self.scheduler.stats();
        let begun = [stats.received > 0, stats.verified > 0];
        effects.begun = begun != std::mem::replace(&mut self.begun, begun);
    }

    /// Puts an output into its connection's outbox.
    fn deliver(&mut self, output: Output) -> Option<ConnId> {
        let (id, what) = match output {
            Output::Request(id, b) => {
                (id, Deliver::Each(b, |piece, begin, length| Message::Request { piece, begin, length }))
            }
            Output::Cancel(id, b) => {
                (id, Deliver::Each(b, |piece, begin, length| Message::Cancel { piece, begin, length }))
            }
            Output::Reject(id, b) => {
                (id, Deliver::Each(b, |piece, begin, length| Message::Reject { piece, begin, length }))
            }
            Output::Have(id, p) => (id, Deliver::One(Message::Have(self.scheduler.geometry().locate(p).1))),
            Output::Suggest(id, p) => {
                (id, Deliver::One(Message::Suggest(self.scheduler.geometry().locate(p).1)))
            }
            Output::Interested(id) => (id, Deliver::One(Message::Interested)),
            Output::NotInterested(id) => (id, Deliver::One(Message::NotInterested)),
            Output::Unchoke(id) => (id, Deliver::One(Message::Unchoke)),
            Output::Serve(id, b) => (id, Deliver::Serve(b)),
            Output::Disconnect(id, why) => (id, Deliver::Close(Close::Scheduler(why))),
            Output::Place(id, place) => {
                let body = self.place_message(self.torrent_of(id)?, place).encode();
                (id, Deliver::Extended(|ids| ids.ezio, body))
            }
            Output::Report(id) => {
                let body = ShapeMessage::Paces(self.scheduler.take_report()).encode();
                (id, Deliver::Extended(|ids| ids.ezio_shape, body))
            }
            Output::Probe(id) => (id, Deliver::Extended(|ids| ids.ezio_shape, ShapeMessage::Probe.encode())),
            Output::Echoes(id) => {
                let body = ShapeMessage::Echoes(self.scheduler.take_echoes()).encode();
                (id, Deliver::Extended(|ids| ids.ezio_shape, body))
            }
            Output::Near(id) => {
                let body = self.near_message(id)?.encode();
                (id, Deliver::Extended(|ids| ids.ezio_shape, body))
            }
            Output::Meet(id) => {
                let torrent = self.torrent_of(id)?;
                let body = ShapeMessage::Meet(self.addresses(torrent, self.scheduler.to_meet(id))).encode();
                (id, Deliver::Extended(|ids| ids.ezio_shape, body))
            }
            Output::Check(_) | Output::Discard(_) | Output::Complete => return None,
        };
        let conn = self.conns.get(id.0 as usize)?.as_ref()?;
        let mut pending = conn.outbox.lock();
        match what {
            Deliver::One(message) => message.encode(&mut pending.control),
            Deliver::Each(blocks, message) => {
                let geometry = self.scheduler.geometry();
                let index = geometry.locate(blocks.piece).1;
                for block in blocks.first..blocks.first.saturating_add(blocks.count) {
                    let length = geometry.bytes_of(Blocks::one(blocks.piece, block));
                    message(index, block * BLOCK as u32, length).encode(&mut pending.control);
                }
            }
            Deliver::Extended(number, body) => {
                if let Some(id) = number(&conn.ids) {
                    Message::Extended { id, body: &body }.encode(&mut pending.control);
                }
            }
            Deliver::Serve(blocks) => pending.serve.push(blocks),
            Deliver::Close(why) => {
                pending.close.get_or_insert(why);
            }
        }
        Some(id)
    }

    fn torrent_of(&self, id: ConnId) -> Option<TorrentId> {
        Some(self.conns.get(id.0 as usize)?.as_ref()?.torrent)
    }

    /// Where a connection's peer is among the sites, others by address.
    fn near_message(&self, id: ConnId) -> Option<ShapeMessage> {
        let torrent = self.torrent_of(id)?;
        let Near { site, routes, members } = self.scheduler.near(id)?;
        let members = members.into_iter().map(|(at, there)| (at, self.addresses(torrent, there))).collect();
        Some(ShapeMessage::Near(Near { site, routes, members }))
    }

    /// Where these members are connected from, for a torrent.
    fn addresses(&self, torrent: TorrentId, members: Vec<u64>) -> Vec<SocketAddr> {
        let members: HashSet<u64> = members.into_iter().collect();
        let there = self.conns().filter(|(_, c)| c.torrent == torrent && members.contains(&c.member));
        there.map(|(_, c)| c.address).collect()
    }

    fn place_message(&self, torrent: TorrentId, place: Option<Place>) -> PlaceMessage {
        let address = |member: u64| {
            let mut peers = self.conns().filter(|(_, c)| c.torrent == torrent && c.member == member);
            peers.next().map(|(_, c)| c.address)
        };
        let parents = place.map(|place| {
            [0, 1].map(|tree: usize| {
                let (member, from) = (place.parents[tree], place.from[tree]);
                Parent { member: member.to_be_bytes(), address: address(member), from }
            })
        });
        let children = place.map_or([None; 2], |place| place.children.map(|c| c.map(u64::to_be_bytes)));
        PlaceMessage { parents, children }
    }
}

enum Deliver {
    One(Message<'static>),
    Each(Blocks, fn(u32, u32, u32) -> Message<'static>),
    Extended(fn(&ExtensionIds) -> Option<u8>, Vec<u8>),
    Serve(Blocks),
    Close(Close),
}
