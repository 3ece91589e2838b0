//! Our own message that carries blocks compressed, by the number that the receiver gave to `ezio_pack` in its extension
//! handshake. It stands for the PIECE messages of a run of blocks that the receiver asked for one by one.
//!
//! ```text
//! piece (4 bytes), first block (4), number of blocks (2, 1 to 16), kind (2), the compressed bytes
//! ```
//! All numbers are big endian; a block has 16 KiB, but for the last of a torrent. The only kind is 1: one zstd frame (RFC 8878)
//! that says the length of its content, needs no dictionary, and ends where the message ends.

use ezio_scheduler::PACK_BLOCKS;

use super::WireError;

/// Bytes in front of the compressed ones: length, message number, extension's number, and the four numbers above.
pub const PACK_HEADER: usize = 6 + NUMBERS;
const NUMBERS: usize = 12;
const ZSTD: u16 = 1;

/// What the compressed bytes stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackMessage {
    /// Index of the piece in the torrent.
    pub piece: u32,
    /// First block.
    pub first: u32,
    /// Number of blocks, 1 to [`PACK_BLOCKS`].
    pub count: u32,
}

impl PackMessage {
    /// The beginning of the frame, up to the compressed bytes, of which there are `length`; `id` is the receiver's number for
    /// this extension.
    #[must_use]
    pub fn header(&self, id: u8, length: u32) -> [u8; PACK_HEADER] {
        let mut out = [0; PACK_HEADER];
        out[..4].copy_from_slice(&(2 + NUMBERS as u32 + length).to_be_bytes());
        out[4..6].copy_from_slice(&[20, id]);
        out[6..10].copy_from_slice(&self.piece.to_be_bytes());
        out[10..14].copy_from_slice(&self.first.to_be_bytes());
        out[14..16].copy_from_slice(&u16::try_from(self.count).unwrap_or(0).to_be_bytes());
        out[16..].copy_from_slice(&ZSTD.to_be_bytes());
        out
    }

    /// Reads the body of the extension message; the compressed bytes are what is behind it.
    ///
    /// # Errors
    /// It is too short, of a kind that we do not know, or of more blocks than may come at once.
    pub fn decode(body: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let odd = || WireError::BodyLength { id: 20, length: body.len() };
        let (numbers, data) = body.split_first_chunk::<NUMBERS>().ok_or_else(odd)?;
        let [p0, p1, p2, p3, f0, f1, f2, f3, c0, c1, k0, k1] = *numbers;
        let count = u32::from(u16::from_be_bytes([c0, c1]));
        let kind = u16::from_be_bytes([k0, k1]);
        if kind != ZSTD || count == 0 || count > PACK_BLOCKS {
            return Err(WireError::Pack { kind, count });
        }
        let (piece, first) = (u32::from_be_bytes([p0, p1, p2, p3]), u32::from_be_bytes([f0, f1, f2, f3]));
        Ok((Self { piece, first, count }, data))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Message;

    #[test]
    fn is_an_extension_message_of_bep_10() {
        let run = PackMessage { piece: 258, first: 3, count: 16 };
        let mut bytes = run.header(9, 3).to_vec();
        bytes.extend(b"xyz");
        assert_eq!(bytes, b"\0\0\0\x11\x14\x09\0\0\x01\x02\0\0\0\x03\0\x10\0\x01xyz");
        let Ok(Message::Extended { id: 9, body }) = Message::decode(&bytes[4..]) else { unreachable!() };
        assert_eq!(PackMessage::decode(body), Ok((run, b"xyz".as_slice())));
    }

    proptest! {
        #[test]
        fn only_what_is_meant_is_read(body in prop::collection::vec(any::<u8>(), 0..40), kind in 0u16..3, count in 0u16..20) {
            let _ = PackMessage::decode(&body);
            let mut body = body;
            if body.len() >= NUMBERS {
                body[8..10].copy_from_slice(&count.to_be_bytes());
                body[10..12].copy_from_slice(&kind.to_be_bytes());
            }
            let read = PackMessage::decode(&body);
            prop_assert_eq!(read.is_ok(), body.len() >= NUMBERS && kind == 1 && (1..=16).contains(&count));
        }
    }
}
