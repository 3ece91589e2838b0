//! What was said on the consoles of this machine, for whoever wants to read it later: on the terminal, or in a shell.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use ezio_contract::report::{MAX_CONSOLE, MAX_CONSOLE_LINE};
use ezio_contract::text::one_line;

use super::kernel_log::warnings;
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
    kernel_log: PathBuf,
    clock: Steps,
}

impl History {
    pub(crate) fn of_machine(paths: &SystemPaths) -> Self {
        Self { file: FILE.into(), kernel_log: paths.dev.join("kmsg"), clock: Steps::new(paths) }
    }

    #[cfg(test)]
    pub(crate) fn in_file(file: PathBuf) -> Self {
        let paths = SystemPaths::below("/".as_ref());
        Self { file, kernel_log: PathBuf::new(), clock: Steps::new(&paths) }
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

    /// The last lines, and among them what the kernel warned of.
    pub(crate) fn for_server(&self) -> Vec<String> {
        let warnings = warnings(&self.kernel_log);
        let lines = merged(self.last(MAX_CONSOLE), warnings);
        let skipped = lines.len().saturating_sub(MAX_CONSOLE);
        lines.iter().skip(skipped).map(|line| one_line(line, MAX_CONSOLE_LINE)).collect()
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

/// Lines that begin with their time (or go on with the one before), with the kernel's warnings where they belong.
fn merged(lines: Vec<String>, warnings: Vec<(f64, String)>) -> Vec<String> {
    let mut warnings = warnings.into_iter().peekable();
    let kernel = |(time, text): (f64, String)| format!("[{time:>8.2}] kernel: {text}");
    let mut all = Vec::new();
    for line in lines {
        let time = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(time, _)| time);
        if let Some(time) = time.and_then(|time| time.trim().parse().ok()) {
            while let Some(warning) = warnings.next_if(|(warned, _)| *warned <= time) {
                all.push(kernel(warning));
            }
        }
        all.push(line);
    }
    all.extend(warnings.map(kernel));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_warned_of_stands_where_it_happened() {
        let lines = ["[    1.50] ezio: a", "  and more", "[   12.00] ezio: b"].map(str::to_owned).to_vec();
        let warnings = vec![(1.0, "first".to_owned()), (2.0, "disk".to_owned()), (99.0, "last".to_owned())];
        let wanted = [
            "[    1.00] kernel: first",
            "[    1.50] ezio: a",
            "  and more",
            "[    2.00] kernel: disk",
            "[   12.00] ezio: b",
            "[   99.00] kernel: last",
        ];
        assert_eq!(merged(lines, warnings), wanted);
    }

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
