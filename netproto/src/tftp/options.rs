//! Negotiation of options: what a client asks for, what a server grants, and what then holds.

use std::time::Duration;

use super::packet::{DecodeError, ErrorCode};

/// Block size without negotiation.
pub const DEFAULT_BLOCK_SIZE: u16 = 512;
/// Largest block size granted, in bytes: with IPv4, UDP and a VLAN tag it still fits an Ethernet frame.
pub const MAX_BLOCK_SIZE: u16 = 1468;
/// Largest window granted, in blocks: what the receive buffer of a small boot program still takes.
pub const MAX_WINDOW: u16 = 32;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes a block.
    pub block_size: u16,
    /// Blocks a window.
    pub window: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { block_size: MAX_BLOCK_SIZE, window: 16 }
    }
}

impl Options {
    /// For a read request.
    #[must_use]
    pub fn to_wire(&self) -> Vec<(String, String)> {
        vec![
            ("blksize".into(), self.block_size.to_string()),
            ("windowsize".into(), self.window.to_string()),
            ("tsize".into(), "0".into()),
        ]
    }
}

/// What holds for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// Bytes a block.
    pub block_size: u16,
    /// Blocks a window.
    pub window: u16,
    /// Size of the file, where told.
    pub size: Option<u64>,
    /// Retransmission timeout, where the client asked for one.
    pub timeout: Option<Duration>,
}

impl Default for Negotiated {
    fn default() -> Self {
        Self { block_size: DEFAULT_BLOCK_SIZE, window: 1, size: None, timeout: None }
    }
}

impl Negotiated {
    /// Server: grants what a client asked for, for a file of `size` bytes. Also the options to acknowledge;
    /// with none, the transfer starts with its first block.
    ///
    /// # Errors
    /// A known option with a value that makes no sense: refused with [`ErrorCode::OptionRefused`].
    pub fn grant(asked: &[(String, String)], size: u64) -> Result<(Self, Vec<(String, String)>), ErrorCode> {
        let mut granted = Self::default();
        let mut answer = Vec::new();
        for (name, value) in asked {
            let number: u64 = match name.as_str() {
                "blksize" | "windowsize" | "timeout" | "tsize" => {
                    value.trim().parse().map_err(|_| ErrorCode::OptionRefused)?
                }
                // Unknown options are passed over (RFC 2347).
                _ => continue,
            };
            let reply = match name.as_str() {
                "blksize" if number >= 8 => {
                    granted.block_size = number.min(u64::from(MAX_BLOCK_SIZE)) as u16;
                    u64::from(granted.block_size)
                }
                "windowsize" if number >= 1 => {
                    granted.window = number.min(u64::from(MAX_WINDOW)) as u16;
                    u64::from(granted.window)
                }
                "timeout" if (1..=255).contains(&number) => {
                    granted.timeout = Some(Duration::from_secs(number));
                    number
                }
                "tsize" => {
                    granted.size = Some(size);
                    size
                }
                _ => return Err(ErrorCode::OptionRefused),
            };
            if !answer.iter().any(|(known, _)| known == name) {
                answer.push((name.clone(), reply.to_string()));
            }
        }
        Ok((granted, answer))
    }

    /// Client: what a server's option acknowledgement says.
    ///
    /// # Errors
    /// It grants more than was asked for, or something that makes no sense.
    pub fn accept(asked: &Options, granted: &[(String, String)]) -> Result<Self, DecodeError> {
        let mut agreed = Self::default();
        for (name, value) in granted {
            let number = value.trim().parse::<u64>().map_err(|_| DecodeError::Options)?;
            let bounded = |least: u64, most: u16| {
                let fits = (least..=u64::from(most)).contains(&number);
                fits.then_some(number as u16).ok_or(DecodeError::Options)
            };
            match name.as_str() {
                "blksize" => agreed.block_size = bounded(8, asked.block_size)?,
                "windowsize" => agreed.window = bounded(1, asked.window)?,
                "tsize" => agreed.size = Some(number),
                _ => return Err(DecodeError::Options),
            }
        }
        Ok(agreed)
    }
}
