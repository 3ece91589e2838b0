//! NTFS: a hibernated Windows.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Looks for a hibernated Windows, of which partclone knows nothing: fast start-up leaves one at every
/// shutdown. Its `hiberfil.sys` then begins with "hibr".
pub(super) fn hibernated(device: &Path) -> Result<Option<String>> {
    let Some(program) = crate::find_program("ntfscat") else {
        return Ok(Some(super::unchecked("a hibernated Windows", "ntfscat", "ntfs-3g")));
    };
    let mut command = Command::new(program);
    command.arg(device).arg("hiberfil.sys").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot run ntfscat")?;
    let mut magic = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(4).read_to_end(&mut magic).context("cannot read from ntfscat")?;
    }
    // The file is as large as the machine's memory; without a reader the rest ends in EPIPE.
    child.wait().context("cannot wait for ntfscat")?;
    let complaint = "holds a hibernated Windows (fast start-up does that): in Windows run \
        `shutdown /s /f /t 0`, or turn fast start-up off and shut down";
    Ok(magic.eq_ignore_ascii_case(b"hibr").then(|| complaint.to_owned()))
}
