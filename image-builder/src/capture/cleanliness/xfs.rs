//! XFS: whether its log still holds changes that are not in the file system. `xfs_logprint` of
//! xfsprogs reads the log.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::stop::Stop;

/// Looks at the log of the file system on `device`.
pub(super) fn dirty_log(stop: &Stop, device: &Path) -> Result<Option<String>> {
    let Some(program) = crate::find_program("xfs_logprint") else {
        return Ok(Some(super::unchecked("a dirty log", "xfs_logprint", "xfsprogs")));
    };
    // -t: transactions only, after one line on the state of the log.
    let finished = stop.run(Command::new(program).arg("-t").arg(device))?;
    let state = finished.stdout.lines().find_map(|line| line.split_once("state: <"));
    Ok(match state.map(|(_, state)| state) {
        Some(state) if state.starts_with("CLEAN") => None,
        Some(_) => {
            Some("was not cleanly unmounted: mount and unmount it once, which replays its log".to_owned())
        }
        None => Some(format!("has a log that xfs_logprint cannot read: {}", finished.stderr.trim())),
    })
}
