//! Our own messages about the shape of the room, by the number that the receiver gave to `ezio_shape` in its extension
//! handshake. Members send each other probes, and echoes of them; a member tells the server how long these took, and how fast its
//! streams are; the server tells a member who is at its switch.
//!
//! ```text
//! { "probe": padding }
//! { "echo": 1 }
//! { "echoes": member (8 bytes) + microseconds from the probe to its echo (4), … }
//! { "paces": member (8 bytes) + bytes sent (4) + microseconds in which there was something to send (4), … }
//! { "near": [address + port, …], "routes": [{ "at": [address + port, …], "site": number, "ways": bits }, …], "site": number }
//! { "meet": [address + port, …] }
//! ```
//! All numbers are big endian. `echoes` and `paces` are one string each; an address is 4 or 16 bytes and 2 of the port. Whoever is in none of the lists
//! is elsewhere; `routes` are the sites that pieces come from, and go on to. Who gets `meet` is to probe these: it is not
//! known where it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ezio_scheduler::{Echo, Near, PROBE, Pace, Routes, SiteId};
use librqbit_buffers::{ByteBuf, ByteBufOwned};
use serde::{Deserialize, Serialize};

use super::{WireError, decode_address, encode_address, from_bencode, none, to_bencode};

/// Bytes of one pace.
const PACE: usize = 16;

/// Bytes of one echo.
const ECHO: usize = 12;

/// One of these messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeMessage {
    /// Padding, to be answered at once.
    Probe,
    /// That answer.
    Echo,
    /// How long echoes took that came to the sender.
    Echoes(Vec<Echo>),
    /// How fast the streams of the sender are.
    Paces(Vec<Pace>),
    /// Where the receiver is among the sites.
    Near(Near<SocketAddr>),
    /// Members at several sites that the receiver is to probe.
    Meet(Vec<SocketAddr>),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
struct Raw<B> {
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    echo: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    echoes: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    meet: Option<Vec<B>>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    near: Option<Vec<B>>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    paces: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    probe: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    routes: Option<Vec<RawRoute<B>>>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    site: Option<u16>,
}

/// A site on the routes: who is there, its number, and which pieces come from there (1 the even, 2 the odd ones) and go there (4, 8).
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
struct RawRoute<B> {
    at: Vec<B>,
    site: u16,
    ways: u8,
}

/// The ways of pieces from and to a site, as [`RawRoute::ways`] has them.
fn ways_of(routes: &Routes, site: SiteId) -> u8 {
    let [even, odd] = &routes.0;
    let ways = [&even.from, &odd.from, &even.to, &odd.to].into_iter().enumerate();
    ways.filter(|(_, sites)| sites.contains(&site)).map(|(way, _)| 1 << way).sum()
}

fn add_ways(routes: &mut Routes, site: SiteId, ways: u8) {
    let [even, odd] = &mut routes.0;
    for (way, sites) in [&mut even.from, &mut odd.from, &mut even.to, &mut odd.to].into_iter().enumerate() {
        if ways >> way & 1 == 1 {
            sites.insert(site);
        }
    }
}

fn encode_time(time: Duration) -> [u8; 4] {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX).to_be_bytes()
}

fn decode_time(bytes: &[u8]) -> Option<Duration> {
    Some(Duration::from_micros(u32::from_be_bytes(bytes.try_into().ok()?).into()))
}

fn encode_echo(echo: &Echo) -> [u8; ECHO] {
    let mut bytes = [0; ECHO];
    bytes[..8].copy_from_slice(&echo.member.to_be_bytes());
    bytes[8..].copy_from_slice(&encode_time(echo.time));
    bytes
}

fn decode_echo(bytes: &[u8]) -> Option<Echo> {
    let (member, time) = bytes.split_first_chunk::<8>()?;
    Some(Echo { member: u64::from_be_bytes(*member), time: decode_time(time)? })
}

