//! The way from the processes that have something to say to the one that draws the page of the terminal.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

use serde::{Deserialize, Serialize};

use super::view::Fact;

/// Where the process that draws is told.
pub(crate) const ADDRESS: &str = "/run/ezio-screen";
/// Longest word, in bytes; the kernel takes three times as much. A plan of a hundred partitions fits.
pub(crate) const LONGEST: usize = 64 << 10;

/// What the process that draws is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// A line, or several.
    Line(String),
    /// What the page is to show.
    Fact(Fact),
    /// The terminal is wanted for something else.
    LetGo,
}

impl Word {
    /// As it is sent.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A console that takes words. Where nobody draws, the terminal gets their lines.
#[derive(Debug)]
pub(crate) struct Post {
    socket: UnixDatagram,
    terminal: File,
}

impl Post {
    /// For the words of one process.
    pub(super) fn new(terminal: File) -> io::Result<Self> {
        Ok(Self { socket: UnixDatagram::unbound()?, terminal })
    }
}

impl Write for Post {
    /// One word.
    fn write(&mut self, word: &[u8]) -> io::Result<usize> {
        if word.len() <= LONGEST && self.socket.send_to(word, ADDRESS).is_ok() {
            return Ok(word.len());
        }
        if let Ok(Word::Line(text)) = serde_json::from_slice(word) {
            write!(self.terminal, "{}\r\n", text.replace('\n', "\r\n"))?;
        }
        Ok(word.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
