//! Metadata exchange (BEP 9): the info dictionary in blocks of 16 KiB.

use librqbit_bencode::from_bytes_with_rest;
use serde::Deserialize;

use super::WireError;

/// Length of each block of metadata but the last, in bytes.
pub const METADATA_BLOCK: u32 = 16 << 10;

/// One message of `ut_metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a block.
    Request(u32),
    /// A block.
    Data {
        /// Which block.
        piece: u32,
        /// Bytes of the whole info dictionary.
        total: u32,
        /// The block.
        data: &'a [u8],
    },
    /// A request will not be answered.
    Reject(u32),
    /// A kind that BEP 9 does not name: ignored.
    Unknown,
}

#[derive(Deserialize)]
struct Header {
    msg_type: i64,
    #[serde(default)]
    piece: i64,
    #[serde(default)]
    total_size: i64,
}

impl<'a> MetadataMessage<'a> {
    /// Reads the body of the extension message.
    ///
    /// # Errors
    /// It does not begin with a bencoded dictionary, or a number in it is impossible.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let (header, data): (Header, _) =
            from_bytes_with_rest(body).map_err(|e| WireError::Bencode(e.to_string()))?;
        let number =
            |n: i64| u32::try_from(n).map_err(|_| WireError::Bencode(format!("{n} is not a block or size")));
        Ok(match header.msg_type {
            0 => Self::Request(number(header.piece)?),
            1 => Self::Data { piece: number(header.piece)?, total: number(header.total_size)?, data },
            2 => Self::Reject(number(header.piece)?),
            _ => Self::Unknown,
        })
    }

    /// The body of the extension message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Self::Request(piece) => format!("d8:msg_typei0e5:piecei{piece}ee").into_bytes(),
            Self::Reject(piece) => format!("d8:msg_typei2e5:piecei{piece}ee").into_bytes(),
            Self::Data { piece, total, data } => {
                let mut out = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{total}ee").into_bytes();
                out.extend(data);
                out
            }
            Self::Unknown => b"d8:msg_typei255ee".to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_bep_9() {
        for (bytes, message) in [
            (b"d8:msg_typei0e5:piecei0ee".as_slice(), MetadataMessage::Request(0)),
            (
                b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxx",
                MetadataMessage::Data { piece: 0, total: 34256, data: b"xxxx" },
            ),
            (b"d8:msg_typei2e5:piecei0ee", MetadataMessage::Reject(0)),
        ] {
            assert_eq!(MetadataMessage::decode(bytes), Ok(message));
            assert_eq!(message.encode(), bytes);
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = MetadataMessage::decode(&body);
        }
    }
}
