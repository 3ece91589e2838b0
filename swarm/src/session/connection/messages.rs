//! What a peer says, told to the scheduler; what only the connection can answer is answered here.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use ezio_scheduler::{Blocks, ConnId, Input, PieceId, Place};

use super::{Connection, End, MAX_UNPACKING};
use crate::block::Block;
use crate::config::Role;
use crate::pack::Pack;
use crate::session::core::Core;
use crate::session::outbox::Pending;
use crate::session::receive::Incoming;
use crate::session::transmit::requested_block;
use crate::wire::{
    EZIO_ID, EZIO_SHAPE_ID, ExtendedHandshake, METADATA_BLOCK, Message, MetadataMessage, PlaceMessage,
    ShapeMessage, UT_METADATA_ID,
};

/// A peer may ask for the metadata so often.
const METADATA_TIMES: usize = 4;
/// Answers that a peer does not take: it is asking without reading.
const MAX_CONTROL: usize = 4 << 20;

impl Connection {
    /// Tells the scheduler what was sent and what has come.
    pub(super) fn tell(&mut self, sent: usize) -> Result<(), End> {
        let mut incoming = std::mem::take(&mut self.receiver.incoming);
        let engine = Arc::clone(&self.engine);
        let mut together = std::mem::take(&mut self.together);
        let mut packs = Vec::new();
        let result = engine.with_core_of(Some(self.id), |core| {
            if sent > 0 {
                let bytes = u32::try_from(sent).unwrap_or(u32::MAX);
                if let Some(conn) = core.conn_mut(self.id) {
                    conn.sent += u64::from(bytes);
                }
                core.input(Input::Sent(self.id, bytes));
            }
            let result = incoming.drain(..).try_for_each(|incoming| match incoming {
                Incoming::Block(block) => {
                    engine.wire.received(block.length as usize);
                    let sensible = core.block(self.id, block, &engine.pool);
                    if sensible { Ok(()) } else { Err(End::Protocol("a block that does not exist")) }
                }
                Incoming::Pack(message, bytes) => {
                    engine.wire.received(bytes.len());
                    let run = core.pack_comes(self.id, message).ok_or(End::Protocol("a pack of nothing"))?;
                    packs.extend(run.map(|run| engine.pipeline.pack(run, bytes)));
                    Ok(())
                }
                Incoming::Frame(start, end) => self.frame(core, &mut together, start, end),
            });
            together.flush(self.id, core);
            result
        });
        self.receiver.incoming = incoming;
        self.together = together;
        packs.into_iter().for_each(|pack| self.unpack(pack));
        let named = std::mem::take(&mut self.named);
        if !named.is_empty() {
            engine.addresses.add(usize::from(self.torrent.0), &named, true);
        }
        let near = std::mem::take(&mut self.near);
        if !near.is_empty() {
            engine.addresses.add(usize::from(self.torrent.0), &near, false);
        }
        self.receiver.clear();
        result
    }

    /// Has a pack opened, and what was in it told to the scheduler.
    fn unpack(&self, pack: Pack) {
        let (id, engine) = (self.id, Arc::downgrade(&self.engine));
        let (outbox, length) = (Arc::clone(&self.outbox), pack.bytes().len());
        outbox.unpacking.fetch_add(length, Ordering::Relaxed);
        let done = move |pack: Pack, blocks: Vec<Box<Block>>| {
            if let Some(engine) = engine.upgrade() {
                engine.with_core(|core| core.pack_came(id, &outbox, pack, blocks, &engine.pool));
            }
            if outbox.unpacking.fetch_sub(length, Ordering::Relaxed) > MAX_UNPACKING {
                outbox.wake();
            }
        };
        self.engine.pipeline.unpack(pack, Box::new(done));
    }

