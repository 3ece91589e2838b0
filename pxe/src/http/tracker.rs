//! The tracker's HTTP: reads announces and scrapes (BEP 3).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use ezio_contract::urls;

use super::{Peer, at, text};
use crate::throttle::Throttle;
use crate::tracker::{Announce, AnnounceEvent, Tracker, failure, scrape_answer};

const PLAIN: &str = "text/plain";
const MAX_SCRAPED: usize = 100;

/// What this file needs.
pub(crate) struct Announces {
    tracker: Mutex<Tracker>,
    seeder_port: u16,
    throttle: Arc<Throttle>,
}

impl Announces {
    pub(crate) fn new(tracker: Tracker, seeder_port: u16, throttle: Arc<Throttle>) -> Self {
        Self { tracker: Mutex::new(tracker), seeder_port, throttle }
    }

    pub(super) fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn router(announces: Arc<Announces>) -> Router {
    Router::new()
        .route(&at(urls::ANNOUNCE), get(announce))
        .route(&at(urls::SCRAPE), get(scrape))
        .with_state(announces)
}

async fn announce(
    State(announces): State<Arc<Announces>>,
    Extension(peer): Extension<Peer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let answer = parse(query.as_deref().unwrap_or_default(), peer.remote.ip()).and_then(|announce| {
        let seeder = seeder(announces.seeder_port, &peer, &headers);
        announces.tracker().announce(&announce, seeder, Instant::now())
    });
    match answer {
        Ok(answer) => text(PLAIN, answer),
        Err(reason) => {
            announces.throttle.warn("tracker", || format!("{}: {reason}", peer.remote));
            text(PLAIN, failure(reason))
        }
    }
}

async fn scrape(State(announces): State<Arc<Announces>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let wanted: Vec<[u8; 20]> = pairs(&query)
        .filter(|(key, _)| *key == "info_hash")
        .filter_map(|(_, value)| decode(value).try_into().ok())
        .take(MAX_SCRAPED)
        .collect();
    text(PLAIN, scrape_answer(&announces.tracker().scrape(&wanted, Instant::now())))
}

/// The seeder under the address that this client reached the server by.
fn seeder(port: u16, peer: &Peer, headers: &HeaderMap) -> SocketAddr {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = host.and_then(|host| host.parse::<SocketAddr>().ok()).map(|address| address.ip());
    let local = peer.local.ip().to_canonical();
    // Behind a port forward the connection's own address is of no use to the client, the one it named is.
    SocketAddr::new(named.unwrap_or(local), port)
}

fn parse(query: &str, from: IpAddr) -> Result<Announce, &'static str> {
    let get = |wanted: &str| pairs(query).find(|(key, _)| *key == wanted).map(|(_, value)| decode(value));
    let hash = |key: &str, error| get(key).and_then(|v| <[u8; 20]>::try_from(v).ok()).ok_or(error);
    let number = |key: &str| -> Option<u64> { std::str::from_utf8(&get(key)?).ok()?.parse().ok() };
    let port =
        number("port").and_then(|port| u16::try_from(port).ok()).ok_or("port is missing or no port")?;
    let event = match get("event").unwrap_or_default().as_slice() {
        b"started" => AnnounceEvent::Started,
        b"stopped" => AnnounceEvent::Stopped,
        b"completed" => AnnounceEvent::Completed,
        _ => AnnounceEvent::None,
    };
    Ok(Announce {
        info_hash: hash("info_hash", "info_hash is missing or not 20 bytes")?,
        peer_id: hash("peer_id", "peer_id is missing or not 20 bytes")?,
        // Whatever it says in `ip`: nobody announces for others here.
        address: SocketAddr::new(from.to_canonical(), port),
        left: number("left").unwrap_or(u64::MAX),
        event,
        wanted: number("numwant").and_then(|n| usize::try_from(n).ok()),
    })
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// Percent-decoding to bytes: hashes are no text, and `+` is no blank in them.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let value =
            digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        out.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_announce_is_read_whatever_its_bytes() {
        let hash = "%00%26%3d%25+abcdefghijklmno";
        let query = format!(
            "info_hash={hash}&peer_id=-AB1234-xxxxxxxxxxxx&port=6881&left=7&event=started&numwant=5&ip=1.2.3.4"
        );
        let announce = parse(&query, "::ffff:10.0.0.9".parse().unwrap()).unwrap();
        assert_eq!(&announce.info_hash, b"\0&=%+abcdefghijklmno");
        assert_eq!(announce.address, "10.0.0.9:6881".parse().unwrap());
        assert_eq!((announce.left, announce.event, announce.wanted), (7, AnnounceEvent::Started, Some(5)));
        for bad in ["", "info_hash=short&peer_id=x&port=1", "port=70000", "&&&=&%", "port=1&info_hash=%"] {
            assert!(parse(bad, "10.0.0.9".parse().unwrap()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_string_survives_percent_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text: String = bytes.iter().map(|b| format!("%{b:02X}")).collect();
            prop_assert_eq!(decode(&text), bytes);
        }

        #[test]
        fn garbage_never_panics(query in ".{0,80}") {
            let _ = parse(&query, "10.0.0.9".parse().unwrap());
        }
    }
}
