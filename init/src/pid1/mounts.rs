//! The kernel's file systems: what must be mounted before anything else can be seen.

use std::ffi::OsStr;
use std::fmt;

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

/// One line of the mount table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MsFlags,
    options: &'static str,
}

const NO_DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const NOTHING_RUNS_HERE: MsFlags = NO_DEVICES.union(MsFlags::MS_NOEXEC);

/// What PID 1 mounts, in order.
pub(crate) const MOUNT_TABLE: &[Mount] = &[
    Mount { kind: "proc", target: "/proc", flags: NOTHING_RUNS_HERE, options: "" },
    Mount { kind: "sysfs", target: "/sys", flags: NOTHING_RUNS_HERE, options: "" },
    Mount { kind: "devtmpfs", target: "/dev", flags: MsFlags::MS_NOSUID, options: "mode=0755" },
    Mount { kind: "tmpfs", target: "/run", flags: NO_DEVICES, options: "mode=0755,size=16m" },
    // Hooks keep their scratch files here; what they fill cannot starve the transfer.
    Mount { kind: "tmpfs", target: "/tmp", flags: NO_DEVICES, options: "mode=1777,size=64m" },
];

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.kind, self.target)
    }
}

/// Mounts the table. What the kernel mounted already (devtmpfs) is fine.
pub(crate) fn mount_all(table: &[Mount]) -> anyhow::Result<()> {
    for entry in table {
        std::fs::create_dir_all(entry.target).with_context(|| format!("making {}", entry.target))?;
        let options = (!entry.options.is_empty()).then(|| OsStr::new(entry.options));
        match mount(Some(entry.kind), entry.target, Some(entry.kind), entry.flags, options) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(e) => return Err(e).with_context(|| format!("mounting {entry}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_like_proc_mounts() {
        let table: Vec<String> = MOUNT_TABLE.iter().map(ToString::to_string).collect();
        assert_eq!(
            table,
            ["proc on /proc", "sysfs on /sys", "devtmpfs on /dev", "tmpfs on /run", "tmpfs on /tmp"]
        );
    }
}
