//! A read-only loop device over a stretch of the source, for programs that want a device of their own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stop::Stop;

/// Gone when dropped, and when this program ends in any way: the device is marked to be cleared when
/// nobody has it open, and we have it open.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    path: PathBuf,
    _open: File,
}

impl LoopDevice {
    /// Makes one over `length` bytes from `offset` of `path`.
    pub(crate) fn over(stop: &Stop, path: &Path, offset: u64, length: u64) -> Result<Self> {
        let mut attach = Command::new("losetup");
        attach.args(["--find", "--show", "--read-only"]).env("PATH", crate::SEARCH_PATH);
        attach.args(["--offset", &offset.to_string(), "--sizelimit", &length.to_string()]).arg(path);
        let finished = stop.run(&mut attach)?;
        if finished.code != Some(0) {
            bail!(
                "cannot make a loop device over {} (it takes root): {}",
                path.display(),
                finished.stderr.trim()
            );
        }
        let device = PathBuf::from(finished.stdout.trim());
        let open = File::open(&device);
        // While it is open this only marks it to be cleared on the last close.
        let mut detach = Command::new("losetup");
        detach.arg("--detach").arg(&device).env("PATH", crate::SEARCH_PATH);
        let detached = detach.output().context("cannot run losetup")?;
        let open = open.with_context(|| format!("cannot open {}", device.display()))?;
        if !detached.status.success() {
            let why = String::from_utf8_lossy(&detached.stderr);
            bail!("cannot mark {} to be cleared: {}", device.display(), why.trim());
        }
        Ok(Self { path: device, _open: open })
    }

    /// The device's node.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
