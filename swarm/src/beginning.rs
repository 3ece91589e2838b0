//! The first bytes of a torrent's content, into memory, before a swarm of our own begins: whoever is to be overwritten by
//! it may want to know what it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ezio_image::metainfo::Metainfo;
use ezio_scheduler::BLOCK_SIZE;
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::inquiry::{Asked, Inquiry, PeerError};
use crate::wire::Message;

/// Requests under way.
const WINDOW: usize = 64;
/// Other clients take turns in whom they serve, half a minute each.
const SILENCE: Duration = Duration::from_secs(40);

/// Nobody gave it in time; the last failure of a peer or tracker says why.
#[derive(Debug, Error)]
#[error("nobody gave the beginning of {name} within {} s (last: {last})", limit.as_secs())]
pub struct BeginningError {
    name: String,
    limit: Duration,
    last: String,
}

/// Fetches the first `length` bytes of the content from the torrent's peers and trackers, and from `peers`; checked by its
/// hashes. `tell` hears why it has not come yet.
///
/// # Errors
/// Nobody gives them within `limit`.
pub async fn fetch(
    metainfo: &Arc<Metainfo>,
    length: u64,
    peers: &[SocketAddr],
    limit: Duration,
    tell: impl FnMut(&str),
) -> Result<Vec<u8>, BeginningError> {
    let inquiry = Inquiry {
        info_hash: metainfo.info_hash().0,
        trackers: metainfo.trackers(),
        peers: metainfo.peers().iter().chain(peers).copied().collect(),
    };
    let length = length.min(metainfo.total_length());
    // No more than the torrent has.
    let pieces = length.div_ceil(u64::from(metainfo.piece_length())) as u32;
    let answer = inquiry.answer(limit, tell, |peer, id| ask(peer, id, Arc::clone(metainfo), pieces)).await;
    let mut bytes =
        answer.map_err(|last| BeginningError { name: metainfo.name().to_owned(), limit, last })?;
    bytes.truncate(length as usize);
    Ok(bytes)
}

/// The first pieces from one peer.
async fn ask(
    peer: SocketAddr,
    peer_id: [u8; 20],
    metainfo: Arc<Metainfo>,
    pieces: u32,
) -> Result<Vec<u8>, PeerError> {
    let mut peer = Asked::dial(peer, metainfo.info_hash().0, peer_id, SILENCE).await?;
    if peer.fast {
        peer.send(&[Message::HaveNone]).await?;
    }
    peer.send(&[Message::Interested]).await?;
    let mut has = false;
    peer.wait_for(|message| match message {
        Message::HaveAll => {
            has = true;
            Ok(None)
        }
        Message::Bitfield(bits) => {
            has = (0..pieces as usize).all(|i| bits.get(i / 8).is_some_and(|b| b >> (7 - i % 8) & 1 == 1));
            if has { Ok(None) } else { Err(PeerError::Refused) }
        }
        Message::Unchoke if has => Ok(Some(())),
        Message::Unchoke | Message::HaveNone => Err(PeerError::Refused),
        _ => Ok(None),
    })
    .await?;
    let mut bytes = Vec::new();
    for index in 0..pieces {
        let piece = piece(&mut peer, index, metainfo.piece_size(index)).await?;
        let digest: [u8; 20] = Sha1::digest(&piece).into();
        if metainfo.piece_hash(index) != Some(&digest) {
            return Err(PeerError::Corrupt);
        }
        bytes.extend(piece);
    }
    Ok(bytes)
}

async fn piece(peer: &mut Asked, index: u32, size: u32) -> Result<Vec<u8>, PeerError> {
    let mut bytes = vec![0; size as usize];
    let begins: Vec<u32> = (0..size).step_by(BLOCK_SIZE as usize).collect();
    for window in begins.chunks(WINDOW) {
        let request = |begin: &u32| Message::Request {
            piece: index,
            begin: *begin,
            length: BLOCK_SIZE.min(size - begin),
        };
        peer.send(&window.iter().map(request).collect::<Vec<_>>()).await?;
        let mut missing = window.to_vec();
        while !missing.is_empty() {
            peer.wait_for(|message| match message {
                Message::Piece { piece, begin, data } if piece == index => {
                    let Some(place) = missing.iter().position(|wanted| *wanted == begin) else {
                        return Ok(None);
                    };
                    if data.len() as u32 != BLOCK_SIZE.min(size - begin) {
                        return Err(PeerError::Corrupt);
                    }
                    missing.swap_remove(place);
                    bytes[begin as usize..][..data.len()].copy_from_slice(data);
                    Ok(Some(()))
                }
                Message::Choke | Message::Reject { .. } => Err(PeerError::Refused),
                _ => Ok(None),
            })
            .await?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ezio_image::extents::ExtentMap;

    use super::*;
    use crate::storage::DeviceStorage;
    use crate::{Config, Content, Role, Swarm};

    const PIECE: u32 = 32 << 10;
    const LIMIT: Duration = Duration::from_secs(30);

    /// A seeder that has these bytes, whatever the torrent says.
    async fn seeder(metainfo: &Arc<Metainfo>, bytes: &[u8]) -> Swarm {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let whole = ExtentMap::contiguous(bytes.len() as u64).unwrap();
        let storage = Arc::new(DeviceStorage::new(Arc::new(file), "content", 0, whole));
        let config =
            Config { listen: "127.0.0.1:0".parse().unwrap(), role: Role::Server, ..Config::default() };
        let metainfo = Arc::clone(metainfo);
        let content = Content { metainfo, storage, complete: true, trackers: Vec::new() };
        Swarm::start(config, vec![content]).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_first_bytes_come_from_who_has_the_right_ones() {
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
        let hashes: Vec<u8> = bytes.chunks(PIECE as usize).flat_map(|p| Sha1::digest(p).to_vec()).collect();
        let metainfo = Metainfo::create("sda1", PIECE, bytes.len() as u64, None, &hashes).unwrap();
        let metainfo = Arc::new(metainfo);
        let (good, bad) = (seeder(&metainfo, &bytes).await, seeder(&metainfo, &[0; 200_000]).await);
        let both = [bad.listen_addr(), good.listen_addr()];
        // Across the border of a piece; and more than there is.
        for length in [1, 60_000, 1 << 20] {
            let head = fetch(&metainfo, length, &both, LIMIT, |_| {}).await.unwrap();
            assert!(head == bytes[..bytes.len().min(length as usize)], "{length}");
        }
        let soon = Duration::from_secs(3);
        let mut told = Vec::new();
        let lie = fetch(&metainfo, 1, &both[..1], soon, |why| told.push(why.to_owned())).await;
        let text = lie.unwrap_err().to_string();
        assert!(text.contains("wrong hash") && told.iter().any(|why| why.contains("wrong hash")), "{text}");
    }
}
