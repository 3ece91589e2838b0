//! From a fresh socket to a registered connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ezio_scheduler::{ConnId, REQUEST_QUEUE, TorrentId};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Engine;
use super::core::Conn;
use super::outbox::{Close, Outbox};
use super::socket;
use crate::config::Role;
use crate::wire::{
    EZIO_ID, EZIO_PACK_ID, EZIO_SHAPE_ID, ExtendedHandshake, ExtensionIds, EzioHandshake, HANDSHAKE_LENGTH,
    Handshake, MAX_EXTENDED, Message, UT_METADATA_ID, WireError,
};

/// A handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How our peer ids begin: the client's name and version by the convention of BEP 20.
const PEER_ID_PREFIX: &[u8; 8] = b"-EZ0100-";
/// Requests that a peer keeps which does not say how many: the fewest that common clients keep.
const USUAL_QUEUE: u32 = 250;

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    #[error("input or output")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a torrent that we do not have")]
    UnknownTorrent,
    #[error("connected to ourselves")]
    Ourselves,
    #[error("there is another connection to this peer")]
    Duplicate,
    #[error("it sent corrupt data before")]
    Shunned,
    #[error("there are enough connections")]
    TooMany,
}

/// A connection that is through.
pub(super) struct Established {
    pub(super) stream: TcpStream,
    pub(super) id: ConnId,
    pub(super) torrent: TorrentId,
    pub(super) outbox: Arc<Outbox>,
    pub(super) ids: ExtensionIds,
    /// Bytes that came behind the handshake.
    pub(super) rest: Vec<u8>,
}

/// A random peer id.
pub(crate) fn new_peer_id() -> [u8; 20] {
    let mut id: [u8; 20] = rand::random();
    id[..8].copy_from_slice(PEER_ID_PREFIX);
    id
}

/// Shakes hands on a connection that we made (`dialled` says for what, and whether the peer was named to us) or took.
pub(super) async fn establish(
    engine: &Engine,
    mut stream: TcpStream,
    address: SocketAddr,
    dialled: Option<(TorrentId, bool)>,
) -> Result<Established, HandshakeError> {
    socket::configure(&stream)?;
    timeout(HANDSHAKE_TIMEOUT, async {
        let (torrent, theirs) = exchange(engine, &mut stream, dialled.map(|d| d.0)).await?;
        if theirs.peer_id == engine.peer_id {
            return Err(HandshakeError::Ourselves);
        }
        if theirs.extended {
            let body = our_extended(engine, torrent, dialled.is_some_and(|d| d.1)).encode();
            let mut bytes = Vec::new();
            Message::Extended { id: 0, body: &body }.encode(&mut bytes);
            stream.write_all(&bytes).await?;
        }
        // Ours say at once what they are; what others say in their time is of no use to the scheduler.
        let ours = theirs.extended && theirs.peer_id.starts_with(&PEER_ID_PREFIX[..3]);
        let (extended, rest) =
            if ours { read_extended(&mut stream).await? } else { (ExtendedHandshake::default(), Vec::new()) };
        let own = stream.local_addr()?.ip();
        register(engine, &theirs, &extended, torrent, (address, own), dialled.is_some())
            .map(|(id, outbox)| Established { stream, id, torrent, outbox, ids: extended.ids, rest })
    })
    .await?
}

async fn exchange(
    engine: &Engine,
    stream: &mut TcpStream,
    dialled: Option<TorrentId>,
) -> Result<(TorrentId, Handshake), HandshakeError> {
    let ours = |torrent: TorrentId| {
        let info_hash = engine.contents[usize::from(torrent.0)].metainfo.info_hash().0;
        Handshake { fast: true, extended: true, info_hash, peer_id: engine.peer_id }.encode()
    };
    if let Some(torrent) = dialled {
        stream.write_all(&ours(torrent)).await?;
    }
    let mut bytes = [0; HANDSHAKE_LENGTH];
    stream.read_exact(&mut bytes).await?;
    let theirs = Handshake::decode(&bytes)?;
    let torrent = *engine.torrents.get(&theirs.info_hash).ok_or(HandshakeError::UnknownTorrent)?;
    match dialled {
        Some(expected) if expected != torrent => return Err(HandshakeError::UnknownTorrent),
        Some(_) => {}
        None => stream.write_all(&ours(torrent)).await?,
    }
    Ok((torrent, theirs))
}

