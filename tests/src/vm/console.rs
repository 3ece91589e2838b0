//! A machine's serial console: every line goes to a log file, to those who wait, and to a short memory.

use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Lines remembered for the report of a failure.
const REMEMBERED_LINES: usize = 200;
/// A line longer than this is cut, so that a machine that never ends its line cannot fill memory.
const LONGEST_LINE: u64 = 16 * 1024;

/// What happens on the machines of a room.
#[derive(Debug, Clone)]
pub struct Event {
    /// Index of the machine.
    pub machine: usize,
    /// When it was seen.
    pub at: Instant,
    /// What was seen.
    pub what: Happening,
}

/// Something a machine did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It wrote a line on its serial port (without control sequences).
    Line(String),
    /// Its power went off: QEMU closed the serial port.
    Off,
}

/// Waits until `wanted` says yes to an event, and returns that event.
pub fn wait_for(
    events: &mpsc::Receiver<Event>,
    timeout: Duration,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Result<Event> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event =
            events.recv_timeout(left).with_context(|| format!("waited {} s in vain", timeout.as_secs()))?;
        if wanted(&event) {
            return Ok(event);
        }
    }
}

/// The last lines of a console.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<VecDeque<String>>>);

impl Memory {
    /// At most the last `count` lines, oldest first.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == REMEMBERED_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Reads `serial` until it ends, on a thread of its own.
pub fn watch(
    machine: usize,
    serial: impl Read + Send + 'static,
    log: &Path,
    events: mpsc::Sender<Event>,
) -> Result<Memory> {
    let log_file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let memory = Memory::default();
    let remembered = memory.clone();
    thread::Builder::new()
        .name(format!("console-{machine}"))
        .spawn(move || read_lines(machine, serial, log_file, &remembered, &events))
        .context("starting a thread to read a console")?;
    Ok(memory)
}

fn read_lines(
    machine: usize,
    serial: impl Read,
    mut log: File,
    memory: &Memory,
    events: &mpsc::Sender<Event>,
) {
    let mut reader = BufReader::new(serial);
    let mut raw = Vec::new();
    loop {
        raw.clear();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut raw) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        // A full disk must not end the test's view of the machine: the log is for people.
        let _ = log.write_all(&raw);
        let line = plain_text(&raw);
        if line.is_empty() {
            continue;
        }
        memory.push(line.clone());
        if events.send(Event { machine, at: Instant::now(), what: Happening::Line(line) }).is_err() {
            break;
        }
    }
    let _ = events.send(Event { machine, at: Instant::now(), what: Happening::Off });
}

/// The readable part of what a firmware or a boot loader wrote: no escape sequences, no control characters.
fn plain_text(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape_sequence(&mut characters),
            '\t' => plain.push(' '),
            _ if character.is_control() => {}
            _ => plain.push(character),
        }
    }
    plain.trim().to_owned()
}

/// Consumes the rest of an escape sequence: `[` parameters and a final letter, or one character.
fn skip_escape_sequence(characters: &mut std::str::Chars<'_>) {
    if characters.next() != Some('[') {
        return;
    }
    for character in characters.by_ref() {
        if ('@'..='~').contains(&character) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::plain_text;

    #[test]
    fn drops_what_terminals_interpret() {
        assert_eq!(plain_text(b"\x1b[2J\x1b[01;01HBdsDxe: loading\x1b[0m\r\n"), "BdsDxe: loading");
        assert_eq!(plain_text(b"\x1bcplain\x07\ttext\r\n"), "plain text");
        assert_eq!(plain_text(b"\x1b[31"), "");
    }
}
