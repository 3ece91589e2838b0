//! One connection: a task that moves bytes both ways and talks with the scheduler.

mod messages;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use ezio_scheduler::{Blocks, ConnId, TorrentId};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::futures::Notified;
use tokio::time::{interval, sleep};

use self::messages::Together;
use super::Engine;
use super::handshake::Established;
use super::outbox::{Close, Outbox};
use super::rate_limit::RateLimit;
use super::receive::Receiver;
use super::socket::{self, Carries, LowWater, SendQueue};
use super::transmit::Transmitter;
use crate::pipeline::Loaded;
use crate::wire::{ExtensionIds, Message, WireError, frame_limit};

/// Bytes read in one turn, at most.
const READ: usize = 320 << 10;
/// Turns before other tasks have theirs.
const TURNS: u32 = 16;
/// Bytes of packs of one peer that may wait to be unpacked: with more than that nothing is read from it.
const MAX_UNPACKING: usize = 256 << 10;
/// Connections look at the clock so often.
const IDLE_CHECK: Duration = Duration::from_secs(20);
/// Nothing sent for so long: a keep-alive (BEP 3 gives two minutes).
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Nothing received for so long, not even a keep-alive: the peer is gone.
const SILENCE: Duration = Duration::from_secs(180);

/// Why a connection has ended.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("the peer closed the connection")]
    Eof,
    #[error("input or output")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    #[error("the peer was silent")]
    Silent,
    #[error("content could not be read")]
    Unreadable,
    #[error("closed: {0:?}")]
    Closed(Close),
}

struct Connection {
    engine: Arc<Engine>,
    stream: TcpStream,
    id: ConnId,
    torrent: TorrentId,
    outbox: Arc<Outbox>,
    /// Taken out of it.
    serve: Vec<Blocks>,
    ids: ExtensionIds,
    receiver: Receiver,
    low_water: LowWater,
    together: Together,
    transmitter: Transmitter,
    queue: SendQueue,
    carries: Carries,
    /// Bytes of content that the kernel took, in whatever form, and may not have sent yet.
    in_kernel: usize,
    metadata_sent: Cell<usize>,
    /// Peers that this one told us to connect to.
    named: Vec<SocketAddr>,
    /// Peers that are at our site, or at that before it.
    near: Vec<SocketAddr>,
    sent_at: Instant,
    received_at: Instant,
}

/// What a turn leaves to wait for.
#[derive(Default)]
struct Turn {
    progress: bool,
    want_write: bool,
    /// What has come has to be unpacked before more is read.
    read_held: bool,
    /// A rate limit holds back reading, or writing.
    read_wait: Option<Duration>,
    write_wait: Option<Duration>,
}

/// Runs a connection to its end, and takes it out of the scheduler.
pub(super) async fn run(engine: Arc<Engine>, established: Established) -> End {
    let Established { stream, id, torrent, outbox, ids, rest } = established;
    let pieces = engine.geometry.pieces_of(torrent).map_or(0, |r| r.len());
    let limit = frame_limit(u32::try_from(pieces).unwrap_or(u32::MAX));
    let registered = Registered { engine: Arc::clone(&engine), id };
    let mut connection = Connection {
        receiver: Receiver::new(&rest, limit),
        engine,
        stream,
        id,
        torrent,
        outbox,
        low_water: LowWater::new(),
        serve: Vec::new(),
        ids,
        together: Together::default(),
        transmitter: Transmitter::default(),
        queue: SendQueue::new(),
        carries: Carries::default(),
        in_kernel: 0,
        metadata_sent: Cell::new(0),
        named: Vec::new(),
        near: Vec::new(),
        sent_at: Instant::now(),
        received_at: Instant::now(),
    };
    let end = connection.run().await;
    connection.receiver.release(&connection.engine.pool);
    drop(registered);
    end
}

