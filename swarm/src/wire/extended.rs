//! The handshake of the extension protocol (BEP 10), and in it what ezio says about itself.
//!
//! ```text
//! { "m": {"ut_metadata": 1, "ezio": 2, "ezio_shape": 3, "ezio_pack": 4}, "v": "ezio 0.1.0", "p": listen port, "reqq": 512,
//!   "metadata_size": bytes, "ezio": {"role": 0|1, "id": 8 bytes, "named": 0|1, "sites": [network + prefix + site, …]} }
//! ```
//! `role` is 0 for a server and 1 for a member; `id` is a machine's own for the whole job, the same on each of its torrents;
//! `named` says that the sender was told to connect to this very peer; only the server sends `sites`, each one string: the
//! network (4 or 16 bytes), its prefix (1 byte) and the site's number (2 bytes, big endian).

use librqbit_buffers::{ByteBuf, ByteBufOwned};
use serde::{Deserialize, Serialize};

use super::{WireError, decode_ip, encode_ip, from_bencode, none, to_bencode};
use crate::config::{Role, Site};

/// The number that we give `ut_metadata` (BEP 9).
pub const UT_METADATA_ID: u8 = 1;
/// The number that we give our own messages about places in trees.
pub const EZIO_ID: u8 = 2;
/// The number that we give those about the shape of the room.
pub const EZIO_SHAPE_ID: u8 = 3;
/// The number that we give that which carries blocks compressed.
pub const EZIO_PACK_ID: u8 = 4;
/// Ranges in a site table that we take.
const MAX_SITES: usize = 4096;

/// Numbers that the sender gave to extensions; messages to it carry these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// Metadata exchange (BEP 9).
    pub ut_metadata: Option<u8>,
    /// Our own messages about places in trees.
    pub ezio: Option<u8>,
    /// Those about the shape of the room.
    pub ezio_shape: Option<u8>,
    /// That which carries blocks compressed.
    pub ezio_pack: Option<u8>,
}

/// What ezio says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EzioHandshake {
    /// What the sender is.
    pub role: Role,
    /// The sender, the same on all its connections.
    pub member: [u8; 8],
    /// The sender was told to connect to this very peer: it is to be taken even where there are enough.
    pub named: bool,
    /// Who is where; from a server only.
    pub sites: Vec<Site>,
}

/// An extension handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// Extensions that the sender speaks.
    pub ids: ExtensionIds,
    /// Port on which the sender takes connections.
    pub port: Option<u16>,
    /// Requests that the sender keeps in its queue.
    pub request_queue: Option<u32>,
    /// Length of the info dictionary in bytes, if the sender has it.
    pub metadata_size: Option<u32>,
    /// Name and version of the sender.
    pub version: String,
    /// Present if the sender is ezio.
    pub ezio: Option<EzioHandshake>,
}

#[derive(Serialize, Deserialize)]
struct RawIds {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ut_metadata: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ezio: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ezio_shape: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ezio_pack: Option<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
struct RawEzio<B> {
    role: u8,
    id: B,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    named: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty", default = "Vec::new")]
    sites: Vec<B>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
struct Raw<B> {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    m: Option<RawIds>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    p: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reqq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    metadata_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    v: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    ezio: Option<RawEzio<B>>,
}

fn encode_site(site: &Site) -> ByteBufOwned {
    let mut bytes = encode_ip(site.network);
    bytes.push(site.prefix);
    bytes.extend(site.site.to_be_bytes());
    ByteBufOwned::from(bytes)
}

fn decode_site(bytes: &[u8]) -> Option<Site> {
    let (head, number) = bytes.split_last_chunk::<2>()?;
    let (&prefix, network) = head.split_last()?;
    Some(Site { network: decode_ip(network)?, prefix, site: u16::from_be_bytes(*number) })
}

impl ExtendedHandshake {
    /// The bencoded body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let raw = Raw::<ByteBufOwned> {
            m: Some(RawIds {
                ut_metadata: self.ids.ut_metadata,
                ezio: self.ids.ezio,
                ezio_shape: self.ids.ezio_shape,
                ezio_pack: self.ids.ezio_pack,
            }),
            p: self.port.map(i64::from),
            reqq: self.request_queue.map(i64::from),
            metadata_size: self.metadata_size.map(i64::from),
            v: Some(ByteBufOwned::from(self.version.as_bytes().to_vec())),
            ezio: self.ezio.as_ref().map(|e| RawEzio {
                role: u8::from(e.role == Role::Member),
                id: ByteBufOwned::from(e.member.to_vec()),
                named: e.named.then_some(1),
                sites: e.sites.iter().map(encode_site).collect(),
            }),
        };
        to_bencode(&raw)
    }