    fn frame(
        &mut self,
        core: &mut Core,
        together: &mut Together,
        start: usize,
        end: usize,
    ) -> Result<(), End> {
        let id = self.id;
        let message = Message::decode(self.receiver.frame(start, end))?;
        let piece = |index: u32| {
            self.engine
                .geometry
                .piece(self.torrent, index)
                .ok_or(End::Protocol("a piece that does not exist"))
        };
        if let Message::Request { piece: index, begin, length } = message {
            let piece = piece(index)?;
            return self.request(core, together, piece, index, begin, length);
        }
        if let Message::Have(index) = message {
            together.haves.push(piece(index)?);
            return Ok(());
        }
        together.flush(id, core);
        match message {
            Message::Choke => core.input(Input::Choked(id)),
            Message::Unchoke => core.input(Input::Unchoked(id)),
            Message::Interested => core.input(Input::Interested(id)),
            Message::NotInterested => core.input(Input::NotInterested(id)),
            Message::Bitfield(bits) => {
                let pieces = self.engine.geometry.pieces_of(self.torrent).map_or(0, |r| r.len());
                if bits.len() != pieces.div_ceil(8) {
                    return Err(End::Protocol("a bitfield of another length"));
                }
                core.input(Input::Bitfield(id, bits));
            }
            Message::HaveAll => core.input(Input::HaveAll(id)),
            Message::HaveNone => core.input(Input::HaveNone(id)),
            Message::Suggest(index) => core.input(Input::Suggested(id, piece(index)?)),
            Message::Cancel { piece: index, begin, length } => {
                let piece = piece(index)?;
                if let Some(blocks) =
                    requested_block(piece, begin, length, self.engine.geometry.piece_size(piece))
                {
                    core.input(Input::Cancelled(id, blocks));
                }
            }
            Message::Reject { piece: index, begin, length } => {
                let piece = piece(index)?;
                if let Some(blocks) =
                    requested_block(piece, begin, length, self.engine.geometry.piece_size(piece))
                {
                    core.input(Input::Rejected(id, blocks));
                }
            }
            Message::Extended { id: 0, body } => {
                let theirs = ExtendedHandshake::decode(body)?;
                self.ids = theirs.ids;
                if let Some(port) = theirs.port
                    && let Some(conn) = core.conn_mut(id)
                    && !conn.outgoing
                {
                    conn.address.set_port(port);
                }
            }
            Message::Extended { id: EZIO_ID, body } => {
                let PlaceMessage { parents, children } = PlaceMessage::decode(body)?;
                let server = core.conn_mut(id).is_some_and(|c| c.ezio.is_some_and(|e| e.0 == Role::Server));
                let parents = parents.filter(|_| server);
                let place = parents.map(|parents| Place {
                    parents: parents.map(|p| u64::from_be_bytes(p.member)),
                    children: children.map(|c| c.map(u64::from_be_bytes)),
                    from: parents.map(|p| p.from),
                });
                self.named.extend(parents.iter().flatten().filter_map(|p| p.address));
                core.input(Input::Placed(id, place));
            }
            Message::Extended { id: EZIO_SHAPE_ID, body } => {
                let peer = core.conn_mut(id).and_then(|c| Some((c.ezio?.0, c.address)));
                match (ShapeMessage::decode(body)?, peer) {
                    (Some(ShapeMessage::Near(near)), Some((Role::Server, server))) => {
                        self.near.extend(near.members.values().flatten());
                        self.engine.learn_near(core, near, server);
                    }
                    (Some(ShapeMessage::Meet(some)), Some((Role::Server, _))) => {
                        self.named.extend(some);
                        core.input(Input::Meet);
                    }
                    (Some(ShapeMessage::Paces(paces)), Some((Role::Member, _))) => {
                        core.input(Input::Reported(id, &paces));
                    }
                    (Some(ShapeMessage::Probe), Some((Role::Member, _))) => self.echo()?,
                    (Some(ShapeMessage::Echo), Some((Role::Member, _))) => core.input(Input::Echoed(id)),
                    (Some(ShapeMessage::Echoes(echoes)), Some((Role::Member, _))) => {
                        core.input(Input::Echoes(id, &echoes));
                    }
                    _ => {}
                }
            }
            Message::Extended { id: UT_METADATA_ID, body } => {
                let message = MetadataMessage::decode(body)?;
                self.metadata(message)?;
            }
            Message::KeepAlive
            | Message::Port(_)
            | Message::AllowedFast(_)
            | Message::Extended { .. }
            | Message::Unknown(_)
            | Message::Have(_)
            | Message::Request { .. }
            | Message::Piece { .. } => {}
        }
        Ok(())
    }

