//! What the kernel warned of: its log, as `/dev/kmsg` gives it.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::O_NONBLOCK;

/// A record at most, in bytes (`CONSOLE_EXT_LOG_MAX` of the kernel).
const LONGEST: usize = 8192;
/// Records that are read at most: the kernel's buffer holds fewer.
const MOST: usize = 1 << 16;
/// Numbers up to this one are the kernel's own warnings and worse (`KERN_WARNING`): eight and more is a program's word.
const WARNING: u32 = 4;

/// Warnings and errors so far, each with its time since the kernel started.
pub(super) fn warnings(log: &Path) -> Vec<(f64, String)> {
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(log) else {
        return Vec::new();
    };
    let mut record = vec![0; LONGEST];
    let mut warnings = Vec::new();
    for _ in 0..MOST {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                warnings.extend(warning(&String::from_utf8_lossy(record.get(..length).unwrap_or_default())))
            }
            // Overwritten while it was read: the next one is there.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    warnings
}

/// `4,1234,5678900,-;text`: level, number, microseconds, flags.
fn warning(record: &str) -> Option<(f64, String)> {
    let (head, text) = record.split_once(';')?;
    let mut numbers = head.split(',');
    let level: u32 = numbers.next()?.parse().ok()?;
    let micros: f64 = numbers.nth(1)?.parse().ok()?;
    (level <= WARNING).then(|| (micros / 1e6, text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_kernel_alone() {
        let ata = "3,1234,5678900,-;ata1: SError\n SUBSYSTEM=scsi\n";
        assert_eq!(warning(ata), Some((5.6789, "ata1: SError".to_owned())));
        assert_eq!(warning("6,1235,5678901,-;eth0: link up\n"), None, "news is no warning");
        assert_eq!(warning("12,1236,5678902,-;systemd[1]: hello\n"), None, "a program's own");
        assert_eq!(warning("nothing"), None);
    }
}
