//! BitTorrent on the wire: BEP 3 with the fast extension (BEP 6), the extension protocol (BEP 10) and
//! metadata exchange (BEP 9). Plain encoding and decoding; no sockets.
//!
//! `librqbit-peer-protocol` does not carry here: it knows none of BEP 6's messages (have all, reject,
//! suggest, allowed fast) and has no way to add any, and its buffer ends a bitfield at 131,960 pieces.
//! Bencoded parts go through `librqbit-bencode`.

mod extended;
mod handshake;
mod message;
mod metadata;
mod pack;
mod place;
mod shape;

pub use extended::{
    EZIO_ID, EZIO_PACK_ID, EZIO_SHAPE_ID, ExtendedHandshake, ExtensionIds, EzioHandshake, UT_METADATA_ID,
};
pub use handshake::{HANDSHAKE_LENGTH, Handshake};
pub use message::{BLOCK_HEADER, MAX_EXTENDED, Message, block_header, frame_limit};
pub use metadata::{METADATA_BLOCK, MetadataMessage};
pub use pack::{PACK_HEADER, PackMessage};
pub use place::{Parent, PlaceMessage};
pub use shape::ShapeMessage;

use std::net::{IpAddr, SocketAddr};

use librqbit_bencode::{bencode_serialize_to_writer, from_bytes};
use librqbit_buffers::ByteBufOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A peer sent what the protocol does not allow.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// Not a BitTorrent handshake.
    #[error("not a BitTorrent handshake")]
    NotBitTorrent,
    /// A frame longer than any message that could be meant.
    #[error("a frame of {length} bytes, where {limit} is the most")]
    FrameLength {
        /// Bytes announced.
        length: u32,
        /// Most we take.
        limit: u32,
    },
    /// A message whose body has the wrong length.
    #[error("message {id} with a body of {length} bytes")]
    BodyLength {
        /// Message number.
        id: u8,
        /// Bytes of its body.
        length: usize,
    },
    /// A pack of a kind that there is not, or of more blocks than may come at once.
    #[error("a pack of kind {kind} with {count} blocks")]
    Pack {
        /// Its kind.
        kind: u16,
        /// Blocks that it says it has.
        count: u32,
    },
    /// An extension message that is not bencoded as it should be.
    #[error("extension message: {0}")]
    Bencode(String),
}

/// The body of an extension message.
fn to_bencode(message: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory, of types that bencoding knows.
    let written = bencode_serialize_to_writer(message, &mut out);
    debug_assert!(written.is_ok());
    out
}

fn from_bencode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WireError> {
    from_bytes(body).map_err(|e| WireError::Bencode(e.to_string()))
}

/// For keys that may be missing: serde's own default would ask for one of the value's type.
fn none<T>() -> Option<T> {
    None
}

fn encode_ip(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn decode_ip(bytes: &[u8]) -> Option<IpAddr> {
    Some(match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    })
}

fn encode_address(address: SocketAddr) -> ByteBufOwned {
    let mut bytes = encode_ip(address.ip().to_canonical());
    bytes.extend(address.port().to_be_bytes());
    ByteBufOwned::from(bytes)
}

fn decode_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    Some(SocketAddr::new(decode_ip(ip)?, u16::from_be_bytes(*port)))
}
