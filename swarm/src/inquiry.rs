//! A question to whoever shares a torrent, asked before a swarm of our own begins. Trackers and the asker name the peers;
//! they are asked a few at a time, in rounds, until one has answered.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::session::new_peer_id;
use crate::tracker::{Announce, Event, announce};
use crate::wire::{
    ExtendedHandshake, ExtensionIds, HANDSHAKE_LENGTH, Handshake, Message, UT_METADATA_ID, WireError,
    frame_limit,
};

/// Frames that do not matter, from one peer, before we give it up.
const MAX_OTHER: u32 = 100_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Peers asked at once.
const AT_ONCE: usize = 8;
/// Between two rounds of asking trackers and peers.
const ROUND: Duration = Duration::from_secs(2);

/// Why a peer did not answer.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("the peer does not give it")]
    Refused,
    #[error("what the peer gave has a wrong hash")]
    Corrupt,
}

/// Whom to ask about what.
pub(crate) struct Inquiry<'a> {
    pub(crate) info_hash: [u8; 20],
    pub(crate) trackers: &'a [String],
    pub(crate) peers: Vec<SocketAddr>,
}

impl Inquiry<'_> {
    /// Asks until somebody answers, at most for `limit`; then the last failure of a peer or tracker is the error. `tell`
    /// hears after each round in vain.
    pub(crate) async fn answer<T, F>(
        &self,
        limit: Duration,
        mut tell: impl FnMut(&str),
        ask: impl Fn(SocketAddr, [u8; 20]) -> F,
    ) -> Result<T, String>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        let deadline = Instant::now() + limit;
        let mut last = "no peer is known".to_owned();
        loop {
            match timeout_at(deadline, self.round(&mut last, &ask)).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) if Instant::now() + ROUND < deadline => {
                    tell(&last);
                    sleep(ROUND).await;
                }
                _ => return Err(last),
            }
        }
    }

    /// Asks all trackers, and then all peers.
    async fn round<T, F>(&self, last: &mut String, ask: &impl Fn(SocketAddr, [u8; 20]) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        let peer_id = new_peer_id();
        let mut all = self.peers.clone();
        for url in self.trackers {
            let question = Announce {
                info_hash: self.info_hash,
                peer_id,
                // Nobody listens yet: port 0 cannot be dialled.
                port: 0,
                uploaded: 0,
                downloaded: 0,
                left: 1,
                event: Some(Event::Started),
                key: rand::random(),
            };
            match announce(url, &question).await {
                Ok(answer) => all.extend(answer.peers),
                Err(error) => *last = format!("{url}: {error}"),
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut waiting = all.into_iter();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < AT_ONCE
                && let Some(peer) = waiting.next()
            {
                let asked = ask(peer, peer_id);
                tasks.spawn(async move { asked.await.map_err(|e| format!("{peer}: {e}")) });
            }
            match tasks.join_next().await? {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => *last = error,
                Err(error) => *last = error.to_string(),
            }
        }
    }
}

/// A connection to a peer that is asked.
pub(crate) struct Asked {
    stream: TcpStream,
    /// It speaks the extension protocol.
    pub(crate) extended: bool,
    /// And the fast extension.
    pub(crate) fast: bool,
    /// A peer that sends nothing for so long is given up.
    silence: Duration,
}

impl Asked {
    /// Dials a peer; the handshakes are done.
    pub(crate) async fn dial(
        peer: SocketAddr,
        info_hash: [u8; 20],
        peer_id: [u8; 20],
        silence: Duration,
    ) -> Result<Self, PeerError> {
        let mut stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await??;
        stream.set_nodelay(true)?;
        stream.write_all(&Handshake { fast: true, extended: true, info_hash, peer_id }.encode()).await?;
        let mut theirs = [0; HANDSHAKE_LENGTH];
        timeout(silence, stream.read_exact(&mut theirs)).await??;
        let theirs = Handshake::decode(&theirs)?;
        if theirs.info_hash != info_hash {
            return Err(PeerError::Refused);
        }
        let mut peer = Self { stream, extended: theirs.extended, fast: theirs.fast, silence };
        // aria2 drops whoever sends anything before it has answered.
        let hello = ExtendedHandshake {
            ids: ExtensionIds { ut_metadata: Some(UT_METADATA_ID), ..ExtensionIds::default() },
            version: concat!("ezio ", env!("CARGO_PKG_VERSION")).to_owned(),
            ..ExtendedHandshake::default()
        };
        if peer.extended {
            peer.send(&[Message::Extended { id: 0, body: &hello.encode() }]).await?;
        }
        Ok(peer)
    }

    /// Sends messages.
    pub(crate) async fn send(&mut self, messages: &[Message<'_>]) -> Result<(), PeerError> {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut bytes));
        Ok(timeout(self.silence, self.stream.write_all(&bytes)).await??)
    }

    /// Reads messages until `pick` takes one.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut pick: impl FnMut(Message<'_>) -> Result<Option<T>, PeerError>,
    ) -> Result<T, PeerError> {
        let limit = frame_limit(u32::MAX / 64);
        for _ in 0..MAX_OTHER {
            let mut head = [0; 4];
            timeout(self.silence, self.stream.read_exact(&mut head)).await??;
            let length = u32::from_be_bytes(head);
            if length > limit {
                return Err(WireError::FrameLength { length, limit }.into());
            }
            let mut frame = vec![0; length as usize];
            timeout(self.silence, self.stream.read_exact(&mut frame)).await??;
            if let Some(found) = pick(Message::decode(&frame)?)? {
                return Ok(found);
            }
        }
        Err(PeerError::Refused)
    }
}
