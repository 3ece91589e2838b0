//! Announces over UDP (BEP 15): a connection id first, then the announce; each asked for again if it is late.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Announce, Answer, Event, TrackerError, WANTED, compact4, compact6};

const PROTOCOL: u64 = 0x0417_2710_1980;
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const ERROR: u32 = 3;
/// On a room's network an answer that takes longer is lost.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

pub(super) async fn announce(tracker: SocketAddr, announce: &Announce) -> Result<Answer, TrackerError> {
    let any: SocketAddr = match tracker {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(tracker).await?;
    let connection = ask(&socket, CONNECT, 16, connect_request).await?;
    let id = connection.get(8..16).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
    let body = ask(&socket, ANNOUNCE, 20, |transaction| announce_request(id, transaction, announce)).await?;
    Ok(parse(&body, tracker.is_ipv6()))
}

/// Sends a request until its answer comes, of at least `least` bytes.
async fn ask(
    socket: &UdpSocket,
    action: u32,
    least: usize,
    request: impl Fn(u32) -> Vec<u8>,
) -> Result<Vec<u8>, TrackerError> {
    let mut buffer = vec![0; 4096];
    for attempt in 0..TRIES {
        let transaction: u32 = rand::random();
        socket.send(&request(transaction)).await?;
        let answer = timeout(FIRST_WAIT * (1 << attempt), async {
            loop {
                let n = socket.recv(&mut buffer).await?;
                if let Some(answer) = check(&buffer[..n], action, transaction, least) {
                    return answer;
                }
            }
        });
        if let Ok(answer) = answer.await {
            return answer;
        }
    }
    Err(TrackerError::Timeout)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b))
}

/// The answer to a transaction; none if the packet is for another one.
fn check(
    packet: &[u8],
    action: u32,
    transaction: u32,
    least: usize,
) -> Option<Result<Vec<u8>, TrackerError>> {
    if packet.len() < 8 || number(packet, 4) != transaction {
        return None;
    }
    match number(packet, 0) {
        ERROR => Some(Err(TrackerError::Refused(String::from_utf8_lossy(&packet[8..]).into_owned()))),
        a if a == action && packet.len() >= least => Some(Ok(packet.to_vec())),
        _ => None,
    }
}

fn connect_request(transaction: u32) -> Vec<u8> {
    let mut out = PROTOCOL.to_be_bytes().to_vec();
    out.extend(CONNECT.to_be_bytes());
    out.extend(transaction.to_be_bytes());
    out
}

fn announce_request(connection: [u8; 8], transaction: u32, announce: &Announce) -> Vec<u8> {
    let event: u32 = match announce.event {
        None => 0,
        Some(Event::Completed) => 1,
        Some(Event::Started) => 2,
        Some(Event::Stopped) => 3,
    };
    let wanted = if announce.event == Some(Event::Stopped) { 0 } else { WANTED };
    let mut out = connection.to_vec();
    out.extend(ANNOUNCE.to_be_bytes());
    out.extend(transaction.to_be_bytes());
    out.extend(announce.info_hash);
    out.extend(announce.peer_id);
    for bytes in [announce.downloaded, announce.left, announce.uploaded] {
        out.extend(bytes.to_be_bytes());
    }
    for value in [event, 0, announce.key, wanted] {
        out.extend(value.to_be_bytes());
    }
    out.extend(announce.port.to_be_bytes());
    out
}

fn parse(body: &[u8], v6: bool) -> Answer {
    let peers = body.get(20..).unwrap_or_default();
    Answer {
        interval: Duration::from_secs(u64::from(number(body, 8)).clamp(1, 86_400)),
        min_interval: None,
        peers: if v6 { compact6(peers).collect() } else { compact4(peers).collect() },
        known: (number(body, 12) as usize).saturating_add(number(body, 16) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_in_bep_15() {
        assert_eq!(connect_request(7), b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\0\0\0\x07");
        let announce = Announce {
            info_hash: [1; 20],
            peer_id: [2; 20],
            port: 6881,
            uploaded: 3,
            downloaded: 4,
            left: 5,
            event: Some(Event::Started),
            key: 6,
        };
        let bytes = announce_request([9; 8], 7, &announce);
        assert_eq!(bytes.len(), 98);
        assert_eq!(bytes[8..16], [0, 0, 0, 1, 0, 0, 0, 7]);
        assert_eq!((bytes[63], bytes[71], bytes[79], bytes[83]), (4, 5, 3, 2));
        assert_eq!(bytes[92..], [0, 0, 0, 100, 0x1a, 0xe1]);
    }

    #[test]
    fn answers_are_matched_to_their_question() {
        let mut packet = [0, 0, 0, 1, 0, 0, 0, 7].to_vec();
        packet.extend([0, 0, 0, 30, 0, 0, 0, 1, 0, 0, 0, 2, 10, 0, 0, 1, 0, 80]);
        assert!(check(&packet, ANNOUNCE, 8, 20).is_none());
        assert!(check(&packet[..12], ANNOUNCE, 7, 20).is_none());
        let answer = parse(&check(&packet, ANNOUNCE, 7, 20).unwrap().unwrap(), false);
        assert_eq!(answer.interval, Duration::from_secs(30));
        assert_eq!(answer.peers, ["10.0.0.1:80".parse().unwrap()]);
        let error = check(b"\0\0\0\x03\0\0\0\x07go away", ANNOUNCE, 7, 20).unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the tracker refuses: go away");
    }
}