fn our_extended(engine: &Engine, torrent: TorrentId, named: bool) -> ExtendedHandshake {
    let metainfo = &engine.contents[usize::from(torrent.0)].metainfo;
    let sites = match engine.config.role {
        Role::Server => engine.config.sites.clone(),
        Role::Member => Vec::new(),
    };
    ExtendedHandshake {
        ids: ExtensionIds {
            ut_metadata: Some(UT_METADATA_ID),
            ezio: Some(EZIO_ID),
            ezio_shape: Some(EZIO_SHAPE_ID),
            ezio_pack: Some(EZIO_PACK_ID),
        },
        port: Some(engine.port),
        request_queue: Some(REQUEST_QUEUE),
        metadata_size: u32::try_from(metainfo.info_bytes().len()).ok(),
        version: concat!("ezio ", env!("CARGO_PKG_VERSION")).to_owned(),
        ezio: Some(EzioHandshake { role: engine.config.role, member: engine.member, named, sites }),
    }
}

/// Reads the extension handshake if it comes first, and what was read with it.
async fn read_extended(stream: &mut TcpStream) -> Result<(ExtendedHandshake, Vec<u8>), HandshakeError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes(head);
    let limit = MAX_EXTENDED + 2;
    if length > limit {
        return Err(WireError::FrameLength { length, limit }.into());
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    if let Message::Extended { id: 0, body } = Message::decode(&frame)? {
        return Ok((ExtendedHandshake::decode(body)?, Vec::new()));
    }
    let mut rest = head.to_vec();
    rest.extend(frame);
    Ok((ExtendedHandshake::default(), rest))
}

/// Makes the connection known to the scheduler, unless there is a reason against it.
fn register(
    engine: &Engine,
    theirs: &Handshake,
    extended: &ExtendedHandshake,
    torrent: TorrentId,
    (mut address, own): (SocketAddr, std::net::IpAddr),
    outgoing: bool,
) -> Result<(ConnId, Arc<Outbox>), HandshakeError> {
    if let Some(port) = extended.port
        && !outgoing
    {
        address.set_port(port);
    }
    let ezio = extended.ezio.as_ref().map(|e| (e.role, e.member));
    if let Some(EzioHandshake { role: Role::Server, sites, .. }) = &extended.ezio
        && engine.config.role == Role::Member
    {
        engine.learn_sites(sites, own.to_canonical());
    }
    let (site, far) = (engine.sites().of(address.ip()), engine.is_far(address.ip()));
    let name = ezio.map_or_else(|| *theirs.peer_id.last_chunk::<8>().unwrap_or(&[0; 8]), |e| e.1);
    let member = u64::from_be_bytes(name);
    let outbox = Arc::new(Outbox::default());
    let named = extended.ezio.as_ref().is_some_and(|e| e.named);
    let takes_few = !outgoing && !named && engine.config.role == Role::Member;
    let id = engine.with_core(|core| {
        if core.scheduler.is_shunned(member) {
            return Err(HandshakeError::Shunned);
        }
        let twin = core.conns().find(|(_, c)| c.torrent == torrent && c.peer_id == theirs.peer_id);
        if let Some((_, twin)) = twin {
            // Both ends must keep the same one: that which the greater peer id dialled.
            let ours_wins = engine.peer_id > theirs.peer_id;
            if twin.outgoing == outgoing || twin.outgoing == ours_wins {
                return Err(HandshakeError::Duplicate);
            }
            twin.outbox.close(Close::Duplicate);
        } else if outgoing && core.conns().count() >= engine.config.max_connections
            || takes_few && engine.count_connections(core, torrent, far) >= engine.neighbours().most(far)
        {
            return Err(HandshakeError::TooMany);
        }
        let conn = Conn {
            outbox: Arc::clone(&outbox),
            torrent,
            peer_id: theirs.peer_id,
            member,
            ezio,
            ids: extended.ids,
            address,
            outgoing,
            fast: theirs.fast,
            queue: extended.request_queue.unwrap_or(USUAL_QUEUE),
            sent: 0,
            received: 0,
        };
        Ok(core.register(conn, site))
    })?;
    outbox.wake();
    engine.ticker.notify_one();
    Ok((id, outbox))
}

/// Is there a connection to `address` for this torrent already, whoever dialled?
pub(super) fn is_connected(engine: &Engine, torrent: TorrentId, address: SocketAddr) -> bool {
    let core = engine.core.lock().unwrap_or_else(PoisonError::into_inner);
    core.conns().any(|(_, c)| c.torrent == torrent && c.address == address)
}
