//! What of the machine's disks is in use, as the kernel lists it.

use std::path::{Path, PathBuf};

/// Devices that are mounted or swapped to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    entries: Vec<(PathBuf, String)>,
}

impl Usage {
    /// Reads the texts of `/proc/mounts` and `/proc/swaps`.
    #[must_use]
    pub fn parse(mounts: &str, swaps: &str) -> Self {
        let mut entries = Vec::new();
        for line in mounts.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some(source), Some(place)) = (words.next(), words.next())
                && source.starts_with('/')
            {
                entries.push((unescape(source).into(), format!("mounted at {}", unescape(place))));
            }
        }
        for line in swaps.lines().skip(1) {
            if let Some(source) = line.split_ascii_whitespace().next() {
                entries.push((unescape(source).into(), "in use as swap".to_owned()));
            }
        }
        Self { entries }
    }

    /// How a device is used, by its node `dev/name` or by a link that `resolve` leads to it.
    pub(crate) fn of(&self, dev: &Path, name: &str) -> Option<String> {
        let node = dev.join(name);
        let is_it = |source: &Path| source == node || source.canonicalize().is_ok_and(|real| real == node);
        self.entries.iter().find(|(source, _)| is_it(source)).map(|(_, how)| how.clone())
    }
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(word: &str) -> String {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|d| u8::from_str_radix(d, 8).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_swaps_as_the_kernel_writes_them() {
        let usage = Usage::parse(
            "/dev/sda1 /my\\040disk ext4 rw 0 0\nproc /proc proc rw 0 0\n",
            "Filename\t\t\t\tType\t\tSize\n/dev/sdb2                               partition\t1\t0\t-2\n",
        );
        let dev = Path::new("/dev");
        assert_eq!(usage.of(dev, "sda1").as_deref(), Some("mounted at /my disk"));
        assert_eq!(usage.of(dev, "sdb2").as_deref(), Some("in use as swap"));
        assert_eq!(usage.of(dev, "sda"), None);
    }
}
