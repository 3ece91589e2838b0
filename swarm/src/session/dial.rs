//! Makes connections: to whom the tracker names, and to whom we were told beforehand, with bounds and patience.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ezio_scheduler::neighbours::{FAR, FULL_MESH};
use ezio_scheduler::{Reason, SiteId, TorrentId};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Engine;
use super::connection::{self, End};
use super::handshake::{self, HandshakeError, is_connected};
use super::outbox::Close;
use super::socket;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Dials under way at once.
const HALF_OPEN: usize = 64;
/// Addresses remembered for a torrent.
const MAX_ADDRESSES: usize = 2000;
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// Another connection leads to the same peer: look again later.
const DUPLICATE_RETRY: Duration = Duration::from_secs(5);
/// There are enough connections for a machine that has just started: look again soon.
const START_RETRY: Duration = Duration::from_millis(500);

type Key = (TorrentId, SocketAddr);

/// Whom to dial, and whether it was named.
type Call = (Key, bool);

#[derive(Clone, Copy)]
enum State {
    /// To be dialled at that time.
    Due(Instant),
    Dialling,
    Connected,
    /// Never again.
    Done,
}

struct Candidate {
    state: State,
    failures: u32,
    /// Named by the user or by the server, not one of many of a tracker.
    pinned: bool,
}

/// The connections of a torrent to machines near by, or to those at another site.
struct Part {
    connections: usize,
    /// At so many we dial nobody else.
    enough: usize,
    /// Then we look again after so long.
    retry: Duration,
}

/// Where a torrent stands.
struct Around {
    near: Part,
    /// With the sites that pieces come from, and go on to.
    next: BTreeMap<SiteId, Part>,
}

impl Around {
    /// Those that an address counts among; none where nobody is dialled: at a site that pieces do not come from or go on to.
    fn part(&mut self, engine: &Engine, address: IpAddr) -> Option<&mut Part> {
        if !engine.is_far(address) {
            return Some(&mut self.near);
        }
        self.next.get_mut(&engine.sites().of(address)?)
    }
}

/// Addresses of peers, and what became of them.
pub(crate) struct AddressBook {
    since: Instant,
    candidates: Mutex<HashMap<Key, Candidate>>,
    /// Machines that share a torrent, by the trackers' latest count.
    room: AtomicUsize,
    news: Notify,
}

impl AddressBook {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            candidates: Mutex::default(),
            room: AtomicUsize::new(0),
            news: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Candidate>> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns addresses of peers that share a torrent.
    pub(crate) fn add(&self, torrent: usize, addresses: &[SocketAddr], pinned: bool) {
        let torrent = TorrentId(u16::try_from(torrent).unwrap_or(u16::MAX));
        let mut candidates = self.lock();
        for &address in addresses {
            let known = candidates.len() >= MAX_ADDRESSES.saturating_mul(1 + usize::from(torrent.0));
            if address.port() == 0 || known {
                continue;
            }
            let state = State::Due(Instant::now());
            let fresh = || Candidate { state, failures: 0, pinned };
            let candidate = candidates.entry((torrent, address)).or_insert_with(fresh);
            if pinned
                && !std::mem::replace(&mut candidate.pinned, true)
                && matches!(candidate.state, State::Due(_))
            {
                candidate.state = state;
            }
            // Named again by a tracker: it is worth trying soon.
            if candidate.failures > 0 && matches!(candidate.state, State::Due(_)) {
                candidate.failures = 1;
            }
        }
        drop(candidates);
        self.news.notify_one();
    }

    /// A tracker's answer: the peers that it names, and how many it knows. The first is always dialled: a tracker of ours
    /// names its server first.
    pub(crate) fn answered(&self, torrent: usize, peers: &[SocketAddr], known: usize) {
        self.room.store(known.max(peers.len()), Ordering::Relaxed);
        let (first, others) = peers.split_at(peers.len().min(1));
        self.add(torrent, first, true);
        self.add(torrent, others, false);
    }

    /// Whether there are too many machines for all to know each other.
    pub(super) fn is_large(&self) -> bool {
        self.room.load(Ordering::Relaxed) > FULL_MESH
    }

    fn set(&self, key: Key, state: State) {
        if let Some(candidate) = self.lock().get_mut(&key) {
            candidate.state = state;
        }
    }