/// Has all connections look at the clock: one timer for all of them.
pub(super) async fn watch(engine: Arc<Engine>) {
    let mut timer = interval(IDLE_CHECK);
    loop {
        timer.tick().await;
        engine.with_core(|core| core.conns().for_each(|(_, conn)| conn.outbox.look_at_clock()));
    }
}

/// Whatever ends the task, the scheduler hears of it.
struct Registered {
    engine: Arc<Engine>,
    id: ConnId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.engine.with_core(|core| core.unregister(self.id));
    }
}

impl Connection {
    async fn run(&mut self) -> End {
        let outbox = Arc::clone(&self.outbox);
        let mut news = pin!(outbox.news());
        let mut turns = 0;
        if let Err(end) = self.parse() {
            return end;
        }
        loop {
            let turn = match self.turn() {
                Ok(turn) => turn,
                Err(end) => return end,
            };
            if turn.progress {
                turns += 1;
                if turns % TURNS == 0 {
                    tokio::task::yield_now().await;
                }
                continue;
            }
            let waited = match turn.read_wait.into_iter().chain(turn.write_wait).min() {
                None => wait(&self.stream, &turn, &outbox, news.as_mut()).await,
                Some(limited) => tokio::select! {
                    waited = wait(&self.stream, &turn, &outbox, news.as_mut()) => waited,
                    () = sleep(limited) => Ok(()),
                },
            };
            if let Err(end) = waited {
                return end;
            }
        }
    }

    /// Does what can be done without waiting: sends, receives, and tells the scheduler of both.
    fn turn(&mut self) -> Result<Turn, End> {
        self.take_outbox()?;
        let mut turn = Turn::default();
        self.send(&mut turn)?;
        let sent = self.drained(&mut turn)?;
        let received = self.receive(&mut turn)?;
        if sent > 0 || received {
            self.tell(sent)?;
        }
        Ok(turn)
    }

    fn take_outbox(&mut self) -> Result<(), End> {
        let outbox = Arc::clone(&self.outbox);
        let mut pending = outbox.lock();
        std::mem::swap(&mut pending.serve, &mut self.serve);
        let loaded = std::mem::take(&mut pending.loaded);
        let (close, idle) = (pending.close, std::mem::take(&mut pending.idle));
        if idle && self.sent_at.elapsed() > KEEP_ALIVE {
            Message::KeepAlive.encode(&mut pending.control);
        }
        self.transmitter.add_control(&mut pending.control);
        drop(pending);
        if idle && self.received_at.elapsed() > SILENCE {
            return Err(End::Silent);
        }
        for (order, content) in loaded {
            match content {
                Some(content) => self.transmitter.loaded(order, content),
                None => return Err(End::Unreadable),
            }
        }
        let engine = &self.engine;
        let pack_id = self.ids.ezio_pack;
        for blocks in self.serve.drain(..) {
            let index = engine.geometry.locate(blocks.piece).1;
            self.transmitter.add_blocks(blocks, index, pack_id, |run, order| {
                let raw = pack_id.map(|_| self.carries.time_for(engine.geometry.bytes_of(run)));
                engine.pipeline.content(run, raw, || tell_outbox(&outbox, order))
            });
        }
        match close {
            // What was said before (the last HAVE) still goes out, if the kernel takes it.
            Some(why) => {
                let _ = self.transmitter.ready().then(|| self.transmitter.write(&self.stream, 0));
                Err(End::Closed(why))
            }
            None => Ok(()),
        }
    }

