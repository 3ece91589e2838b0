//! What was said on the consoles of this machine, for whoever wants to read it later: on the terminal, or in a shell.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use crate::machine::SystemPaths;
use crate::machine::steps::Steps;

/// In the memory of the machine: it is gone with the run.
const FILE: &str = "/run/ezio-console.log";
/// Bytes from which on only the last lines are kept.
const LONGEST: u64 = 256 << 10;
/// These.
const KEPT: usize = 200;

/// The lines so far. Every process of the machine adds its own.
#[derive(Debug)]
pub(crate) struct History {
    file: PathBuf,
    clock: Steps,
}

impl History {
    pub(crate) fn of_machine(paths: &SystemPaths) -> Self {
        Self { file: FILE.into(), clock: Steps::new(paths) }
    }

    #[cfg(test)]
    pub(super) fn in_file(file: PathBuf) -> Self {
        Self { file, clock: Steps::new(&SystemPaths::below("/".as_ref())) }
    }

    /// Adds lines, with the time since the kernel started before the first, as the kernel's own have it.
    pub(crate) fn add(&self, text: &str) {
        let line = format!("[{:>8.2}] {text}\n", self.clock.now_s());
        // Without memory for it, the consoles have it all the same.
        let _ = OpenOptions::new().create(true).append(true).open(&self.file).and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            let long = file.metadata()?.len() > LONGEST;
            if long { fs::write(&self.file, self.last(KEPT).join("\n") + "\n") } else { Ok(()) }
        });
    }

    /// The last `count` lines.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let bytes = fs::read(&self.file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.lines().rev().take(count).map(str::to_owned).collect();
        lines.reverse();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::in_file(folder.path().join("log"));
        assert!(history.last(3).is_empty());
        for number in 0..5000 {
            history.add(&format!("line {number}\n{}", "x".repeat(80)));
        }
        assert!(fs::metadata(&history.file).unwrap().len() <= LONGEST);
        let last = history.last(4);
        assert!(last[0].starts_with('[') && last[0].ends_with("] line 4998"), "{last:?}");
        assert!(last[2].ends_with("] line 4999"), "{last:?}");
    }
}
