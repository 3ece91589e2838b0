//! How far a long transfer is: a bar with rate and ETA on a terminal, else a plain line now and then.

use std::io::IsTerminal;
use std::io::Write as _;
use std::time::{Duration, Instant};

use ezio_image::conf::units::human_size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

const TEMPLATE: &str = "{msg:12!} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} ETA {eta}";

/// Progress of one command.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: Option<Lines>,
    done: u64,
    total: u64,
}

struct Lines {
    started: Instant,
    last: Instant,
}

impl Progress {
    /// Begins at 0 of `total` bytes. Nothing is shown where `quiet`.
    pub(crate) fn new(total: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if terminal && !quiet {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            // A test reads the template: the default bar is never needed.
            bar.set_style(
                ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
        }
        let now = Instant::now();
        let lines = (!terminal && !quiet).then_some(Lines { started: now, last: now });
        Self { bar, lines, done: 0, total }
    }

    /// Says what is being worked on.
    pub(crate) fn part(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }

    /// Prints a line without spoiling the bar.
    pub(crate) fn note(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    /// `length` more bytes are done.
    pub(crate) fn add(&mut self, length: u64) {
        self.done += length;
        self.bar.set_position(self.done);
        if let Some(lines) = &mut self.lines
            && lines.last.elapsed() >= LINE_EVERY
        {
            lines.last = Instant::now();
            let _ = writeln!(std::io::stderr(), "{}", line(self.done, self.total, lines.started.elapsed()));
        }
    }

    /// Bytes done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Bytes in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Ends the display.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        if let Some(lines) = &self.lines {
            let _ = writeln!(std::io::stderr(), "{}", line(self.done, self.total, lines.started.elapsed()));
        }
    }
}

fn line(done: u64, total: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = done as f64 / seconds;
    let percent = if total == 0 { 100.0 } else { done as f64 * 100.0 / total as f64 };
    let left = if rate > 0.0 { (total.saturating_sub(done)) as f64 / rate } else { 0.0 };
    format!(
        "{percent:5.1} %  {} of {}  {}/s  ETA {:.0} s",
        human_size(done),
        human_size(total),
        human_size(rate as u64),
        left.ceil()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_right() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let text = line(256 << 20, 1 << 30, Duration::from_secs(2));
        assert_eq!(text, " 25.0 %  256.0 MiB of 1.0 GiB  128.0 MiB/s  ETA 6 s");
        assert!(line(0, 0, Duration::ZERO).starts_with("100.0 %"));
    }
}