    /// Whom to dial now, and when to look again.
    fn due(&self, engine: &Engine) -> (Vec<Call>, Duration) {
        let now = Instant::now();
        let complete = engine.is_complete();
        let mut candidates = self.lock();
        let torrents = (0..engine.geometry.torrent_count()).map(|torrent| TorrentId(torrent as u16));
        let mut around: Vec<_> = torrents.map(|t| self.neighbourhood(engine, &candidates, t, now)).collect();
        let mut dialling = candidates.values().filter(|c| matches!(c.state, State::Dialling)).count();
        let mut wait = Duration::from_secs(60);
        let mut due = Vec::new();
        for (&(torrent, address), candidate) in candidates.iter_mut() {
            let State::Due(at) = candidate.state else { continue };
            if at > now {
                wait = wait.min(at - now);
                continue;
            }
            let Some(around) = around.get_mut(usize::from(torrent.0)) else { continue };
            let part = around.part(engine, address.ip());
            let enough = complete || part.as_ref().is_none_or(|part| part.connections >= part.enough);
            if enough && !candidate.pinned || is_connected(engine, torrent, address) {
                let retry = part.map_or(DUPLICATE_RETRY, |part| part.retry);
                candidate.state = State::Due(now + retry);
                wait = wait.min(retry);
            } else if dialling < HALF_OPEN {
                candidate.state = State::Dialling;
                dialling += 1;
                if let Some(part) = part {
                    part.connections += 1;
                }
                due.push(((torrent, address), candidate.pinned));
            }
        }
        (due, wait)
    }

    /// Where a torrent stands: near by, and with those at the sites on the routes.
    fn neighbourhood(
        &self,
        engine: &Engine,
        candidates: &HashMap<Key, Candidate>,
        torrent: TorrentId,
        now: Instant,
    ) -> Around {
        let (near, far) = engine.connections_of(torrent);
        let is_near = |key: &&Key| key.0 == torrent && !engine.is_far(key.1.ip());
        let rule = engine.neighbours();
        // The tracker counts all sites together.
        let room = match engine.is_at_a_site() {
            true => 1 + candidates.keys().filter(is_near).count(),
            false => self.room.load(Ordering::Relaxed),
        };
        let enough = rule.enough_for_now(room, now - self.since);
        let retry = if enough < rule.enough(room) { START_RETRY } else { DUPLICATE_RETRY };
        let next = |site: SiteId| {
            let connections = far.get(&site).copied().unwrap_or(0);
            (site, Part { connections, enough: FAR, retry: DUPLICATE_RETRY })
        };
        Around {
            near: Part { connections: near, enough, retry },
            next: engine.sites().routes().sites().into_iter().map(next).collect(),
        }
    }

    fn ended(&self, key: Key, end: &Ended) {
        let mut candidates = self.lock();
        let Some(candidate) = candidates.get_mut(&key) else { return };
        let retry = match end {
            Ended::Refused(HandshakeError::Ourselves | HandshakeError::Shunned)
            | Ended::Closed(End::Closed(Close::Scheduler(Reason::Finished | Reason::Corrupt))) => {
                candidate.state = State::Done;
                return;
            }
            Ended::Refused(HandshakeError::Duplicate) | Ended::Closed(End::Closed(Close::Duplicate)) => {
                candidate.failures = 0;
                DUPLICATE_RETRY
            }
            Ended::Closed(_) => {
                candidate.failures = 0;
                FIRST_RETRY * 2
            }
            Ended::Refused(_) => {
                candidate.failures += 1;
                (FIRST_RETRY * (1 << candidate.failures.min(6))).min(LAST_RETRY)
            }
        };
        candidate.state = State::Due(Instant::now() + retry);
    }
}

enum Ended {
    Refused(HandshakeError),
    Closed(End),
}

pub(super) async fn run(engine: Arc<Engine>) {
    let mut tasks = JoinSet::new();
    for (torrent, content) in engine.contents.iter().enumerate() {
        engine.addresses.add(torrent, &engine.config.peers, true);
        engine.addresses.add(torrent, content.metainfo.peers(), true);
    }
    loop {
        let (due, wait) = engine.addresses.due(&engine);
        for call in due {
            tasks.spawn(dial(Arc::clone(&engine), call));
        }
        tokio::select! {
            () = engine.addresses.news.notified() => {}
            () = sleep(wait) => {}
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn dial(engine: Arc<Engine>, call: Call) {
    let (key, _) = call;
    let (torrent, address) = key;
    let end = match connect(&engine, call).await {
        Ok(established) => {
            engine.addresses.set(key, State::Connected);
            Ended::Closed(connection::run(Arc::clone(&engine), established).await)
        }
        Err(error) => Ended::Refused(error),
    };
    match &end {
        Ended::Refused(error) => tracing::debug!(%address, torrent = torrent.0, "no connection: {error}"),
        Ended::Closed(end) => tracing::debug!(%address, torrent = torrent.0, "connection ended: {end}"),
    }
    engine.addresses.ended(key, &end);
}

async fn connect(
    engine: &Engine,
    ((torrent, address), named): Call,
) -> Result<handshake::Established, HandshakeError> {
    let stream = timeout(CONNECT_TIMEOUT, socket::open(address)?.connect(address)).await??;
    handshake::establish(engine, stream, address, Some((torrent, named))).await
}
