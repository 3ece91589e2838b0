//! Magnet links: the info dictionary comes from peers (BEP 9), checked by its hash.

use std::net::SocketAddr;
use std::time::Duration;

use ezio_image::metainfo::{InfoHash, Metainfo, MetainfoError};
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::inquiry::{Asked, Inquiry, PeerError};
use crate::wire::{ExtendedHandshake, METADATA_BLOCK, Message, MetadataMessage, UT_METADATA_ID};

/// Longest info dictionary that we take: 20 bytes a piece, and the names of runs.
const MAX_METADATA: u32 = 256 << 20;
/// A peer that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(10);

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
    let inquiry = Inquiry {
        info_hash: magnet.info_hash.0,
        trackers: &magnet.trackers,
        peers: magnet.peers.iter().chain(peers).copied().collect(),
    };
    let info_hash = magnet.info_hash.0;
    let answer = inquiry.answer(limit, |_| {}, |peer, peer_id| ask(peer, info_hash, peer_id)).await;
    let bytes = answer.map_err(MagnetError::Timeout)?;
    Ok(Metainfo::parse_info(&bytes, magnet.trackers.clone(), magnet.peers.clone())?)
}

/// Fetches the info dictionary from one peer.
async fn ask(peer: SocketAddr, info_hash: [u8; 20], peer_id: [u8; 20]) -> Result<Vec<u8>, PeerError> {
    let mut peer = Asked::dial(peer, info_hash, peer_id, SILENCE).await?;
    if !peer.extended {
        return Err(PeerError::Refused);
    }
    let (their_id, size) = peer
        .wait_for(|message| match message {
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
        let request = MetadataMessage::Request(block).encode();
        peer.send(&[Message::Extended { id: their_id, body: &request }]).await?;
        let data = peer
            .wait_for(|message| {
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
