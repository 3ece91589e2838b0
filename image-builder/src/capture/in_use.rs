//! How much of a file system is in use by its own account. A map of its used blocks that holds less has lost something.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use ezio_image::filesystem;
use ezio_image::layout::ReadAt;

use crate::stop::Stop;

/// Bytes in use; `None` where the file system keeps no account that can be read. `read` gives bytes of the partition,
/// `device` is a device (or file) of its own.
pub(crate) fn bytes(stop: &Stop, kind: &str, read: &impl ReadAt, device: &Path) -> Result<Option<u64>> {
    if kind == "ntfs" {
        return ntfs(stop, device).map(Some);
    }
    filesystem::bytes_in_use(read, 0).with_context(|| format!("cannot read the superblock of {kind}"))
}

/// NTFS counts by a bitmap of clusters, which `ntfsinfo` reads.
fn ntfs(stop: &Stop, device: &Path) -> Result<u64> {
    let Some(program) = crate::find_program("ntfsinfo") else {
        bail!("ntfsinfo is missing, which tells how much of an NTFS is in use: apt-get install ntfs-3g");
    };
    // --force: a volume that is not clean was refused before, unless the user wants it as it is.
    let finished = stop.run(Command::new(program).args(["--mft", "--force"]).arg(device))?;
    let number = |name: &str| {
        let line = finished.stdout.lines().find_map(|line| line.trim().strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let counts = (number("Volume Size in Clusters:"), number("Free Clusters:"), number("Cluster Size:"));
    let (Some(all), Some(free), Some(length)) = counts else {
        bail!("ntfsinfo does not say how much is in use: {}", finished.stderr.trim());
    };
    Ok(all.saturating_sub(free).saturating_mul(length))
}