    /// Reads the body. What is odd in it but not needed is left out.
    ///
    /// # Errors
    /// It is not a bencoded dictionary, or a known key has another type.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let raw: Raw<ByteBuf<'_>> = from_bencode(body)?;
        let nonzero = |id: Option<u8>| id.filter(|&id| id != 0);
        let ezio = raw.ezio.and_then(|e| {
            let member = <[u8; 8]>::try_from(e.id.as_ref()).ok()?;
            let role = if e.role == 0 { Role::Server } else { Role::Member };
            let sites = e.sites.iter().take(MAX_SITES).filter_map(|s| decode_site(s.as_ref())).collect();
            Some(EzioHandshake { role, member, named: e.named == Some(1), sites })
        });
        Ok(Self {
            ids: raw.m.map_or_else(ExtensionIds::default, |m| ExtensionIds {
                ut_metadata: nonzero(m.ut_metadata),
                ezio: nonzero(m.ezio),
                ezio_shape: nonzero(m.ezio_shape),
                ezio_pack: nonzero(m.ezio_pack),
            }),
            port: raw.p.and_then(|p| u16::try_from(p).ok()),
            request_queue: raw.reqq.and_then(|n| u32::try_from(n).ok()),
            metadata_size: raw.metadata_size.and_then(|n| u32::try_from(n).ok()),
            version: raw
                .v
                .map(|v| String::from_utf8_lossy(v.as_ref()).chars().take(64).collect())
                .unwrap_or_default(),
            ezio,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_other_clients_send() {
        // The example of BEP 10, and metadata_size of BEP 9, with keys that we do not know.
        let body = b"d1:md11:LT_metadatai1e6:\xb5T_PEXi2e11:ut_metadatai3ee13:metadata_sizei31235e1:pi6881e4:reqqi500e1:v13:\xc2\xb5Torrent 1.2e";
        let got = ExtendedHandshake::decode(body).unwrap();
        assert_eq!(got.ids, ExtensionIds { ut_metadata: Some(3), ..ExtensionIds::default() });
        assert_eq!((got.port, got.metadata_size, got.request_queue), (Some(6881), Some(31235), Some(500)));
        assert_eq!(got.version, "µTorrent 1.2");
        assert_eq!(ExtendedHandshake::decode(b"de").unwrap(), ExtendedHandshake::default());
    }

    #[test]
    fn ours_comes_back_as_it_went() {
        let handshake = ExtendedHandshake {
            ids: ExtensionIds {
                ut_metadata: Some(1),
                ezio: Some(2),
                ezio_shape: Some(3),
                ezio_pack: Some(4),
            },
            port: Some(1),
            request_queue: Some(512),
            metadata_size: Some(70_000),
            version: "ezio".into(),
            ezio: Some(EzioHandshake {
                role: Role::Server,
                member: *b"abcdefgh",
                named: false,
                sites: vec![
                    Site { network: "10.0.1.0".parse().unwrap(), prefix: 24, site: 7 },
                    Site { network: "fd00::".parse().unwrap(), prefix: 64, site: 8 },
                ],
            }),
        };
        let bytes = handshake.encode();
        assert!(
            bytes.starts_with(b"d4:eziod2:id8:abcdefgh4:rolei0e5:sitesl7:\x0a\x00\x01\x00\x18\x00\x07"),
            "{bytes:?}"
        );
        assert_eq!(ExtendedHandshake::decode(&bytes), Ok(handshake));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ExtendedHandshake::decode(&body);
        }

        #[test]
        fn damage_never_panics(at in 0usize..100, byte in any::<u8>()) {
            let mut body = b"d4:eziod2:id8:abcdefgh4:rolei0e5:sitesl7:\x0a\x00\x01\x00\x18\x00\x07ee1:md4:ezioi2ee1:pi1ee".to_vec();
            let at = at % body.len();
            body[at] = byte;
            let _ = ExtendedHandshake::decode(&body);
        }
    }
}