fn encode_pace(pace: &Pace) -> [u8; PACE] {
    let mut bytes = [0; PACE];
    bytes[..8].copy_from_slice(&pace.member.to_be_bytes());
    bytes[8..12].copy_from_slice(&pace.bytes.to_be_bytes());
    bytes[12..].copy_from_slice(&encode_time(pace.busy));
    bytes
}

fn decode_pace(bytes: &[u8]) -> Option<Pace> {
    let (member, numbers) = bytes.split_first_chunk::<8>()?;
    let (sent, busy) = numbers.split_first_chunk::<4>()?;
    Some(Pace {
        member: u64::from_be_bytes(*member),
        bytes: u32::from_be_bytes(*sent),
        busy: decode_time(busy)?,
    })
}

impl ShapeMessage {
    /// The body of the extension message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut raw = Raw::default();
        let string = |bytes: Vec<u8>| Some(ByteBufOwned::from(bytes));
        let list = |at: &[SocketAddr]| Some(at.iter().copied().map(encode_address).collect());
        match self {
            Self::Probe => raw.probe = string(vec![0; PROBE]),
            Self::Echo => raw.echo = Some(1),
            Self::Echoes(echoes) => raw.echoes = string(echoes.iter().flat_map(encode_echo).collect()),
            Self::Paces(paces) => raw.paces = string(paces.iter().flat_map(encode_pace).collect()),
            Self::Meet(some) => raw.meet = list(some),
            Self::Near(told) => {
                let there = |site: &SiteId| told.members.get(site).map_or(&[][..], Vec::as_slice);
                let route = |site: &SiteId| RawRoute {
                    at: there(site).iter().copied().map(encode_address).collect(),
                    site: site.0,
                    ways: ways_of(&told.routes, *site),
                };
                (raw.near, raw.site) = (list(there(&told.site)), Some(told.site.0));
                raw.routes = Some(told.routes.sites().iter().map(route).collect());
            }
        }
        to_bencode(&raw)
    }

    /// Reads the body of the extension message. None: it says something that we do not know.
    ///
    /// # Errors
    /// It is not a bencoded dictionary of that shape.
    pub fn decode(body: &[u8]) -> Result<Option<Self>, WireError> {
        let raw: Raw<ByteBuf<'_>> = from_bencode(body)?;
        let odd = || WireError::Bencode("a neighbour without an address".to_owned());
        let list = |list: Vec<ByteBuf<'_>>| -> Result<Vec<SocketAddr>, WireError> {
            list.iter().map(|at| decode_address(at.as_ref()).ok_or_else(odd)).collect()
        };
        if let Some(some) = raw.meet {
            return Ok(Some(Self::Meet(list(some)?)));
        }
        if let Some(near) = raw.near {
            let site = SiteId(raw.site.unwrap_or_default());
            let (mut routes, mut members) = (Routes::default(), BTreeMap::from([(site, list(near)?)]));
            for route in raw.routes.unwrap_or_default() {
                add_ways(&mut routes, SiteId(route.site), route.ways);
                members.insert(SiteId(route.site), list(route.at)?);
            }
            members.retain(|_, there| !there.is_empty());
            return Ok(Some(Self::Near(Near { site, routes, members })));
        }
        if raw.probe.is_some() {
            return Ok(Some(Self::Probe));
        }
        if raw.echo.is_some() {
            return Ok(Some(Self::Echo));
        }
        let echoes = |bytes: ByteBuf<'_>| bytes.as_ref().chunks_exact(ECHO).filter_map(decode_echo).collect();
        let paces = |bytes: ByteBuf<'_>| bytes.as_ref().chunks_exact(PACE).filter_map(decode_pace).collect();
        Ok(raw.echoes.map(echoes).map(Self::Echoes).or_else(|| raw.paces.map(paces).map(Self::Paces)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        let pace =
            Pace { member: u64::from_be_bytes(*b"abcdefgh"), bytes: 65_536, busy: Duration::from_millis(3) };
        let bytes = ShapeMessage::Paces(vec![pace, Pace { bytes: 0, ..pace }]).encode();
        assert!(
            bytes.starts_with(b"d5:paces32:abcdefgh\x00\x01\x00\x00\x00\x00\x0b\xb8abcdefgh\x00"),
            "{bytes:?}"
        );
        let told = ShapeMessage::Paces(vec![pace, Pace { bytes: 0, ..pace }]);
        assert_eq!(ShapeMessage::decode(&bytes), Ok(Some(told)));
        let probe = ShapeMessage::Probe.encode();
        assert_eq!(probe, [&b"d5:probe4096:"[..], &[0; PROBE], b"e"].concat());
        assert_eq!(ShapeMessage::decode(&probe), Ok(Some(ShapeMessage::Probe)));
        assert_eq!(ShapeMessage::Echo.encode(), b"d4:echoi1ee");
        assert_eq!(ShapeMessage::decode(b"d4:echoi1ee"), Ok(Some(ShapeMessage::Echo)));
        let echo = Echo { member: pace.member, time: Duration::from_millis(3) };
        let echoes = ShapeMessage::Echoes(vec![echo, echo]);
        assert!(echoes.encode().starts_with(b"d6:echoes24:abcdefgh\x00\x00\x0b\xb8abcdefgh\x00"));
        assert_eq!(ShapeMessage::decode(&echoes.encode()), Ok(Some(echoes)));
        let near = vec!["10.0.0.1:6881".parse().unwrap(), "[fd00::1]:1".parse().unwrap()];
        let after = vec!["10.0.0.2:2".parse().unwrap()];
        let mut routes = Routes::default();
        (routes.0[0].from, routes.0[1].to) = ([SiteId(7)].into(), [SiteId(7), SiteId(9)].into());
        let members = BTreeMap::from([(SiteId(3), near), (SiteId(7), after)]);
        let told = ShapeMessage::Near(Near { site: SiteId(3), routes: routes.clone(), members });
        let bytes = [
            &b"d4:nearl6:\x0a\x00\x00\x01\x1a\xe118:\xfd"[..],
            &[0; 14],
            b"\x01\x00\x01e6:routesld2:atl6:\x0a\x00\x00\x02\x00\x02e4:sitei7e4:waysi9ee",
            b"d2:atle4:sitei9e4:waysi8eee4:sitei3ee",
        ];
        assert_eq!(told.encode(), bytes.concat());
        assert_eq!(ShapeMessage::decode(&told.encode()), Ok(Some(told)));
        let alone = ShapeMessage::Near(Near { site: SiteId(3), routes, members: BTreeMap::new() });
        assert_eq!(ShapeMessage::decode(&alone.encode()), Ok(Some(alone)), "where a table says who is where");
        let (site, routes) = (SiteId(0), Routes::default());
        let short = ShapeMessage::Near(Near { site, routes, members: BTreeMap::new() });
        assert_eq!(ShapeMessage::decode(b"d4:nearlee"), Ok(Some(short)), "without the others");
        let some = ShapeMessage::Meet(vec!["10.0.0.1:6881".parse().unwrap()]);
        assert_eq!(some.encode(), b"d4:meetl6:\x0a\x00\x00\x01\x1a\xe1ee");
        assert_eq!(ShapeMessage::decode(&some.encode()), Ok(Some(some)));
        assert_eq!(ShapeMessage::decode(b"d5:otheri1ee"), Ok(None));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = ShapeMessage::decode(&body);
        }

        #[test]
        fn damage_never_panics(at in 0usize..80, byte in any::<u8>()) {
            let mut body = b"d4:meetl6:\x0a\x00\x00\x01\x1a\xe1e4:nearl6:\x0a\x00\x00\x01\x1a\xe1e5:paces16:abcdefgh\x00\x01\x00\x00\x00\x00\x0b\xb86:routesld2:atl6:\x0a\x00\x00\x01\x1a\xe1e4:sitei7e4:waysi9eeee".to_vec();
            let at = at % body.len();
            body[at] = byte;
            let _ = ShapeMessage::decode(&body);
        }
    }
}
