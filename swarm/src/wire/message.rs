//! Messages of BEP 3, BEP 6 and the envelope of BEP 10. A frame is a length (4 bytes, big endian), a
//! message number and a body; numbers are big endian.

use super::WireError;

/// Bytes in front of a block's data: length, message number, piece, begin.
pub const BLOCK_HEADER: usize = 13;
/// Longest body of an extension message that we take: a site table or a block of metadata.
pub const MAX_EXTENDED: u32 = 1 << 18;
/// Longest block that we send or take, in bytes. All clients ask for 16 KiB; some can ask for more.
const MAX_BLOCK: u32 = 1 << 17;

/// One message. Blocks, bitfields and extensions borrow their bytes from the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Nothing, to keep the connection up.
    KeepAlive,
    /// Requests will not be answered.
    Choke,
    /// Requests will be answered.
    Unchoke,
    /// The other side has something we want.
    Interested,
    /// It has not.
    NotInterested,
    /// The sender has that piece now.
    Have(u32),
    /// The pieces that the sender has; the first piece is the highest bit.
    Bitfield(&'a [u8]),
    /// Asks for a block.
    Request {
        /// Piece.
        piece: u32,
        /// Byte in the piece.
        begin: u32,
        /// Bytes.
        length: u32,
    },
    /// A block.
    Piece {
        /// Piece.
        piece: u32,
        /// Byte in the piece.
        begin: u32,
        /// The bytes.
        data: &'a [u8],
    },
    /// A request is taken back.
    Cancel {
        /// Piece.
        piece: u32,
        /// Byte in the piece.
        begin: u32,
        /// Bytes.
        length: u32,
    },
    /// DHT port (BEP 5), which we take no notice of.
    Port(u16),
    /// BEP 6: this piece would be a good one to ask for.
    Suggest(u32),
    /// BEP 6: the sender has everything.
    HaveAll,
    /// BEP 6: the sender has nothing.
    HaveNone,
    /// BEP 6: a request will not be answered.
    Reject {
        /// Piece.
        piece: u32,
        /// Byte in the piece.
        begin: u32,
        /// Bytes.
        length: u32,
    },
    /// BEP 6: this piece may be asked for while choked.
    AllowedFast(u32),
    /// BEP 10: an extension's message.
    Extended {
        /// The number that the receiver gave the extension; 0 is the handshake.
        id: u8,
        /// The body.
        body: &'a [u8],
    },
    /// A message of an extension that we do not speak: ignored.
    Unknown(u8),
}

/// The longest frame (without its length field) that a peer may send on a torrent of `pieces` pieces.
#[must_use]
pub fn frame_limit(pieces: u32) -> u32 {
    (1 + pieces.div_ceil(8)).max(9 + MAX_BLOCK).max(2 + MAX_EXTENDED)
}

/// The frame header of a block of `length` bytes; its data follow.
#[must_use]
pub fn block_header(piece: u32, begin: u32, length: u32) -> [u8; BLOCK_HEADER] {
    let mut out = [0; BLOCK_HEADER];
    out[..4].copy_from_slice(&(9 + length).to_be_bytes());
    out[4] = 7;
    out[5..9].copy_from_slice(&piece.to_be_bytes());
    out[9..].copy_from_slice(&begin.to_be_bytes());
    out
}

fn numbers<const N: usize>(id: u8, body: &[u8]) -> Result<[u32; N], WireError> {
    let (chunks, rest) = body.as_chunks::<4>();
    let chunks: &[[u8; 4]; N] = chunks
        .try_into()
        .ok()
        .filter(|_| rest.is_empty())
        .ok_or(WireError::BodyLength { id, length: body.len() })?;
    Ok(chunks.map(u32::from_be_bytes))
}

