//! Trackers: who shares a torrent. HTTP (BEP 3, compact by BEP 23 and 7) and UDP (BEP 15).
//!
//! `librqbit-tracker-comms` does not carry here: it never announces `completed` or `stopped`, by which a server knows
//! who is done and gone, and its client hands out addresses only, without what a bounded retry needs to know.

mod announcer;
mod http;
mod udp;

pub(crate) use announcer::run;

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::net::lookup_host;

/// Peers asked for in one announce.
pub(crate) const WANTED: u32 = 100;
/// An announce that takes longer has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// What an announce says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announce {
    pub(crate) info_hash: [u8; 20],
    pub(crate) peer_id: [u8; 20],
    pub(crate) port: u16,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    pub(crate) left: u64,
    pub(crate) event: Option<Event>,
    /// Tells the announces of one client from those of another.
    pub(crate) key: u32,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Started,
    Completed,
    Stopped,
}

/// What a tracker answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// When to announce again.
    pub(crate) interval: Duration,
    /// Not sooner than that, if the tracker says so.
    pub(crate) min_interval: Option<Duration>,
    pub(crate) peers: Vec<SocketAddr>,
    /// Peers that the tracker knows; 0 if it does not say.
    pub(crate) known: usize,
}

/// Why an announce failed.
#[derive(Debug, Error)]
pub(crate) enum TrackerError {
    #[error("not a tracker's address")]
    Url,
    #[error("no answer in time")]
    Timeout,
    #[error("input or output: {0}")]
    Io(#[from] std::io::Error),
    #[error("the request failed: {0:#}")]
    Http(String),
    #[error("the answer makes no sense: {0}")]
    Answer(String),
    #[error("the tracker refuses: {0}")]
    Refused(String),
}

/// Announces to a tracker once.
pub(crate) async fn announce(url: &str, announce: &Announce) -> Result<Answer, TrackerError> {
    let url = url::Url::parse(url).map_err(|_| TrackerError::Url)?;
    let answer = async {
        match url.scheme() {
            "http" => http::announce(url, announce).await,
            "udp" => {
                let (host, port) = url.host_str().zip(url.port()).ok_or(TrackerError::Url)?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let address = lookup_host((host, port)).await?.next().ok_or(TrackerError::Url)?;
                udp::announce(address, announce).await
            }
            _ => Err(TrackerError::Url),
        }
    };
    tokio::time::timeout(TIMEOUT, answer).await.unwrap_or(Err(TrackerError::Timeout))
}

/// Addresses in compact form: 4 + 2 bytes each.
fn compact4(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes
        .as_chunks::<6>()
        .0
        .iter()
        .map(|&[a, b, c, d, p, q]| ([a, b, c, d], u16::from_be_bytes([p, q])).into())
}

/// Addresses in compact form: 16 + 2 bytes each.
fn compact6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.as_chunks::<18>().0.iter().filter_map(|b| {
        let (ip, port) = b.split_first_chunk::<16>()?;
        Some((*ip, u16::from_be_bytes(port.try_into().ok()?)).into())
    })
}
