//! What is wrong with an `ezio.conf`, and where.

use std::ops::Range;

use ezio_contract::MachineId;
use thiserror::Error;

/// A mistake in an `ezio.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("ezio.conf, line {line}, column {column}: {message}")]
pub struct ConfError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl ConfError {
    /// At the byte `offset` of `text`.
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let head = &text[..offset];
        let line_start = head.rfind('\n').map_or(0, |n| n + 1);
        Self {
            line: head.matches('\n').count() + 1,
            column: head[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }

    /// From what the TOML reader says, which does not always name the key.
    pub(crate) fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let Range { start, .. } = error.span().unwrap_or(0..0);
        let message = error.message().trim().replace('\n', "; ");
        let message = match key_before(text, start) {
            Some(key) if !message.contains(key) => format!("{key}: {message}"),
            _ => message,
        };
        Self::at(text, start, message)
    }
}

/// The key whose value begins at the byte `start`.
fn key_before(text: &str, start: usize) -> Option<&str> {
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |n| n + 1);
    let mut head = &text[..start];
    // A value in a list of several lines: the key is on an earlier one.
    if !text[line_start..start].contains('=') && !text[line_start..].starts_with('[') {
        head = head.trim_end();
        if !head.ends_with(['[', ',', '=']) {
            return None;
        }
    }
    let before_equals = head[..head.rfind('=')?].trim_end();
    let key = before_equals.rsplit(|c: char| c.is_whitespace() || "{,".contains(c)).next()?.trim_matches('"');
    // Inside a quoted text there may be an equals sign as well.
    (!key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))).then_some(key)
}

/// Why a machine gets no orders from a conf that is fine in itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoOrders {
    /// No entry is for this machine, and there is no default image.
    #[error("ezio.conf has no image for this machine ({}): no [[machine]] matches, and no default image is set", describe(.0))]
    NotListed(Box<MachineId>),
    /// It belongs to two groups.
    #[error("ezio.conf puts this machine ({}) into two groups, {first:?} and {second:?}", describe(.machine))]
    TwoGroups {
        /// The machine.
        machine: Box<MachineId>,
        /// One group.
        first: String,
        /// The other.
        second: String,
    },
    /// It was started with a group that the conf does not know.
    #[error("this machine was started for group {name:?}, which ezio.conf does not know (it has {})", list(.known))]
    UnknownGroup {
        /// The group that was asked for.
        name: String,
        /// Those that the conf has.
        known: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn describe(machine: &MachineId) -> String {
    let mut parts = Vec::new();
    parts.extend(machine.product().map(str::to_owned));
    parts.extend(machine.serial().map(|s| format!("serial {s}")));
    parts.extend(machine.uuid().map(|u| format!("UUID {u}")));
    parts.extend(machine.macs().first().map(|m| format!("MAC {m}")));
    if parts.is_empty() { "it says nothing about itself".to_owned() } else { parts.join(", ") }
}
