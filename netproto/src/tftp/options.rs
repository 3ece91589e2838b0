//! Negotiation of options: what a client asks for, what a server grants, and what then holds.

use std::time::Duration;

use thiserror::Error;

/// Block size without negotiation, in bytes (RFC 1350).
pub const DEFAULT_BLOCK_SIZE: u16 = 512;
/// Largest block size granted, in bytes: with IPv4, UDP and a VLAN tag it still fits an Ethernet frame.
pub const MAX_BLOCK_SIZE: u16 = 1468;
/// Largest window granted, in blocks: what the receive buffer of a small boot program still takes.
pub const MAX_WINDOW: u16 = 32;

/// An acknowledged option that cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the server acknowledged {name}={value}, which is no number or more than was asked for")]
pub struct Unusable {
    name: String,
    value: String,
}

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
    /// What holds where nothing was asked for.
    pub const NONE: Self = Self { block_size: DEFAULT_BLOCK_SIZE, window: 1 };

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
    /// Server: grants what a client asked for, for a file of `size` bytes. Also the options to acknowledge; with none,
    /// the transfer starts with its first block. Options that are unknown or make no sense are passed over, as RFC 2347
    /// allows: a client can do without any of them. Of one that comes twice, the first counts.
    #[must_use]
    pub fn grant(asked: &[(String, String)], size: u64) -> (Self, Vec<(String, String)>) {
        let mut granted = Self::default();
        let mut answer: Vec<(String, String)> = Vec::new();
        for (name, value) in asked {
            let Ok(number) = value.trim().parse::<u64>() else { continue };
            if answer.iter().any(|(known, _)| known == name) {
                continue;
            }
            let reply = match (name.as_str(), number) {
                ("blksize", 8..) => {
                    granted.block_size = number.min(u64::from(MAX_BLOCK_SIZE)) as u16;
                    u64::from(granted.block_size)
                }
                ("windowsize", 1..) => {
                    granted.window = number.min(u64::from(MAX_WINDOW)) as u16;
                    u64::from(granted.window)
                }
                ("timeout", 1..=255) => {
                    granted.timeout = Some(Duration::from_secs(number));
                    number
                }
                ("tsize", _) => {
                    granted.size = Some(size);
                    size
                }
                _ => continue,
            };
            answer.push((name.clone(), reply.to_string()));
        }
        (granted, answer)
    }

    /// Client: what a server's acknowledgement says. Options that nobody asked for are passed over.
    ///
    /// # Errors
    /// It grants more than was asked for, or something that makes no sense.
    pub fn accept(asked: &Options, granted: &[(String, String)]) -> Result<Self, Unusable> {
        let mut agreed = Self::default();
        for (name, value) in granted {
            let unusable = || Unusable { name: name.clone(), value: value.clone() };
            let number = || value.trim().parse::<u64>().map_err(|_| unusable());
            let bounded = |least: u64, most: u16| {
                let number = number()?;
                let fits = (least..=u64::from(most)).contains(&number);
                fits.then_some(number as u16).ok_or_else(unusable)
            };
            match name.as_str() {
                "blksize" => agreed.block_size = bounded(8, asked.block_size)?,
                "windowsize" => agreed.window = bounded(1, asked.window)?,
                "tsize" => agreed.size = Some(number()?),
                _ => {}
            }
        }
        Ok(agreed)
    }
}
