//! What a failed access to a target says: device, offset, piece.

use std::fmt;
use std::io;

/// What was being done to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Opening or inspecting it.
    Open,
    /// Reading content.
    Read,
    /// Writing content.
    Write,
    /// Making written content durable.
    Sync,
    /// Reading content back that was written.
    Prove,
}

/// An access to a target failed. The operating system's reason is the source.
#[derive(Debug)]
pub struct StorageError {
    /// What was being done.
    pub action: Action,
    /// The device or file, as people know it.
    pub device: String,
    /// Byte offset on the device; `None` for the device as a whole.
    pub device_offset: Option<u64>,
    /// Byte offset in the torrent's content; `None` for the device as a whole.
    pub content_offset: Option<u64>,
    /// Torrent and piece that the bytes belong to, where the engine knows them.
    pub piece: Option<(String, u32)>,
    /// Why.
    pub source: io::Error,
}

impl StorageError {
    /// A failure at a place of the device.
    #[must_use]
    pub fn at(
        action: Action,
        device: &str,
        device_offset: u64,
        content_offset: u64,
        source: io::Error,
    ) -> Self {
        Self {
            action,
            device: device.to_owned(),
            device_offset: Some(device_offset),
            content_offset: Some(content_offset),
            piece: None,
            source,
        }
    }

    /// A failure of the device as a whole.
    #[must_use]
    pub fn whole(action: Action, device: &str, source: io::Error) -> Self {
        Self {
            action,
            device: device.to_owned(),
            device_offset: None,
            content_offset: None,
            piece: None,
            source,
        }
    }

    /// Says which piece of which torrent the bytes belong to, from the content offset.
    #[must_use]
    pub fn in_torrent(mut self, name: &str, piece_length: u32) -> Self {
        if let Some(offset) = self.content_offset {
            let piece = u32::try_from(offset / u64::from(piece_length.max(1))).unwrap_or(u32::MAX);
            self.piece = Some((name.to_owned(), piece));
        }
        self
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Open => "open",
            Action::Read => "read",
            Action::Write => "write",
            Action::Sync => "sync",
            Action::Prove => "prove",
        };
        write!(f, "cannot {verb} {}", self.device)?;
        if let Some(offset) = self.device_offset {
            write!(f, " at byte {offset}")?;
        }
        if let Some((name, piece)) = &self.piece {
            write!(f, " (piece {piece} of {name})")?;
        }
        Ok(())
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