    fn request(
        &self,
        core: &mut Core,
        together: &mut Together,
        piece: PieceId,
        index: u32,
        begin: u32,
        length: u32,
    ) -> Result<(), End> {
        if let Some(blocks) = requested_block(piece, begin, length, self.engine.geometry.piece_size(piece)) {
            together.request(self.id, core, blocks);
            return Ok(());
        }
        let mut pending = self.answers()?;
        match core.conn_mut(self.id) {
            Some(conn) if conn.fast => {
                Message::Reject { piece: index, begin, length }.encode(&mut pending.control);
                Ok(())
            }
            _ => Err(End::Protocol("a request that is not one block")),
        }
    }

    /// Where an answer goes.
    fn answers(&self) -> Result<MutexGuard<'_, Pending>, End> {
        let pending = self.outbox.lock();
        if pending.control.len() > MAX_CONTROL {
            return Err(End::Protocol("it asks without reading"));
        }
        Ok(pending)
    }

    /// Answers a probe.
    fn echo(&self) -> Result<(), End> {
        let Some(shape) = self.ids.ezio_shape else { return Ok(()) };
        let mut pending = self.answers()?;
        Message::Extended { id: shape, body: &ShapeMessage::Echo.encode() }.encode(&mut pending.control);
        Ok(())
    }

    /// Serves the info dictionary (BEP 9).
    fn metadata(&self, message: MetadataMessage<'_>) -> Result<(), End> {
        let (MetadataMessage::Request(piece), Some(their_id)) = (message, self.ids.ut_metadata) else {
            return Ok(());
        };
        let info = self.engine.contents[usize::from(self.torrent.0)].metainfo.info_bytes();
        let start = (piece as usize).saturating_mul(METADATA_BLOCK as usize);
        let data = info.get(start..info.len().min(start.saturating_add(METADATA_BLOCK as usize)));
        let data = data.filter(|d| !d.is_empty() && self.metadata_sent.get() <= info.len() * METADATA_TIMES);
        let answer = match (data, u32::try_from(info.len())) {
            (Some(data), Ok(total)) => MetadataMessage::Data { piece, total, data },
            _ => MetadataMessage::Reject(piece),
        };
        self.metadata_sent.set(self.metadata_sent.get() + data.map_or(0, <[u8]>::len));
        let mut pending = self.answers()?;
        Message::Extended { id: their_id, body: &answer.encode() }.encode(&mut pending.control);
        drop(pending);
        self.outbox.wake();
        Ok(())
    }
}

/// What goes to the scheduler as one: requests that follow one another in a piece, and HAVEs, of which dozens come at a time.
#[derive(Default)]
pub(super) struct Together {
    requests: Option<Blocks>,
    haves: Vec<PieceId>,
}

impl Together {
    fn request(&mut self, id: ConnId, core: &mut Core, blocks: Blocks) {
        match &mut self.requests {
            Some(run) if run.piece == blocks.piece && run.first + run.count == blocks.first => run.count += 1,
            _ => {
                self.flush(id, core);
                self.requests = Some(blocks);
            }
        }
    }

    fn flush(&mut self, id: ConnId, core: &mut Core) {
        if !self.haves.is_empty() {
            core.input(Input::Have(id, &self.haves));
            self.haves.clear();
        }
        if let Some(run) = self.requests.take() {
            core.input(Input::Requested(id, run));
        }
    }
}
