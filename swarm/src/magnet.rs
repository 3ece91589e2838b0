//! Magnet links: the info dictionary comes from peers (BEP 9), checked by its hash.

use std::net::SocketAddr;
use std::time::Duration;

use ezio_image::metainfo::{InfoHash, Metainfo, MetainfoError};
use sha1::{Digest, Sha1};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::session::new_peer_id;
use crate::tracker::{Announce, Event, announce};
use crate::wire::{
    ExtendedHandshake, ExtensionIds, HANDSHAKE_LENGTH, Handshake, METADATA_BLOCK, Message, MetadataMessage,
    UT_METADATA_ID, WireError, frame_limit,
};

/// Longest info dictionary that we take: 20 bytes a piece, and the names of runs.
const MAX_METADATA: u32 = 256 << 20;
/// Frames that are not metadata, from one peer, before we give it up.
const MAX_OTHER: u32 = 100_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(10);
/// Peers asked at once.
const AT_ONCE: usize = 8;
/// Between two rounds of asking trackers and peers.
const ROUND: Duration = Duration::from_secs(2);

/// A magnet link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Announce URLs (`tr`).
    pub trackers: Vec<String>,
    /// Peers named in the link (`x.pe`).
    pub peers: Vec<SocketAddr>,
}

/// Why a magnet link leads nowhere.
#[derive(Debug, Error)]
pub enum MagnetError {
    /// Not a magnet link to a v1 torrent.
    #[error("not a magnet link with a BitTorrent v1 hash (xt=urn:btih:…)")]
    Link,
    /// Neither a tracker nor a peer is known.
    #[error("the magnet link names no tracker and no peer")]
    Nobody,
    /// Time is up; the last failure of a peer or tracker says why.
    #[error("nobody gave the torrent of the magnet link in time (last: {0})")]
    Timeout(String),
    /// What came is the right dictionary, but not a torrent that we can take.
    #[error("the torrent of the magnet link is refused")]
    Metainfo(#[from] MetainfoError),
}

#[derive(Debug, Error)]
enum PeerError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("the peer does not give metadata")]
    Refused,
    #[error("the peer gave metadata with a wrong hash")]
    Corrupt,
}

impl Magnet {
    /// Reads a link.
    ///
    /// # Errors
    /// It is none, or names no v1 torrent.
    pub fn parse(link: &str) -> Result<Self, MagnetError> {
        let url = url::Url::parse(link).map_err(|_| MagnetError::Link)?;
        if url.scheme() != "magnet" {
            return Err(MagnetError::Link);
        }
        let mut found = None;
        let (mut trackers, mut peers) = (Vec::new(), Vec::new());
        for (key, value) in url.query_pairs() {
            match key.split_once('.').map_or(&*key, |k| if k.0 == "x" { &*key } else { k.0 }) {
                "xt" => {
                    found = found.or_else(|| value.strip_prefix("urn:btih:").and_then(|h| h.parse().ok()))
                }
                "tr" => trackers.push(value.into_owned()),
                "x.pe" => peers.extend(value.parse::<SocketAddr>()),
                _ => {}
            }
        }
        Ok(Self { info_hash: found.ok_or(MagnetError::Link)?, trackers, peers })
    }
}

/// Fetches the info dictionary from the link's peers and trackers, and from `peers`.
///
/// # Errors
/// The link names nobody, nobody answers within `limit`, or the torrent is not one that we take.
pub async fn fetch(magnet: &Magnet, peers: &[SocketAddr], limit: Duration) -> Result<Metainfo, MagnetError> {
    if magnet.trackers.is_empty() && magnet.peers.is_empty() && peers.is_empty() {
        return Err(MagnetError::Nobody);
    }
    let deadline = Instant::now() + limit;
    let mut last = "no peer is known".to_owned();
    loop {
        let round = timeout_at(deadline, round(magnet, peers, &mut last)).await;
        match round {
            Ok(Some(bytes)) => {
                return Ok(Metainfo::parse_info(&bytes, magnet.trackers.clone(), magnet.peers.clone())?);
            }
            Ok(None) if Instant::now() + ROUND < deadline => sleep(ROUND).await,
            _ => return Err(MagnetError::Timeout(last)),
        }
    }
}

