//! The screen: what the machine is doing, how far, how fast, from how many peers, and for how long
//! still. Virtual terminals draw the picture in place; serial ports get a plain line now and then.

pub(crate) mod console;
pub(crate) mod nag;

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ezio_contract::report::Progress;
use ezio_image::conf::units::human_size;

use self::console::{Console, Style, open_system_consoles};
use crate::machine::SystemPaths;

/// How often a serial port hears of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Width that fits every text console.
const WIDTH: usize = 79;
/// Clears from the cursor to the end of the line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// All consoles, and what stands on them.
#[derive(Debug)]
pub(crate) struct Screen {
    consoles: Vec<Console>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A progress line stands at the cursor of consoles that redraw.
    drawn: bool,
    last_line: Option<Instant>,
}

impl Screen {
    /// A screen over these consoles.
    pub(crate) fn new(consoles: Vec<Console>) -> Self {
        Self { consoles, state: Mutex::default() }
    }

    /// All consoles of this machine, and those of `console=`.
    pub(crate) fn of_machine(paths: &SystemPaths, consoles: &[String]) -> Self {
        Self::new(open_system_consoles(&paths.sys, &paths.dev, consoles))
    }

    /// A screen that nobody sees.
    pub(crate) fn dark() -> Self {
        Self::new(Vec::new())
    }

    /// What happens now: `ezio: TEXT`.
    pub(crate) fn step(&self, text: &str) {
        self.line(&format!("ezio: {text}"));
    }

    /// A line (or several), as it stands.
    pub(crate) fn line(&self, text: &str) {
        let mut state = self.state();
        // After a line that says something new, the next progress is news as well.
        state.last_line = None;
        let drawn = std::mem::take(&mut state.drawn);
        for console in &self.consoles {
            let clear = if drawn && console.style == Style::Redraw { CLEAR_LINE } else { "" };
            // Terminals in their raw state need the carriage return too.
            console.write(format!("{clear}{}\r\n", text.replace('\n', "\r\n")));
        }
    }

    /// How far it is; drawn in place, or as a line where none was for a while.
    pub(crate) fn progress(&self, doing: &str, progress: &Progress) {
        self.redraw(&progress_line(doing, progress));
    }

    /// The same of what is only read here.
    pub(crate) fn reading(&self, doing: &str, progress: &Progress) {
        self.redraw(&reading_line(doing, progress));
    }

    fn redraw(&self, text: &str) {
        let mut state = self.state();
        let due = state.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if due {
            state.last_line = Some(Instant::now());
        }
        state.drawn = true;
        for console in &self.consoles {
            match console.style {
                Style::Redraw => console.write(format!("{CLEAR_LINE}{text}")),
                Style::Lines if due => console.write(format!("{text}\r\n")),
                Style::Lines => {}
            }
        }
    }

    /// Waits until slow consoles have shown all, at most a moment each.
    pub(crate) fn flush(&self) {
        for console in &self.consoles {
            console.flush(Duration::from_secs(2));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line: `write [####....] 50.0% of 1.2 GiB, in 60.0 out 55.0 MiB/s, 37 peers, 0:10 left`.
pub(crate) fn progress_line(doing: &str, p: &Progress) -> String {
    let (unit, name) = unit_of(p.down_bytes_per_s.max(p.up_bytes_per_s));
    let (down, up) = (p.down_bytes_per_s as f64 / unit, p.up_bytes_per_s as f64 / unit);
    let rates = format!("in {down:.1} out {up:.1} {name}/s, {} peers", p.peers);
    with_share(doing, p, &rates)
}

fn reading_line(doing: &str, p: &Progress) -> String {
    let (unit, name) = unit_of(p.down_bytes_per_s);
    with_share(doing, p, &format!("{:.1} {name}/s", p.down_bytes_per_s as f64 / unit))
}

fn with_share(doing: &str, p: &Progress, rates: &str) -> String {
    let total = human_size(p.total_bytes);
    let mut line = format!("{doing} {} {:.1}% of {total}, {rates}", bar(p), percent(p));
    if let Some(left) = time_left(p) {
        // Writing to a String cannot fail.
        let _ = write!(line, ", {} left", clock(left));
    }
    line.truncate(line.char_indices().nth(WIDTH).map_or(line.len(), |(at, _)| at));
    line
}

fn percent(p: &Progress) -> f64 {
    // 100 is said when it is true, not when rounding says so.
    let percent = 100.0 * p.done_bytes as f64 / p.total_bytes.max(1) as f64;
    if p.done_bytes < p.total_bytes { percent.min(99.9) } else { percent }
}

fn bar(p: &Progress) -> String {
    const CELLS: usize = 8;
    let full = ((percent(p) / 100.0 * CELLS as f64) as usize).min(CELLS);
    format!("[{}{}]", "#".repeat(full), ".".repeat(CELLS - full))
}

fn unit_of(value: u64) -> (f64, &'static str) {
    match value {
        0..1_048_576 => (1024.0, "KiB"),
        1_048_576..1_073_741_824 => (1_048_576.0, "MiB"),
        _ => (1_073_741_824.0, "GiB"),
    }
}

fn time_left(p: &Progress) -> Option<Duration> {
    let left = p.total_bytes.saturating_sub(p.done_bytes);
    (left > 0 && p.down_bytes_per_s > 0).then(|| Duration::from_secs(left.div_ceil(p.down_bytes_per_s)))
}

/// `1:02:03`, `2:03`.
pub(crate) fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn half() -> Progress {
        Progress {
            done_bytes: 600 << 20,
            total_bytes: 1200 << 20,
            down_bytes_per_s: 60 << 20,
            up_bytes_per_s: 55 << 20,
            peers: 37,
            ..Progress::default()
        }
    }

    #[test]
    fn the_line_says_all_and_fits() {
        let line = progress_line("write", &half());
        assert_eq!(line, "write [####....] 50.0% of 1.2 GiB, in 60.0 out 55.0 MiB/s, 37 peers, 0:10 left");
        assert!(line.len() < WIDTH, "{}", line.len());
        let nearly = Progress { done_bytes: u64::MAX / 2 - 1, total_bytes: u64::MAX / 2, ..half() };
        assert!(progress_line("w", &nearly).contains(" 99.9%"));
        assert!(progress_line("w", &Progress::default()).contains("0.0%"));
    }

    #[test]
    fn times_and_amounts() {
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(time_left(&half()), Some(Duration::from_secs(10)));
    }

    #[test]
    fn serial_ports_get_few_lines_and_terminals_every_picture() {
        let (serial, terminal) = (Paper::default(), Paper::default());
        let screen = Screen::new(vec![
            Console::new(Style::Lines, serial.clone()),
            Console::new(Style::Redraw, terminal.clone()),
        ]);
        for _ in 0..3 {
            screen.progress("write", &half());
        }
        screen.step("done");
        screen.flush();
        assert_eq!(serial.text().matches("write [").count(), 1);
        assert!(serial.text().ends_with("ezio: done\r\n"));
        assert!(!serial.text().contains('\x1b'));
        assert_eq!(terminal.text().matches("\r\x1b[Kwrite [").count(), 3);
        assert!(terminal.text().ends_with("\r\x1b[Kezio: done\r\n"));
    }
}
