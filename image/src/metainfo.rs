//! Torrent metainfo (BEP 3, version 1) as ezio uses it: a partition's used blocks are files named by
//! their byte offset on the partition in hex (the format of partclone's and Clonezilla's BitTorrent
//! mode); a single file is a raw image from offset 0.

use std::net::SocketAddr;
use std::sync::Arc;

use librqbit_bencode::{
    BencodeValue, WithRawBytes, bencode_serialize_to_writer, from_bytes, from_bytes_with_rest,
};
use librqbit_buffers::{ByteBuf, ByteBufOwned};
use librqbit_core::torrent_metainfo::{TorrentMetaV1File, TorrentMetaV1Info};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::extents::{Extent, ExtentError, ExtentMap, Part};

pub use librqbit_core::hash_id::Id20 as InfoHash;

/// Smallest piece length we accept, in bytes.
pub const MIN_PIECE_LENGTH: u32 = 16 << 10;
/// Largest piece length we accept, in bytes: one piece is held in memory while it arrives.
pub const MAX_PIECE_LENGTH: u32 = 64 << 20;

/// Why a torrent is refused.
#[derive(Debug, Error)]
pub enum MetainfoError {
    /// Not bencoding, or not a torrent.
    #[error("not a torrent file: {0}")]
    Bencode(String),
    /// A piece length that is not a power of two from 16 KiB to 64 MiB.
    #[error("piece length {0} is not a power of two from 16 KiB to 64 MiB")]
    PieceLength(u32),
    /// The number of piece hashes does not match the content's length.
    #[error("{found} bytes of piece hashes where {expected} are needed")]
    PieceCount {
        /// Bytes of hashes found.
        found: usize,
        /// Bytes of hashes that the content's length asks for.
        expected: u64,
    },
    /// Neither a length nor a list of files, or nothing in it.
    #[error("the torrent has no content")]
    Empty,
    /// A file whose name is not an offset in hex.
    #[error("file {0:?} is not named by its offset in hexadecimal")]
    FileName(String),
    /// The runs do not fit together.
    #[error(transparent)]
    Extents(#[from] ExtentError),
}

/// One file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path components below the torrent's name; empty for a single-file torrent.
    pub path: Vec<String>,
    /// Length in bytes, never 0.
    pub length: u64,
    /// Zeros that nobody keeps (attribute `p` of BEP 47).
    pub padding: bool,
}

/// What of a `.torrent` file is of use. The rest may be as odd as it is in the field: dates before 1970, bytes behind the end.
#[derive(Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de> + From<&'de [u8]>"))]
struct TorrentFile<B: std::hash::Hash + Eq> {
    info: WithRawBytes<TorrentMetaV1Info<B>, B>,
    #[serde(default = "nothing")]
    announce: Option<BencodeValue<B>>,
    #[serde(rename = "announce-list", default = "nothing")]
    announce_list: Option<BencodeValue<B>>,
}

fn nothing<T>() -> Option<T> {
    None
}