impl<'a> Message<'a> {
    /// Reads the frame that follows a length field; `frame` is empty for a keep-alive.
    ///
    /// # Errors
    /// The body's length does not fit the message.
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        let Some((&id, body)) = frame.split_first() else { return Ok(Self::KeepAlive) };
        let bad_length = || WireError::BodyLength { id, length: body.len() };
        let bare = |message| if body.is_empty() { Ok(message) } else { Err(bad_length()) };
        Ok(match id {
            0 => bare(Self::Choke)?,
            1 => bare(Self::Unchoke)?,
            2 => bare(Self::Interested)?,
            3 => bare(Self::NotInterested)?,
            4 => Self::Have(numbers::<1>(id, body)?[0]),
            5 => Self::Bitfield(body),
            6 | 8 | 16 => {
                let [piece, begin, length] = numbers(id, body)?;
                match id {
                    6 => Self::Request { piece, begin, length },
                    8 => Self::Cancel { piece, begin, length },
                    _ => Self::Reject { piece, begin, length },
                }
            }
            7 => {
                let (head, data) = body.split_at_checked(8).ok_or_else(bad_length)?;
                let [piece, begin] = numbers(id, head)?;
                Self::Piece { piece, begin, data }
            }
            9 => Self::Port(body.try_into().map(u16::from_be_bytes).map_err(|_| bad_length())?),
            13 => Self::Suggest(numbers::<1>(id, body)?[0]),
            14 => bare(Self::HaveAll)?,
            15 => bare(Self::HaveNone)?,
            17 => Self::AllowedFast(numbers::<1>(id, body)?[0]),
            20 => {
                let (&id, body) = body.split_first().ok_or_else(bad_length)?;
                Self::Extended { id, body }
            }
            other => Self::Unknown(other),
        })
    }

    /// Appends the whole frame, with its length field.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        match *self {
            Self::KeepAlive => {}
            Self::Choke => out.push(0),
            Self::Unchoke => out.push(1),
            Self::Interested => out.push(2),
            Self::NotInterested => out.push(3),
            Self::Have(piece) => put(out, 4, &[piece]),
            Self::Bitfield(bits) => {
                out.push(5);
                out.extend(bits);
            }
            Self::Request { piece, begin, length } => put(out, 6, &[piece, begin, length]),
            Self::Piece { piece, begin, data } => {
                put(out, 7, &[piece, begin]);
                out.extend(data);
            }
            Self::Cancel { piece, begin, length } => put(out, 8, &[piece, begin, length]),
            Self::Port(port) => {
                out.push(9);
                out.extend(port.to_be_bytes());
            }
            Self::Suggest(piece) => put(out, 13, &[piece]),
            Self::HaveAll => out.push(14),
            Self::HaveNone => out.push(15),
            Self::Reject { piece, begin, length } => put(out, 16, &[piece, begin, length]),
            Self::AllowedFast(piece) => put(out, 17, &[piece]),
            Self::Extended { id, body } => {
                out.extend([20, id]);
                out.extend(body);
            }
            Self::Unknown(id) => out.push(id),
        }
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn put(out: &mut Vec<u8>, id: u8, numbers: &[u32]) {
    out.push(id);
    for number in numbers {
        out.extend(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(message: Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.encode(&mut out);
        out
    }

    #[test]
    fn bytes_as_in_bep_3_and_6() {
        for (message, bytes) in [
            (Message::KeepAlive, b"\0\0\0\0".as_slice()),
            (Message::Unchoke, b"\0\0\0\x01\x01"),
            (Message::Have(258), b"\0\0\0\x05\x04\0\0\x01\x02"),
            (Message::Bitfield(b"\xf0"), b"\0\0\0\x02\x05\xf0"),
            (
                Message::Request { piece: 1, begin: 1 << 14, length: 1 << 14 },
                b"\0\0\0\x0d\x06\0\0\0\x01\0\0\x40\0\0\0\x40\0",
            ),
            (Message::Piece { piece: 3, begin: 0, data: b"xyz" }, b"\0\0\0\x0c\x07\0\0\0\x03\0\0\0\0xyz"),
            (Message::HaveAll, b"\0\0\0\x01\x0e"),
            (Message::HaveNone, b"\0\0\0\x01\x0f"),
            (Message::Reject { piece: 0, begin: 0, length: 1 }, b"\0\0\0\x0d\x10\0\0\0\0\0\0\0\0\0\0\0\x01"),
            (Message::Extended { id: 0, body: b"de" }, b"\0\0\0\x04\x14\0de"),
            (Message::Port(6881), b"\0\0\0\x03\x09\x1a\xe1"),
        ] {
            assert_eq!(encoded(message), bytes);
            assert_eq!(Message::decode(&bytes[4..]), Ok(message));
        }
        assert_eq!(block_header(3, 0, 3), encoded(Message::Piece { piece: 3, begin: 0, data: b"xyz" })[..13]);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for frame in
            [b"\x04\0\0\0".as_slice(), b"\0x", b"\x06\0\0\0\0", b"\x07\0\0\0\0\0\0\0", b"\x14", b"\x09\0"]
        {
            assert!(matches!(Message::decode(frame), Err(WireError::BodyLength { .. })), "{frame:?}");
        }
        assert_eq!(Message::decode(b"\xfewhatever"), Ok(Message::Unknown(0xfe)));
    }

    #[test]
    fn a_bitfield_of_a_million_pieces_fits_a_frame() {
        assert!(frame_limit(8 << 20) > 1 << 20);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(frame in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = Message::decode(&frame) && !matches!(message, Message::Unknown(_)) {
                prop_assert_eq!(&encoded(message)[4..], &frame[..]);
            }
        }
    }
}