    fn send(&mut self, turn: &mut Turn) -> Result<(), End> {
        for _ in 0..4 {
            let waiting = self.in_kernel > 0;
            if !self.transmitter.ready() || waiting && !self.transmitter.control_ready() {
                break;
            }
            let engine = Arc::clone(&self.engine);
            let limit = engine.limit_up.as_ref().filter(|_| self.transmitter.payload_ready());
            let granted = match grant(limit, 64 << 10) {
                Ok(granted) => granted,
                Err(wait) => {
                    self.carries.is_busy();
                    turn.write_wait = Some(wait);
                    if !self.transmitter.control_ready() {
                        break;
                    }
                    0
                }
            };
            if !waiting {
                self.carries.is_free();
            }
            let granted = if waiting { 0 } else { granted.min(self.queue.size(self.transmitter.at_once())) };
            match self.transmitter.write(&self.stream, granted) {
                Ok(written) => {
                    if let Some(limit) = limit {
                        limit.settle(granted, written.payload);
                    }
                    self.queue.sent(&self.stream, written.bytes, false);
                    self.sent_at = Instant::now();
                    self.in_kernel += written.raw;
                    self.carries.took(written.payload);
                    self.engine.wire.sent(written.payload);
                    turn.progress = true;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(limit) = limit {
                        limit.settle(granted, 0);
                    }
                    self.queue.sent(&self.stream, 0, true);
                    turn.want_write = true;
                    break;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Bytes of content that have left the kernel's queue of unsent data since the last call.
    fn drained(&mut self, turn: &mut Turn) -> Result<usize, End> {
        if self.in_kernel == 0 {
            return Ok(0);
        }
        match socket::drained(&self.stream) {
            Ok(()) => {
                turn.progress = true;
                self.carries.is_free();
                Ok(std::mem::take(&mut self.in_kernel))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.carries.is_busy();
                self.queue.sent(&self.stream, 0, true);
                turn.want_write = true;
                Ok(0)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn receive(&mut self, turn: &mut Turn) -> Result<bool, End> {
        if self.outbox.unpacking.load(Ordering::Relaxed) > MAX_UNPACKING {
            turn.read_held = true;
            return Ok(false);
        }
        let limit = self.engine.limit_down.as_ref();
        let granted = match grant(limit, READ) {
            Ok(granted) => granted.min(READ),
            Err(wait) => {
                turn.read_wait = Some(wait);
                return Ok(false);
            }
        };
        let read = self.receiver.read(&self.stream, granted, &self.engine.pool);
        if let Some(limit) = limit {
            limit.settle(granted, *read.as_ref().unwrap_or(&0));
        }
        match read {
            Ok(0) => Err(End::Eof),
            Ok(_) => {
                self.received_at = Instant::now();
                turn.progress = true;
                self.receiver.parse(&self.engine.pool)?;
                Ok(!self.receiver.incoming.is_empty())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.low_water.wait_for(&self.stream, self.receiver.missing());
                Ok(false)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Deals with what came along with the handshake.
    fn parse(&mut self) -> Result<(), End> {
        self.receiver.parse(&self.engine.pool)?;
        self.tell(0)
    }
}

/// Waits until the next turn can do something. Every packet leads here: so `news` keeps waiting where it does while it is the
/// socket that has something, and only what is waited for is looked at.
async fn wait<'a>(
    stream: &TcpStream,
    turn: &Turn,
    outbox: &'a Outbox,
    mut news: Pin<&mut Notified<'a>>,
) -> Result<(), End> {
    poll_fn(|context| {
        let mut ready = false;
        if news.as_mut().poll(context).is_ready() {
            news.set(outbox.news());
            ready = true;
        }
        if turn.read_wait.is_none()
            && !turn.read_held
            && let Poll::Ready(readable) = stream.poll_read_ready(context)
        {
            readable?;
            ready = true;
        }
        if turn.want_write
            && let Poll::Ready(writable) = stream.poll_write_ready(context)
        {
            writable?;
            ready = true;
        }
        if ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

fn tell_outbox(outbox: &Arc<Outbox>, order: u64) -> Loaded {
    let outbox: Weak<Outbox> = Arc::downgrade(outbox);
    Box::new(move |content| {
        if let Some(outbox) = outbox.upgrade() {
            outbox.lock().loaded.push((order, content));
            outbox.wake();
        }
    })
}

/// Bytes that may move now; all, without a limit.
fn grant(limit: Option<&RateLimit>, want: usize) -> Result<usize, Duration> {
    limit.map_or(Ok(usize::MAX), |l| l.take(want))
}
