//! Kernel settings for a machine that does nothing but carry an image.

use std::fs;
use std::path::Path;

/// Settings below `/proc/sys`, and why.
const SETTINGS: &[(&str, &str)] = &[
    // Connections pause between pieces; they must not start slowly again after each pause.
    ("net/ipv4/tcp_slow_start_after_idle", "0"),
    // Room for a full window at 10 Gbit/s and a few milliseconds.
    ("net/core/rmem_max", "16777216"),
    ("net/core/wmem_max", "16777216"),
    ("net/ipv4/tcp_rmem", "4096 262144 16777216"),
    ("net/ipv4/tcp_wmem", "4096 65536 16777216"),
    // A machine with two cards on one network answers for both.
    ("net/ipv4/conf/all/rp_filter", "0"),
    // Write out early and steadily: little RAM waits for the disk, and the final sync is short.
    ("vm/dirty_background_bytes", "16777216"),
    ("vm/dirty_bytes", "67108864"),
    // A machine whose kernel fails tries again by itself.
    ("kernel/panic", "30"),
    // Drivers may complain in the log; the screen is ours.
    ("kernel/printk", "4 4 1 4"),
];

/// Sets them; a kernel that lacks one does without.
pub(crate) fn tune(proc: &Path) {
    for (name, value) in SETTINGS {
        if let Err(error) = fs::write(proc.join("sys").join(name), value) {
            tracing::debug!("sysctl {name}={value}: {error}");
        }
    }
}
