//! TFTP packets.

use thiserror::Error;

/// Most options in one packet; nobody has that many.
const MAX_OPTIONS: usize = 16;
/// Longest string in a request or error, in bytes.
const MAX_STRING: usize = 512;

/// Why bytes are not a TFTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("truncated TFTP packet")]
    Truncated,
    /// An operation that does not exist.
    #[error("unknown TFTP operation {0}")]
    Operation(u16),
    /// A string that is too long, or not UTF-8.
    #[error("invalid string in a TFTP packet")]
    String,
    /// More options than anybody has.
    #[error("too many TFTP options")]
    Options,
}

/// Error codes of RFC 1350 and 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ErrorCode {
    Undefined,
    NotFound,
    AccessViolation,
    DiskFull,
    IllegalOperation,
    UnknownTransfer,
    FileExists,
    NoSuchUser,
    OptionRefused,
}

impl ErrorCode {
    const ALL: [Self; 9] = [
        Self::Undefined,
        Self::NotFound,
        Self::AccessViolation,
        Self::DiskFull,
        Self::IllegalOperation,
        Self::UnknownTransfer,
        Self::FileExists,
        Self::NoSuchUser,
        Self::OptionRefused,
    ];

    fn from_wire(number: u16) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Undefined)
    }
}

/// A packet; data is borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Send me this file.
    Read {
        /// Its path.
        path: String,
        /// "octet", in lower case; "netascii" and "mail" exist too.
        mode: String,
        /// Options in order, names in lower case.
        options: Vec<(String, String)>,
    },
    /// Take this file from me.
    Write {
        /// Its path.
        path: String,
    },
    /// A block.
    Data {
        /// Number, from 1; wraps to 0 behind 65535.
        block: u16,
        /// Content; shorter than the block size in the last one.
        data: &'a [u8],
    },
    /// All blocks up to this one have arrived.
    Ack {
        /// Number of the block; 0 for an option acknowledgement.
        block: u16,
    },
    /// The transfer ends here.
    Error {
        /// Why.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
    /// These options hold.
    OptionAck {
        /// Options in order, names in lower case.
        options: Vec<(String, String)>,
    },
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// The bytes are not a TFTP packet.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (operation, rest) = take_u16(bytes)?;
        match operation {
            1 => {
                let (path, rest) = take_string(rest)?;
                let (mode, rest) = take_string(rest)?;
                Ok(Self::Read { path, mode: mode.to_ascii_lowercase(), options: take_options(rest)? })
            }
            2 => Ok(Self::Write { path: take_string(rest)?.0 }),
            3 => take_u16(rest).map(|(block, data)| Self::Data { block, data }),
            4 => take_u16(rest).map(|(block, _)| Self::Ack { block }),
            5 => {
                let (code, rest) = take_u16(rest)?;
                // Some firmware leaves the text or its NUL out.
                let text = rest.split(|b| *b == 0).next().unwrap_or_default();
                let text = &text[..text.len().min(MAX_STRING)];
                let message = String::from_utf8_lossy(text).into_owned();
                Ok(Self::Error { code: ErrorCode::from_wire(code), message })
            }
            6 => Ok(Self::OptionAck { options: take_options(rest)? }),
            other => Err(DecodeError::Operation(other)),
        }
    }

    /// The packet as bytes. Strings must not hold NUL.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Read { path, mode, options } => {
                out.extend(1u16.to_be_bytes());
                put_string(&mut out, path);
                put_string(&mut out, mode);
                put_options(&mut out, options);
            }
            Self::Write { path } => {
                out.extend(2u16.to_be_bytes());
                put_string(&mut out, path);
                put_string(&mut out, "octet");
            }
            Self::Data { block, data } => {
                out.reserve_exact(4 + data.len());
                out.extend(3u16.to_be_bytes());
                out.extend(block.to_be_bytes());
                out.extend_from_slice(data);
            }
            Self::Ack { block } => {
                out.extend(4u16.to_be_bytes());
                out.extend(block.to_be_bytes());
            }
            Self::Error { code, message } => {
                out.extend(5u16.to_be_bytes());
                out.extend((*code as u16).to_be_bytes());
                put_string(&mut out, message);
            }
            Self::OptionAck { options } => {
                out.extend(6u16.to_be_bytes());
                put_options(&mut out, options);
            }
        }
        out
    }
}

fn take_u16(bytes: &[u8]) -> Result<(u16, &[u8]), DecodeError> {
    let (number, rest) = bytes.split_first_chunk::<2>().ok_or(DecodeError::Truncated)?;
    Ok((u16::from_be_bytes(*number), rest))
}

fn take_string(bytes: &[u8]) -> Result<(String, &[u8]), DecodeError> {
    let end = bytes.iter().position(|b| *b == 0).ok_or(DecodeError::Truncated)?;
    if end > MAX_STRING {
        return Err(DecodeError::String);
    }
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| DecodeError::String)?;
    Ok((text.to_owned(), &bytes[end + 1..]))
}

fn take_options(mut bytes: &[u8]) -> Result<Vec<(String, String)>, DecodeError> {
    let mut options = Vec::new();
    // A name without a value at the end is padding that some firmware sends.
    while !bytes.is_empty() && bytes[0] != 0 {
        if options.len() == MAX_OPTIONS {
            return Err(DecodeError::Options);
        }
        let (name, rest) = take_string(bytes)?;
        let (value, rest) = take_string(rest)?;
        options.push((name.to_ascii_lowercase(), value));
        bytes = rest;
    }
    Ok(options)
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|b| *b != 0));
    out.push(0);
}

fn put_options(out: &mut Vec<u8>, options: &[(String, String)]) {
    for (name, value) in options {
        put_string(out, name);
        put_string(out, value);
    }
}
