//! The handshake that opens a connection (BEP 3): 68 bytes each way.

use super::WireError;

/// Length of a handshake in bytes.
pub const HANDSHAKE_LENGTH: usize = 68;
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// What each side says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// Speaks the fast extension (BEP 6).
    pub fast: bool,
    /// Speaks the extension protocol (BEP 10).
    pub extended: bool,
    /// Which torrent the connection is for.
    pub info_hash: [u8; 20],
    /// Who speaks.
    pub peer_id: [u8; 20],
}

impl Handshake {
    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HANDSHAKE_LENGTH] {
        let mut out = [0; HANDSHAKE_LENGTH];
        out[..20].copy_from_slice(PROTOCOL);
        if self.extended {
            out[25] |= 0x10;
        }
        if self.fast {
            out[27] |= 0x04;
        }
        out[28..48].copy_from_slice(&self.info_hash);
        out[48..].copy_from_slice(&self.peer_id);
        out
    }

    /// Reads a handshake.
    ///
    /// # Errors
    /// It does not begin with the protocol's name.
    pub fn decode(bytes: &[u8; HANDSHAKE_LENGTH]) -> Result<Self, WireError> {
        if !bytes.starts_with(PROTOCOL) {
            return Err(WireError::NotBitTorrent);
        }
        let mut info_hash = [0; 20];
        info_hash.copy_from_slice(&bytes[28..48]);
        let mut peer_id = [0; 20];
        peer_id.copy_from_slice(&bytes[48..]);
        Ok(Self { fast: bytes[27] & 0x04 != 0, extended: bytes[25] & 0x10 != 0, info_hash, peer_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_in_bep_3_6_and_10() {
        let handshake = Handshake {
            fast: true,
            extended: true,
            info_hash: [0xab; 20],
            peer_id: *b"-EZ0100-abcdefghijkl",
        };
        let mut want = b"\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x04".to_vec();
        want.extend([0xab; 20]);
        want.extend(b"-EZ0100-abcdefghijkl");
        assert_eq!(handshake.encode().as_slice(), want);
        assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
        assert_eq!(Handshake::decode(&[b'G'; 68]), Err(WireError::NotBitTorrent));
    }
}
