//! Announces over HTTP (BEP 3), with compact (BEP 23, BEP 7) and plain lists of peers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use librqbit_bencode::{BencodeValue, from_bytes_with_rest};
use librqbit_buffers::ByteBuf;
use serde::Deserialize;
use url::Url;

use super::{Announce, Answer, Event, TIMEOUT, TrackerError, WANTED, compact4, compact6};

/// Longest answer that we take, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// What an answer without an interval means.
const DEFAULT_INTERVAL: i64 = 120;

pub(super) async fn announce(mut url: Url, announce: &Announce) -> Result<Answer, TrackerError> {
    let query = query(announce);
    let query = url.query().map_or_else(|| query.clone(), |own| format!("{own}&{query}"));
    url.set_query(Some(&query));
    let failed = |e: reqwest::Error| TrackerError::Http(chain(&e.without_url()));
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().map_err(failed)?;
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err(TrackerError::Answer("it is too long".into()));
        }
        body.extend_from_slice(&part);
    }
    match parse(&body) {
        Err(TrackerError::Answer(_)) if !status.is_success() => Err(TrackerError::Http(status.to_string())),
        other => other,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn escape(bytes: &[u8; 20]) -> String {
    bytes.iter().map(|b| format!("%{b:02x}")).collect()
}

fn query(announce: &Announce) -> String {
    let event = match announce.event {
        Some(Event::Started) => "&event=started",
        Some(Event::Completed) => "&event=completed",
        Some(Event::Stopped) => "&event=stopped",
        None => "",
    };
    let wanted = if announce.event == Some(Event::Stopped) { 0 } else { WANTED };
    format!(
        "info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}&left={}&compact=1&numwant={wanted}&key={:08x}{event}",
        escape(&announce.info_hash),
        escape(&announce.peer_id),
        announce.port,
        announce.uploaded,
        announce.downloaded,
        announce.left,
        announce.key,
    )
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de> + From<&'de [u8]>"))]
struct Raw<B: std::hash::Hash + Eq> {
    #[serde(rename = "failure reason", default = "nothing")]
    failure: Option<B>,
    #[serde(default)]
    interval: Option<i64>,
    #[serde(rename = "min interval", default)]
    min_interval: Option<i64>,
    #[serde(default)]
    complete: Option<i64>,
    #[serde(default)]
    incomplete: Option<i64>,
    #[serde(default = "nothing")]
    peers: Option<BencodeValue<B>>,
    #[serde(default = "nothing")]
    peers6: Option<B>,
}

fn nothing<T>() -> Option<T> {
    None
}

fn parse(body: &[u8]) -> Result<Answer, TrackerError> {
    let (raw, _): (Raw<ByteBuf<'_>>, _) =
        from_bytes_with_rest(body).map_err(|e| TrackerError::Answer(e.to_string()))?;
    if let Some(failure) = raw.failure {
        let text = String::from_utf8_lossy(failure.as_ref()).chars().take(200).collect();
        return Err(TrackerError::Refused(text));
    }
    let seconds = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0).clamp(1, 86_400));
    let count = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let mut peers: Vec<SocketAddr> = match &raw.peers {
        Some(BencodeValue::Bytes(bytes)) => compact4(bytes.as_ref()).collect(),
        Some(BencodeValue::List(list)) => list.iter().filter_map(plain).collect(),
        _ => Vec::new(),
    };
    peers.extend(raw.peers6.iter().flat_map(|b| compact6(b.as_ref())));
    Ok(Answer {
        interval: seconds(raw.interval.unwrap_or(DEFAULT_INTERVAL)),
        min_interval: raw.min_interval.map(seconds),
        peers,
        known: count(raw.complete).saturating_add(count(raw.incomplete)),
    })
}

/// A peer as a dictionary with `ip` and `port`.
fn plain(peer: &BencodeValue<ByteBuf<'_>>) -> Option<SocketAddr> {
    let BencodeValue::Dict(dict) = peer else { return None };
    let Some(BencodeValue::Bytes(ip)) = dict.get(b"ip".as_slice()) else { return None };
    let Some(BencodeValue::Integer(port)) = dict.get(b"port".as_slice()) else { return None };
    let ip: IpAddr = std::str::from_utf8(ip.as_ref()).ok()?.parse().ok()?;
    Some((ip, u16::try_from(*port).ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_compact_and_plain_answers() {
        let compact = b"d8:completei1e10:incompletei2e8:intervali30e12:min intervali5e5:peers6:\x0a\x00\x00\x01\x1a\xe1e";
        let answer = parse(compact).unwrap();
        assert_eq!(answer.peers, ["10.0.0.1:6881".parse().unwrap()]);
        assert_eq!((answer.interval.as_secs(), answer.min_interval.unwrap().as_secs()), (30, 5));
        assert_eq!(answer.known, 3);
        let plain = b"d8:intervali30e5:peersld2:ip8:10.0.0.27:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti80eeee";
        assert_eq!(parse(plain).unwrap().peers, ["10.0.0.2:80".parse().unwrap()]);
        let six = b"d8:intervali30e5:peers0:6:peers618:\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50e";
        assert_eq!(parse(six).unwrap().peers, ["[fd00::1]:80".parse().unwrap()]);
        let refused = parse(b"d14:failure reason7:go awaye").unwrap_err();
        assert_eq!(refused.to_string(), "the tracker refuses: go away");
    }

    #[test]
    fn the_query_names_everything() {
        let announce = Announce {
            info_hash: [0xff; 20],
            peer_id: *b"-EZ0100-abcdefghijkl",
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: 3,
            event: Some(Event::Completed),
            key: 0x1234,
        };
        let query = query(&announce);
        assert!(query.starts_with("info_hash=%ff%ff"));
        assert!(query.ends_with(
            "&port=6881&uploaded=1&downloaded=2&left=3&compact=1&numwant=100&key=00001234&event=completed"
        ));
        let mut url = Url::parse("http://t/announce?pass=1").unwrap();
        url.set_query(Some(&query));
        assert!(url.as_str().contains("info_hash=%ff%ff"), "{url}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }
    }
}