/// Asks all trackers, and then all peers.
async fn round(magnet: &Magnet, peers: &[SocketAddr], last: &mut String) -> Option<Vec<u8>> {
    let peer_id = new_peer_id();
    let mut all: Vec<SocketAddr> = magnet.peers.iter().chain(peers).copied().collect();
    for url in &magnet.trackers {
        let question = Announce {
            info_hash: magnet.info_hash.0,
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
    let info_hash = magnet.info_hash.0;
    loop {
        while tasks.len() < AT_ONCE
            && let Some(peer) = waiting.next()
        {
            tasks.spawn(
                async move { ask(peer, info_hash, peer_id).await.map_err(|e| format!("{peer}: {e}")) },
            );
        }
        match tasks.join_next().await? {
            Ok(Ok(bytes)) => return Some(bytes),
            Ok(Err(error)) => *last = error,
            Err(error) => *last = error.to_string(),
        }
    }
}

/// Fetches the info dictionary from one peer.
async fn ask(peer: SocketAddr, info_hash: [u8; 20], peer_id: [u8; 20]) -> Result<Vec<u8>, PeerError> {
    let mut stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await??;
    stream.set_nodelay(true)?;
    let mut hello = Handshake { fast: true, extended: true, info_hash, peer_id }.encode().to_vec();
    let extended = ExtendedHandshake {
        ids: ExtensionIds { ut_metadata: Some(UT_METADATA_ID), ..ExtensionIds::default() },
        version: concat!("ezio ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..ExtendedHandshake::default()
    };
    Message::Extended { id: 0, body: &extended.encode() }.encode(&mut hello);
    stream.write_all(&hello).await?;
    let mut theirs = [0; HANDSHAKE_LENGTH];
    timeout(SILENCE, stream.read_exact(&mut theirs)).await??;
    let theirs = Handshake::decode(&theirs)?;
    if theirs.info_hash != info_hash || !theirs.extended {
        return Err(PeerError::Refused);
    }
    let (their_id, size) = loop_for(&mut stream, |message| match message {
        Message::Extended { id: 0, body } => {
            let extended = ExtendedHandshake::decode(body)?;
            let size = extended.metadata_size.filter(|&s| s > 0 && s <= MAX_METADATA);
            extended.ids.ut_metadata.zip(size).map(Some).ok_or(PeerError::Refused)
        }
        _ => Ok(None),
    })
    .await?;
    let mut metadata = Vec::with_capacity(size.min(1 << 20) as usize);
    for block in 0..size.div_ceil(METADATA_BLOCK) {
        let mut request = Vec::new();
        Message::Extended { id: their_id, body: &MetadataMessage::Request(block).encode() }
            .encode(&mut request);
        stream.write_all(&request).await?;
        let data = loop_for(&mut stream, |message| {
            let Message::Extended { id: UT_METADATA_ID, body } = message else { return Ok(None) };
            match MetadataMessage::decode(body)? {
                MetadataMessage::Data { piece, data, .. } if piece == block => Ok(Some(data.to_vec())),
                MetadataMessage::Reject(_) => Err(PeerError::Refused),
                _ => Ok(None),
            }
        })
        .await?;
        if data.len() as u64 != u64::from((size - block * METADATA_BLOCK).min(METADATA_BLOCK)) {
            return Err(PeerError::Corrupt);
        }
        metadata.extend(data);
    }
    let digest: [u8; 20] = Sha1::digest(&metadata).into();
    if digest == info_hash { Ok(metadata) } else { Err(PeerError::Corrupt) }
}

/// Reads messages until `pick` takes one.
async fn loop_for<T>(
    stream: &mut TcpStream,
    mut pick: impl FnMut(Message<'_>) -> Result<Option<T>, PeerError>,
) -> Result<T, PeerError> {
    let limit = frame_limit(u32::MAX / 64);
    for _ in 0..MAX_OTHER {
        let mut head = [0; 4];
        timeout(SILENCE, stream.read_exact(&mut head)).await??;
        let length = u32::from_be_bytes(head);
        if length > limit {
            return Err(WireError::FrameLength { length, limit }.into());
        }
        let mut frame = vec![0; length as usize];
        timeout(SILENCE, stream.read_exact(&mut frame)).await??;
        if let Some(found) = pick(Message::decode(&frame)?)? {
            return Ok(found);
        }
    }
    Err(PeerError::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_links() {
        let link = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=sda1&tr=http%3A%2F%2F10.0.0.1%3A8080%2Fannounce&tr.1=udp://10.0.0.1:1&x.pe=10.0.0.2:6881";
        let magnet = Magnet::parse(link).unwrap();
        assert_eq!(magnet.info_hash.as_string(), "c12fe1c06bba254a9dc9f519b335aa7c1367a88a");
        assert_eq!(magnet.trackers, ["http://10.0.0.1:8080/announce", "udp://10.0.0.1:1"]);
        assert_eq!(magnet.peers, ["10.0.0.2:6881".parse().unwrap()]);
        for bad in ["http://x/", "magnet:?dn=x", "magnet:?xt=urn:btmh:1220aa", "magnet:?xt=urn:btih:zz", ""] {
            assert!(matches!(Magnet::parse(bad), Err(MagnetError::Link)), "{bad}");
        }
    }
}
