//! Nothing that is there is erased unasked: a person at a terminal is asked, a script says so beforehand.

use std::io::{IsTerminal, Write as _, stderr, stdin};

use anyhow::{Context, ensure};

/// Asks whether all on `targets` may be lost; anything but "yes" is a refusal.
pub(crate) fn erase(targets: &str) -> anyhow::Result<()> {
    let input = stdin();
    ensure!(
        input.is_terminal(),
        "all on {targets} would be lost, and nobody is at a terminal to be asked: --yes says that it may be; nothing was \
         written"
    );
    write!(stderr(), "All on {targets} is lost. Go on? Type \"yes\": ")?;
    stderr().flush().context("asking")?;
    let mut answer = String::new();
    input.read_line(&mut answer).context("reading the answer")?;
    ensure!(answer.trim() == "yes", "nothing was written");
    Ok(())
}