/// The strings of a value, however deep they are in lists.
fn strings(value: &BencodeValue<ByteBuf<'_>>) -> Vec<String> {
    match value {
        BencodeValue::Bytes(bytes) => vec![String::from_utf8_lossy(bytes.as_ref()).into_owned()],
        BencodeValue::List(list) => list.iter().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// A checked torrent. Cheap to share behind an `Arc`.
#[derive(Debug, Clone)]
pub struct Metainfo {
    info_hash: InfoHash,
    name: String,
    piece_length: u32,
    piece_hashes: Arc<[u8]>,
    files: Vec<File>,
    total_length: u64,
    private: bool,
    trackers: Vec<String>,
    peers: Vec<SocketAddr>,
    info_bytes: Arc<[u8]>,
}

impl Metainfo {
    /// Reads a `.torrent` file.
    ///
    /// # Errors
    /// It is not bencoding, or says something impossible.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let (file, _): (TorrentFile<ByteBuf<'_>>, _) =
            from_bytes_with_rest(bytes).map_err(|e| MetainfoError::Bencode(e.to_string()))?;
        let mut trackers = file.announce_list.map_or_else(Vec::new, |list| strings(&list));
        if trackers.is_empty() {
            trackers = file.announce.map_or_else(Vec::new, |url| strings(&url));
        }
        Self::from_info(&file.info.data, file.info.raw_bytes.as_ref(), trackers, Vec::new())
    }

    /// Reads a bare info dictionary, as a magnet link's metadata exchange (BEP 9) delivers it.
    /// The caller has checked its SHA-1 against the link, which also names trackers and peers.
    ///
    /// # Errors
    /// As [`Metainfo::parse`].
    pub fn parse_info(
        info_bytes: &[u8],
        trackers: Vec<String>,
        peers: Vec<SocketAddr>,
    ) -> Result<Self, MetainfoError> {
        let info: TorrentMetaV1Info<ByteBuf<'_>> =
            from_bytes(info_bytes).map_err(|e| MetainfoError::Bencode(e.to_string()))?;
        Self::from_info(&info, info_bytes, trackers, peers)
    }

    fn from_info(
        info: &TorrentMetaV1Info<ByteBuf<'_>>,
        info_bytes: &[u8],
        trackers: Vec<String>,
        peers: Vec<SocketAddr>,
    ) -> Result<Self, MetainfoError> {
        let piece_length = info.piece_length;
        if !piece_length.is_power_of_two() || !(MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(&piece_length) {
            return Err(MetainfoError::PieceLength(piece_length));
        }
        let text = |b: &ByteBuf<'_>| String::from_utf8_lossy(b.as_ref()).into_owned();
        let files: Vec<File> = match (&info.files, info.length) {
            (Some(files), _) => files
                .iter()
                .filter(|f| f.length > 0)
                .map(|f| File {
                    path: f.path.iter().map(text).collect(),
                    length: f.length,
                    padding: f.attr.as_ref().is_some_and(|attr| attr.as_ref().contains(&b'p')),
                })
                .collect(),
            (None, Some(length)) => vec![File { path: Vec::new(), length, padding: false }],
            (None, None) => return Err(MetainfoError::Empty),
        };
        let total_length = files.iter().try_fold(0u64, |sum, f| sum.checked_add(f.length)).unwrap_or(0);
        if total_length == 0 {
            return Err(MetainfoError::Empty);
        }
        let expected = total_length.div_ceil(u64::from(piece_length)).saturating_mul(20);
        let hashes: &[u8] = info.pieces.as_ref();
        if hashes.len() as u64 != expected {
            return Err(MetainfoError::PieceCount { found: hashes.len(), expected });
        }
        Ok(Self {
            info_hash: InfoHash::new(Sha1::digest(info_bytes).into()),
            name: info.name.as_ref().map(text).unwrap_or_default(),
            piece_length,
            piece_hashes: hashes.into(),
            files,
            total_length,
            private: info.private,
            trackers,
            peers,
            info_bytes: info_bytes.into(),
        })
    }

    /// Makes a private torrent. `runs` is `None` for a raw image (a single file); otherwise each run
    /// becomes a file named by its offset in 32 hex digits. `piece_hashes` is 20 bytes a piece.
    ///
    /// # Errors
    /// As [`Metainfo::parse`]: what we write, we could read back.
    pub fn create(
        name: &str,
        piece_length: u32,
        total_length: u64,
        runs: Option<&ExtentMap>,
        piece_hashes: &[u8],
    ) -> Result<Self, MetainfoError> {
        let buf = |s: &str| ByteBufOwned::from(s.as_bytes().to_vec());
        let info = TorrentMetaV1Info::<ByteBufOwned> {
            name: Some(buf(name)),
            pieces: ByteBufOwned::from(piece_hashes.to_vec()),
            piece_length,
            length: runs.is_none().then_some(total_length),
            files: runs.map(|map| {
                map.extents()
                    .iter()
                    .map(|e| TorrentMetaV1File {
                        length: e.length,
                        path: vec![buf(&run_file_name(e.offset))],
                        attr: None,
                        sha1: None,
                        symlink_path: None,
                    })
                    .collect()
            }),
            private: true,
            ..Default::default()
        };
        let mut bytes = Vec::new();
        bencode_serialize_to_writer(&info, &mut bytes).map_err(|e| MetainfoError::Bencode(e.to_string()))?;
        Self::parse_info(&bytes, Vec::new(), Vec::new())
    }

    /// The `.torrent` file, with these trackers (the info dictionary is passed on byte for byte).
    #[must_use]
    pub fn to_torrent(&self, trackers: &[String]) -> Vec<u8> {
        let string = |s: &str| format!("{}:{s}", s.len());
        let mut out = b"d".to_vec();
        if let Some(first) = trackers.first() {
            out.extend(format!("8:announce{}13:announce-listl", string(first)).bytes());
            for tracker in trackers {
                out.extend(format!("l{}e", string(tracker)).bytes());
            }
            out.push(b'e');
        }
        out.extend(b"4:info");
        out.extend(&*self.info_bytes);
        out.push(b'e');
        out
    }

    /// SHA-1 of the info dictionary.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The torrent's name: the partition ("sda1"), or "disk".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of every piece but the last, in bytes.
    #[must_use]
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// How many pieces there are.
    #[must_use]
    pub fn piece_count(&self) -> u32 {
        (self.piece_hashes.len() / 20) as u32
    }

    /// Length of piece `index` in bytes; 0 behind the end.
    #[must_use]
    pub fn piece_size(&self, index: u32) -> u32 {
        let start = u64::from(index) * u64::from(self.piece_length);
        self.total_length.saturating_sub(start).min(u64::from(self.piece_length)) as u32
    }

    /// SHA-1 of piece `index`; `None` behind the end.
    #[must_use]
    pub fn piece_hash(&self, index: u32) -> Option<&[u8; 20]> {
        self.piece_hashes.as_chunks().0.get(index as usize)
    }

    /// Files in content order, those of no bytes left out; one with an empty path for a single-file torrent.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Is it a single file, that is, a raw image?
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.files.len() == 1 && self.files[0].path.is_empty()
    }

    /// Bytes of content in all.
    #[must_use]
    pub fn total_length(&self) -> u64 {
        self.total_length
    }

    /// Private (BEP 27): peers come from the tracker alone.
    #[must_use]
    pub fn private(&self) -> bool {
        self.private
    }

    /// Announce URLs, in order.
    #[must_use]
    pub fn trackers(&self) -> &[String] {
        &self.trackers
    }

    /// Peers that a magnet link names (`x.pe`).
    #[must_use]
    pub fn peers(&self) -> &[SocketAddr] {
        &self.peers
    }

    /// The info dictionary as it stands in the torrent.
    #[must_use]
    pub fn info_bytes(&self) -> &Arc<[u8]> {
        &self.info_bytes
    }

    /// Where the content lies on its target: from offset 0 for a raw image, else by file names.
    ///
    /// # Errors
    /// A file name is not an offset in hex, or runs overlap.
    pub fn extents(&self) -> Result<ExtentMap, MetainfoError> {
        if self.is_raw() {
            return Ok(ExtentMap::contiguous(self.total_length)?);
        }
        let part = |file: &File| match file.padding {
            true => Ok(Part::Padding(file.length)),
            false => run_of_file(file).map(Part::Used),
        };
        let parts: Result<Vec<_>, MetainfoError> = self.files.iter().map(part).collect();
        Ok(ExtentMap::of_parts(parts?)?)
    }
}

/// Name of the file that holds the run at `offset` (bytes): 32 hex digits.
#[must_use]
pub fn run_file_name(offset: u64) -> String {
    format!("{offset:032x}")
}

/// The offset (bytes) of the run whose file has this name, with any number of leading zeros; `None` where it names none.
#[must_use]
pub fn run_offset(name: &str) -> Option<u64> {
    // from_str_radix would also take a sign.
    let digits = Some(name).filter(|name| name.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

fn run_of_file(file: &File) -> Result<Extent, MetainfoError> {
    let offset = file.path.last().and_then(|name| run_offset(name));
    let offset = offset.ok_or_else(|| MetainfoError::FileName(file.path.join("/")))?;
    Ok(Extent { offset, length: file.length })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A torrent of the files that `files` bencodes, all zeros, with `outer` before its info and `behind` at its end.
    fn torrent(files: &str, length: usize, outer: &str, behind: &str) -> Result<Metainfo, MetainfoError> {
        let hashes: Vec<u8> =
            vec![0; length].chunks(16384).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
        let (files, pieces) = (format!("d{outer}4:infod5:filesl{files}e4:name4:sda1"), hashes.len());
        let mut bytes = format!("{files}12:piece lengthi16384e6:pieces{pieces}:").into_bytes();
        bytes.extend(hashes);
        bytes.extend(b"ee");
        bytes.extend(behind.bytes());
        Metainfo::parse(&bytes)
    }

    const RUN: &str = "d6:lengthi100e4:pathl4:2000ee";

    #[test]
    fn padding_lies_nowhere_and_files_of_no_bytes_are_none() {
        let padding = "d4:attr1:p6:lengthi16284e4:pathl4:.pad5:16284ee";
        let files = format!("{RUN}{padding}d6:lengthi0e4:pathl6:READMEeed6:lengthi7e4:pathl1:0ee");
        let metainfo = torrent(&files, 16391, "", "").unwrap();
        let runs = metainfo.extents().unwrap();
        assert_eq!(runs.total_length(), 16391);
        assert_eq!(runs.extents(), [Extent { offset: 0x2000, length: 100 }, Extent { offset: 0, length: 7 }]);
        let slices: Vec<_> = runs.slices(0, 16391).map(|s| (s.offset, s.length)).collect();
        assert_eq!(slices, [(Some(0x2000), 100), (None, 16284), (Some(0), 7)]);
    }

    #[test]
    fn what_other_clients_accept_is_accepted() {
        let (one, two) = ("8:announce8:http://a", "13:announce-listl8:http://bl8:http://cee");
        for (outer, behind, trackers) in [
            (one, "\n", &["http://a"][..]),
            ("8:announcel8:http://ae", "\r\n", &["http://a"]),
            (&format!("{one}{two}"), "", &["http://b", "http://c"]),
            ("13:creation datei-1e", "\0\0", &[]),
            ("13:creation date4:1970", "", &[]),
            ("7:comment0:13:announce-listle", "", &[]),
        ] {
            let metainfo = torrent(RUN, 100, outer, behind).unwrap_or_else(|e| panic!("{outer}: {e}"));
            assert_eq!(metainfo.trackers(), trackers, "{outer}");
        }
    }
}
