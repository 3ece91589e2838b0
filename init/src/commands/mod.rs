//! The commands of a person, on a running system: `write`, `prove`, `plan`, `deploy`.

pub(crate) mod arguments;
mod conf;
mod confirm;
pub(crate) mod deploy;
mod exact;
mod in_use;
pub(crate) mod plan;
mod progress_output;
pub(crate) mod prove;
pub(crate) mod signals;
mod source;
pub(crate) mod write;

use std::io::Write as _;

use anyhow::Context;

/// Writes to standard output, whose reader may have gone.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")
}
