//! Our own message: where a member is in the two trees of a torrent. From the server, with the number that the member gave to
//! `ezio` in its extension handshake.
//!
//! ```text
//! { "children": [8 bytes, …], "parents": [{"id": 8 bytes, "at": address + port, "from": piece}, {…}] }
//! ```
//! The first is for pieces with an even index, the second for odd ones; `from` is the first piece to ask for. `at` is 4 or 16
//! bytes and 2 of the port, big endian, and is missing where the server itself is the parent. An empty dictionary: no place;
//! a member says it to the server when its place is no good.

use std::net::SocketAddr;

use librqbit_buffers::{ByteBuf, ByteBufOwned};
use serde::{Deserialize, Serialize};

use super::{WireError, decode_address, encode_address, from_bencode, none, to_bencode};

/// Who passes pieces on to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its number, as in its handshake.
    pub member: [u8; 8],
    /// Where it takes connections; none: the sender.
    pub address: Option<SocketAddr>,
    /// Index in the torrent of the first piece to ask it for.
    pub from: u32,
}

/// A place in the trees of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceMessage {
    /// For even and odd pieces; none: no place any more.
    pub parents: Option<[Parent; 2]>,
    /// Numbers of those whom the receiver passes pieces on to.
    pub children: [Option<[u8; 8]>; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
struct RawParent<B> {
    id: B,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    at: Option<B>,
    from: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
struct Raw<B> {
    #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
    children: Vec<B>,
    #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
    parents: Vec<RawParent<B>>,
}

impl PlaceMessage {
    /// The body of the extension message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let parents = self.parents.iter().flatten().map(|parent| RawParent {
            id: ByteBufOwned::from(parent.member.to_vec()),
            at: parent.address.map(encode_address),
            from: parent.from,
        });
        let children = self.children.iter().flatten().map(|id| ByteBufOwned::from(id.to_vec()));
        to_bencode(&Raw { children: children.collect(), parents: parents.collect() })
    }

    /// Reads the body of the extension message.
    ///
    /// # Errors
    /// It is not a bencoded dictionary of that shape.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let raw: Raw<ByteBuf<'_>> = from_bencode(body)?;
        if raw.parents.is_empty() {
            return Ok(Self { parents: None, children: [None; 2] });
        }
        let odd = || WireError::Bencode("a place without two parents".to_owned());
        let parents = raw.parents.iter().map(|parent| {
            let address =
                parent.at.as_ref().map(|at| decode_address(at.as_ref()).ok_or_else(odd)).transpose()?;
            let member = <[u8; 8]>::try_from(parent.id.as_ref()).map_err(|_| odd())?;
            Ok(Parent { member, address, from: parent.from })
        });
        let parents: Vec<Parent> = parents.collect::<Result<_, WireError>>()?;
        let mut children = [None; 2];
        for (child, id) in children.iter_mut().zip(&raw.children) {
            *child = Some(<[u8; 8]>::try_from(id.as_ref()).map_err(|_| odd())?);
        }
        Ok(Self { parents: Some(<[Parent; 2]>::try_from(parents).map_err(|_| odd())?), children })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        let address = |a: &str| Some(a.parse::<SocketAddr>().unwrap());
        let parents = [
            Parent { member: *b"abcdefgh", address: address("10.0.0.1:6881"), from: 4 },
            Parent { member: *b"ijklmnop", address: None, from: 5 },
        ];
        let message = PlaceMessage { parents: Some(parents), children: [Some(*b"12345678"), None] };
        let bytes = message.encode();
        assert!(
            bytes.starts_with(
                b"d8:childrenl8:12345678e7:parentsld2:at6:\x0a\x00\x00\x01\x1a\xe14:fromi4e2:id8:abcdefghe"
            ),
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(PlaceMessage::decode(&bytes), Ok(message));
        let out = PlaceMessage { parents: None, children: [None; 2] };
        assert_eq!(out.encode(), b"de");
        assert_eq!(PlaceMessage::decode(b"de"), Ok(out));
        let six = Parent { address: address("[fd00::1]:1"), ..parents[0] };
        let message = PlaceMessage { parents: Some([six, six]), children: [Some(*b"12345678"); 2] };
        assert_eq!(PlaceMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn one_parent_is_no_place() {
        assert!(PlaceMessage::decode(b"d7:parentsld4:fromi4e2:id8:abcdefgheee").is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = PlaceMessage::decode(&body);
        }

        #[test]
        fn damage_never_panics(at in 0usize..100, byte in any::<u8>()) {
            let mut body = b"d8:childrenl8:12345678e7:parentsld2:at6:\x0a\x00\x00\x01\x1a\xe14:fromi4e2:id8:abcdefghed4:fromi5e2:id8:abcdefgheee".to_vec();
            let at = at % body.len();
            body[at] = byte;
            let _ = PlaceMessage::decode(&body);
        }
    }
}
