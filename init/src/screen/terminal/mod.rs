//! The process that has a virtual terminal: it draws the page of this machine there from what the others say, and the log
//! when a person presses F2. It lives as long as the machine, so that a crash of the worker takes neither away.

mod paint;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use nix::libc::O_NOCTTY;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::history::History;
use super::page;
use super::page::grid::{Grid, Size};
use super::post::{LONGEST, Word};
use super::view::View;
use crate::machine::SystemPaths;

/// What the Linux console sends for F2.
const F2: &[u8] = b"\x1b[[B";
/// Bytes of keys that are read at once.
const KEYS: usize = 64;
/// How often the size of the terminal is looked at: the kernel finds a display while this runs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Sizes of a terminal that a page is drawn for, in cells: less has no room for it, and more no display has.
const LEAST: Size = Size { width: 40, height: 16 };
const MOST: Size = Size { width: 480, height: 270 };
/// Lines below the page, at most.
const MOST_BELOW: usize = 6;
/// A terminal that does not say how large it is has this.
const USUAL: Size = Size { width: 80, height: 25 };

/// Draws what comes on standard input, a socket, until it is told to let go.
pub(crate) fn draw(terminal: &Path) -> anyhow::Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().context("taking the socket over")?;
    let history = History::of_machine(&SystemPaths::below("/".as_ref()));
    draw_from(&UnixDatagram::from(socket), terminal, history)
}

fn draw_from(socket: &UnixDatagram, terminal: &Path, history: History) -> anyhow::Result<()> {
    socket.set_nonblocking(true).context("preparing the socket")?;
    let tty = OpenOptions::new().read(true).write(true).custom_flags(O_NOCTTY).open(terminal);
    let tty = tty.with_context(|| format!("opening {}", terminal.display()))?;
    let before = make_raw(&tty).with_context(|| format!("preparing {}", terminal.display()))?;
    let heard = history.last(MOST_BELOW).into();
    let mut shown = Shown { tty, history, heard, view: View::default(), page: None, log: false };
    shown.serve(socket)?;
    shown.write(&paint::log(&shown.history.last(shown.size().height)));
    tcsetattr(&shown.tty, OptionalActions::Now, &before).context("putting the terminal back")
}

/// Keys come as they are pressed, are not shown, and stop nothing.
fn make_raw(tty: &File) -> rustix::io::Result<Termios> {
    let before = tcgetattr(tty)?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(tty, OptionalActions::Now, &raw)?;
    Ok(before)
}

/// The terminal, and what stands on it.
struct Shown {
    tty: File,
    history: History,
    /// The lines below the page.
    heard: VecDeque<String>,
    view: View,
    /// The page as it was drawn last; none where it is not there.
    page: Option<(Grid, Size)>,
    /// The log is shown, not the page.
    log: bool,
}

impl Shown {
    fn serve(&mut self, socket: &UnixDatagram) -> anyhow::Result<()> {
        let mut buffer = vec![0; LONGEST];
        loop {
            self.refresh();
            let (told, pressed) = wait(socket.as_fd(), self.tty.as_fd());
            if pressed {
                self.read_keys();
            }
            if told && !self.hear(socket, &mut buffer)? {
                return Ok(());
            }
        }
    }

    /// Takes all words that have come; says whether there is more to be drawn.
    fn hear(&mut self, socket: &UnixDatagram, buffer: &mut [u8]) -> anyhow::Result<bool> {
        loop {
            match socket.recv(buffer) {
                Ok(length) => match serde_json::from_slice(buffer.get(..length).unwrap_or_default()) {
                    Ok(Word::Line(text)) => self.say(&text),
                    Ok(Word::Fact(fact)) => self.view.learn(fact),
                    Ok(Word::LetGo) => return Ok(false),
                    // Nobody but ourselves writes there; what is none of our words says nothing.
                    Err(_) => {}
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error).context("hearing what the page is to show"),
            }
        }
    }

    fn read_keys(&mut self) {
        let mut keys = [0; KEYS];
        let length = self.tty.read(&mut keys).unwrap_or_default();
        let pressed = keys.get(..length).unwrap_or_default();
        if pressed.windows(F2.len()).filter(|keys| *keys == F2).count() % 2 == 1 {
            self.log = !self.log;
            self.page = None;
            if self.log {
                let height = self.size().height;
                self.write(&paint::log(&self.history.last(height.saturating_sub(2))));
                self.write(&paint::long_line("F2: back to the page"));
            }
        }
    }

    /// A line that was said just now.
    fn say(&mut self, text: &str) {
        let width = self.size().width;
        for line in text.lines() {
            self.heard.push_back(line.to_owned());
            if self.heard.len() > MOST_BELOW {
                self.heard.pop_front();
            }
            match self.log {
                true => self.write(&paint::long_line(line)),
                false => self.write(&paint::line(line, width)),
            }
        }
    }

    /// Brings the page to what is known now.
    fn refresh(&mut self) {
        if self.log {
            return;
        }
        let terminal = self.size();
        let below = rows_below(terminal.height);
        let grid = page::draw(&self.view, Size { height: terminal.height - below, ..terminal });
        let text = match &self.page {
            Some((before, size)) if *size == terminal && before.colour == grid.colour => {
                paint::changes(before, &grid)
            }
            // The last row is for what comes next.
            _ => {
                let skipped = self.heard.len().saturating_sub(below - 1);
                let heard: Vec<String> = self.heard.iter().skip(skipped).cloned().collect();
                paint::page(&grid, terminal.height, &heard)
            }
        };
        self.write(&text);
        self.page = Some((grid, terminal));
    }

    fn size(&self) -> Size {
        let said = tcgetwinsize(&self.tty)
            .map_or(USUAL, |said| Size { width: said.ws_col.into(), height: said.ws_row.into() });
        let said = if said.width == 0 || said.height == 0 { USUAL } else { said };
        Size {
            width: said.width.clamp(LEAST.width, MOST.width),
            height: said.height.clamp(LEAST.height, MOST.height),
        }
    }

    fn write(&mut self, text: &str) {
        // A terminal that cannot be written to is no reason to stop: there are other consoles, and the server.
        let _ = self.tty.write_all(text.as_bytes());
    }
}

/// Rows below the page, for what is said: two lines at least, and the row of the cursor.
fn rows_below(height: usize) -> usize {
    match height {
        ..30 => 3,
        30..50 => 4,
        _ => MOST_BELOW + 1,
    }
}

/// Waits for a word or a key, or until the size is to be looked at.
fn wait(socket: BorrowedFd<'_>, tty: BorrowedFd<'_>) -> (bool, bool) {
    let mut both = [PollFd::new(socket, PollFlags::POLLIN), PollFd::new(tty, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(LOOK_AGAIN).unwrap_or(PollTimeout::MAX);
    // A wake-up without reason is fine: the loop looks again.
    let _ = poll(&mut both, timeout);
    let [socket, tty] = both.map(|one| one.any().unwrap_or_default());
    (socket, tty)
}
