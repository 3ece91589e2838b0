//! XFS: whether its log still holds changes that are not in the file system. `xfs_logprint` of
//! xfsprogs reads the log; without it nothing is known here.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::stop::Stop;

/// Looks at the log of the file system on `device`.
pub(super) fn dirty_log(stop: &Stop, device: &Path) -> Result<Option<String>> {
    let Some(program) = crate::find_program("xfs_logprint") else { return Ok(None) };
    // -t: transactions only, after one line on the state of the log.
    let finished = stop.run(Command::new(program).arg("-t").arg(device))?;
    let state = finished.stdout.lines().find_map(|line| line.split_once("state: <"));
    let dirty = "was not cleanly unmounted: mount and unmount it once, which replays its log";
    Ok(matches!(state, Some((_, state)) if state.starts_with("DIRTY")).then(|| dirty.to_owned()))
}
