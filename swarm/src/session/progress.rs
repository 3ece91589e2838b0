//! How far the job is, and what is seen of the others, twice a second; and at once when it has begun.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ezio_contract::report::Progress;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Engine;
use crate::config::Role;
use crate::room::{Peer, Room};

const STEP: Duration = Duration::from_millis(500);
/// Rates are means over so many steps.
const MEMORY: usize = 6;
/// The room is looked at every so many steps.
const ROOM_STEPS: u32 = 2;

/// Where the state of things is told.
pub(crate) struct Watchers {
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) room: watch::Sender<Room>,
    /// Bytes of pieces that were had at once, for they are zeros, and of those that were found on the targets.
    local: [AtomicU64; 2],
    samples: Mutex<VecDeque<(Instant, u64, u64)>>,
}

impl Watchers {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            progress: watch::Sender::new(Progress { total_bytes, ..Progress::default() }),
            room: watch::Sender::new(Room::default()),
            local: Default::default(),
            samples: Mutex::default(),
        }
    }

    /// So many bytes more are there because they are zeros, or were found on the targets.
    pub(super) fn note(&self, zero_bytes: u64, kept_bytes: u64) {
        self.local[0].fetch_add(zero_bytes, Ordering::Relaxed);
        self.local[1].fetch_add(kept_bytes, Ordering::Relaxed);
    }

    /// Tells how far the job is now.
    pub(super) fn publish(&self, engine: &Engine) {
        let core = engine.core.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = core.scheduler.stats();
        let members: HashSet<u64> = core.conns().map(|(_, c)| c.member).collect();
        drop(core);
        let now = Instant::now();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((now, stats.received, stats.sent));
        while samples.len() > MEMORY {
            samples.pop_front();
        }
        let (down, up) = samples.front().map_or((0, 0), |&(then, received, sent)| {
            let seconds = now.duration_since(then).as_secs_f64().max(STEP.as_secs_f64());
            let rate = |bytes: u64| (bytes as f64 / seconds) as u64;
            (rate(stats.received.saturating_sub(received)), rate(stats.sent.saturating_sub(sent)))
        });
        drop(samples);
        self.progress.send_replace(Progress {
            done_bytes: stats.verified,
            total_bytes: engine.geometry.total_length(),
            down_bytes_per_s: down,
            up_bytes_per_s: up,
            from_server_bytes: stats.received_from_server,
            from_peers_bytes: stats.received.saturating_sub(stats.received_from_server),
            sent_bytes: stats.sent,
            zero_bytes: self.local[0].load(Ordering::Relaxed),
            kept_bytes: self.local[1].load(Ordering::Relaxed),
            peers: u32::try_from(members.len()).unwrap_or(u32::MAX),
        });
    }
}

pub(super) async fn run(engine: Arc<Engine>) {
    let mut timer = interval(STEP);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for step in 0u32.. {
        timer.tick().await;
        engine.watchers.publish(&engine);
        if step % ROOM_STEPS == 0 {
            engine.watchers.room.send_replace(look_around(&engine));
        }
    }
}

fn look_around(engine: &Engine) -> Room {
    let core = engine.core.lock().unwrap_or_else(PoisonError::into_inner);
    let mut peers: BTreeMap<(SocketAddr, u64), Peer> = BTreeMap::new();
    for (id, conn) in core.conns() {
        let content = &engine.contents[usize::from(conn.torrent.0)].metainfo;
        let pieces = core.scheduler.pieces_of_peer(id);
        let complete = pieces == content.piece_count();
        let bytes = u64::from(pieces) * u64::from(content.piece_length());
        let peer = peers.entry((conn.address, conn.member)).or_insert_with(|| Peer {
            address: conn.address,
            member: conn.ezio.map(|e| e.1),
            role: conn.ezio.map_or(Role::Member, |e| e.0),
            done_bytes: 0,
            complete: true,
            sent_bytes: 0,
            received_bytes: 0,
        });
        peer.done_bytes += bytes.min(content.total_length());
        peer.complete &= complete;
        peer.sent_bytes += conn.sent;
        peer.received_bytes += conn.received;
    }
    Room { peers: peers.into_values().collect() }
}
