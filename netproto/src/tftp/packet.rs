//! TFTP packets. What firmware gets wrong is read as far as it can be understood: strings need be neither UTF-8 nor
//! ended by a NUL, and any number of options is taken. A datagram's length is the bound of all that.

use thiserror::Error;

/// Longest text of an error that is kept, in bytes: it is for a line on a screen.
const MAX_TEXT: usize = 512;
/// Modes of transfer (RFC 1350 section 1).
const MODES: [&str; 3] = ["octet", "netascii", "mail"];

/// Why bytes are not a TFTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("truncated TFTP packet")]
    Truncated,
    /// An operation that does not exist.
    #[error("unknown TFTP operation {0}")]
    Operation(u16),
    /// A request without a file's name.
    #[error("TFTP request without a name")]
    NoName,
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
        /// Its path as written; what it may mean is said by [`super::name::meanings`].
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
            1 => read_request(rest),
            2 => Ok(Self::Write { path: strings(rest).next().ok_or(DecodeError::NoName)? }),
            3 => take_u16(rest).map(|(block, data)| Self::Data { block, data }),
            4 => take_u16(rest).map(|(block, _)| Self::Ack { block }),
            5 => {
                let (code, rest) = take_u16(rest)?;
                // Some firmware leaves the text or its NUL out.
                let text = rest.split(|b| *b == 0).next().unwrap_or_default();
                let text = &text[..text.len().min(MAX_TEXT)];
                let message = String::from_utf8_lossy(text).into_owned();
                Ok(Self::Error { code: ErrorCode::from_wire(code), message })
            }
            6 => Ok(Self::OptionAck { options: pairs(strings(rest)) }),
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

/// The strings of a packet. Each ends at a NUL, the last one at the packet's end too.
fn strings(bytes: &[u8]) -> impl Iterator<Item = String> {
    let ended = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let parts = (!bytes.is_empty()).then(|| ended.split(|b| *b == 0));
    parts.into_iter().flatten().map(|part| String::from_utf8_lossy(part).into_owned())
}

/// Name, mode and options. A name may be padded with NULs, lack its own, or have no mode behind it.
fn read_request<'a>(bytes: &[u8]) -> Result<Packet<'a>, DecodeError> {
    let mut strings = strings(bytes).peekable();
    let mut path = strings.next().ok_or(DecodeError::NoName)?;
    while strings.next_if(String::is_empty).is_some() {}
    let is_mode = |text: &String| MODES.contains(&text.to_ascii_lowercase().as_str());
    let mode = match strings.next_if(is_mode) {
        Some(mode) => mode.to_ascii_lowercase(),
        None => match MODES.iter().find(|mode| ends_with(&path, mode)) {
            Some(mode) => {
                path.truncate(path.len() - mode.len());
                (*mode).to_owned()
            }
            None => strings.next().map_or(MODES[0].to_owned(), |mode| mode.to_ascii_lowercase()),
        },
    };
    Ok(Packet::Read { path, mode, options: pairs(strings) })
}

/// Does a mode follow a name without a NUL between them?
fn ends_with(path: &str, mode: &str) -> bool {
    let tail =
        path.len().checked_sub(mode.len()).filter(|start| *start > 0).and_then(|start| path.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(mode))
}

/// Options. An empty name is padding behind the last; a name without a value is cut off or padding as well.
fn pairs(mut strings: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let mut options = Vec::new();
    while let Some(name) = strings.next().filter(|name| !name.is_empty()) {
        let Some(value) = strings.next() else { break };
        options.push((name.to_ascii_lowercase(), value));
    }
    options
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
