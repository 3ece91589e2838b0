//! A machine that lies: it claims to have every piece and answers every request with a corrupt
//! block. It comes back whenever it is thrown out, as a machine with bad memory would.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ezio_image::metainfo::Metainfo;

const PORT: u16 = 6881;
const PEER_ID: &[u8; 20] = b"-XX0001-corruptsdata";
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;
const UNCHOKE: u8 = 1;
/// Longest message we take: a bitfield of a very large torrent, or a block.
const MAX_MESSAGE: usize = 1 << 20;
const MAX_BLOCK: usize = 128 << 10;
const PAUSE: Duration = Duration::from_secs(5);

/// Reads a torrent file.
pub(super) fn read_torrent(torrent: &Path) -> Result<Metainfo> {
    let bytes = std::fs::read(torrent).with_context(|| format!("read {}", torrent.display()))?;
    Metainfo::parse(&bytes).with_context(|| format!("parse {}", torrent.display()))
}

struct Liar {
    info_hash: [u8; 20],
    pieces: usize,
    connected: Mutex<HashSet<IpAddr>>,
    sent: AtomicU64,
}

/// Lies to everyone in a swarm until it is killed; says every second how many bytes of lies went out.
///
/// # Errors
/// The torrent cannot be read, or the port is taken.
pub fn lie(torrent: &Path, tracker: &str, address: IpAddr) -> Result<()> {
    let metainfo = read_torrent(torrent)?;
    let liar = Arc::new(Liar {
        info_hash: metainfo.info_hash().0,
        pieces: metainfo.piece_count() as usize,
        connected: Mutex::default(),
        sent: AtomicU64::new(0),
    });
    let listener = TcpListener::bind((address, PORT)).context("listen")?;
    let accepting = Arc::clone(&liar);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            accepting.meet(stream, address);
        }
    });
    loop {
        // A tracker that is away, or a peer that refuses, is asked again later.
        for peer in announce(tracker, &liar.info_hash).unwrap_or_default() {
            if let Ok(stream) = TcpStream::connect_timeout(&peer, Duration::from_secs(1)) {
                liar.meet(stream, address);
            }
        }
        let sent = liar.sent.load(Ordering::Relaxed);
        println!("{{\"event\":\"lied\",\"sent_bytes\":{sent}}}");
        std::thread::sleep(PAUSE);
    }
}

impl Liar {
    fn meet(self: &Arc<Self>, stream: TcpStream, own: IpAddr) {
        let Ok(peer) = stream.peer_addr() else { return };
        let known = || self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.ip() == own || !known().insert(peer.ip()) {
            return;
        }
        let liar = Arc::clone(self);
        std::thread::spawn(move || {
            // However it ends, the connection is over, and there will be another.
            let _ = liar.serve(stream);
            liar.connected.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.ip());
        });
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(130)))?;
        let hello = [b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0", &self.info_hash[..], PEER_ID].concat();
        stream.write_all(&hello)?;
        let mut theirs = [0; 68];
        stream.read_exact(&mut theirs)?;
        ensure!(theirs[28..48] == self.info_hash, "another torrent");
        stream.write_all(&message(BITFIELD, &full_bitfield(self.pieces)))?;
        stream.write_all(&message(UNCHOKE, &[]))?;
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            ensure!(length <= MAX_MESSAGE, "message too long");
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            if let [REQUEST, request @ ..] = &body[..] {
                let (at, length) = request.split_at_checked(8).context("request too short")?;
                let length = u32::from_be_bytes(length.try_into()?) as usize;
                ensure!(length <= MAX_BLOCK, "block too long");
                let block = [at, &vec![0x5a; length]].concat();
                stream.write_all(&message(PIECE, &block))?;
                self.sent.fetch_add(length as u64, Ordering::Relaxed);
            }
        }
    }
}

fn message(id: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 1;
    [&length.to_be_bytes()[..], &[id], body].concat()
}

fn full_bitfield(pieces: usize) -> Vec<u8> {
    let mut bits = vec![0xff; pieces.div_ceil(8)];
    let spare = bits.len() * 8 - pieces;
    if let Some(last) = bits.last_mut() {
        *last <<= spare;
    }
    bits
}

/// Asks a tracker for a swarm's peers, over plain HTTP.
fn announce(tracker: &str, info_hash: &[u8; 20]) -> Result<Vec<SocketAddr>> {
    let rest = tracker.strip_prefix("http://").context("not an http:// tracker")?;
    let (host, path) = rest.split_once('/').context("tracker without a path")?;
    let hash: String = info_hash.iter().map(|byte| format!("%{byte:02x}")).collect();
    let id = String::from_utf8_lossy(PEER_ID);
    let query = format!(
        "/{path}?info_hash={hash}&peer_id={id}&port={PORT}&uploaded=0&downloaded=0&left=0&compact=1&numwant=200"
    );
    let body = http_get(host, &query)?;
    let at = find(&body, b"5:peers").context("no peers in the tracker's answer")? + b"5:peers".len();
    let colon = at + find(&body[at..], b":").context("peers without a length")?;
    let length: usize = std::str::from_utf8(&body[at..colon])?.parse()?;
    let peers = body.get(colon + 1..colon + 1 + length).context("peers cut short")?;
    let address = |peer: &[u8; 6]| {
        let ip = [peer[0], peer[1], peer[2], peer[3]];
        SocketAddrV4::new(ip.into(), u16::from_be_bytes([peer[4], peer[5]])).into()
    };
    Ok(peers.as_chunks().0.iter().map(address).collect())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// One HTTP request over a connection of its own; the whole answer.
pub(super) fn http_get(host: &str, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(host).with_context(|| format!("connect to {host}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).context("ask")?;
    let mut answer = Vec::new();
    stream.take(MAX_MESSAGE as u64).read_to_end(&mut answer).context("read the answer")?;
    let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if !status.windows(5).any(|window| window == b" 200 ") {
        bail!("http://{host}{path}: {}", String::from_utf8_lossy(status));
    }
    Ok(answer)
}

/// Waits until a tracker knows somebody who has all of a torrent.
///
/// # Errors
/// It knows nobody within half a minute.
pub fn await_seed(torrent: &Path, tracker: &str) -> Result<()> {
    let hash: String =
        read_torrent(torrent)?.info_hash().0.iter().map(|byte| format!("%{byte:02x}")).collect();
    for _ in 0..300 {
        let scrape = http_get(tracker, &format!("/scrape?info_hash={hash}")).unwrap_or_default();
        if find(&scrape, b"8:completei").is_some_and(|at| scrape.get(at + 11) != Some(&b'0')) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("no seed has announced itself to {tracker}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_bits_of_a_bitfield_are_zero() {
        assert_eq!(full_bitfield(8), [0xff]);
        assert_eq!(full_bitfield(10), [0xff, 0xc0]);
    }
}
