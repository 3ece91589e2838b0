//! Live progress: one line a machine, drawn in place on a terminal; elsewhere a line for each step.

use super::seat::{Seat, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a log that is no terminal hears of the room.
const LOG_INTERVAL: Duration = Duration::from_secs(15);

/// Shows the room.
#[derive(Debug)]
pub struct Display {
    bars: Option<Vec<ProgressBar>>,
    shown: Vec<Stage>,
    started: Instant,
    last_log: Instant,
    quiet: bool,
}

impl Display {
    /// A display for this many machines. A `quiet` one shows nothing but steps.
    #[must_use]
    pub fn new(machines: usize, quiet: bool) -> Self {
        let bars = (!quiet && std::io::stderr().is_terminal()).then(|| bars(machines));
        let now = Instant::now();
        Self { bars, shown: vec![Stage::Firmware; machines], started: now, last_log: now, quiet }
    }

    /// Shows how far the machines are.
    pub fn show(&mut self, seats: &[Seat]) {
        match &self.bars {
            Some(bars) => draw(bars, seats),
            None => self.log(seats),
        }
    }

    /// Leaves what was drawn, and ends.
    pub fn finish(&mut self, seats: &[Seat]) {
        self.show(seats);
        for bar in self.bars.iter().flatten() {
            bar.abandon();
        }
    }

    fn log(&mut self, seats: &[Seat]) {
        let time = self.started.elapsed().as_secs();
        for (seat, shown) in seats.iter().zip(&mut self.shown) {
            if seat.stage > *shown {
                *shown = seat.stage;
                println!("{time:>5} s  {:<16} {}", seat.machine.hardware.name, seat.stage.name());
            }
        }
        if !self.quiet && self.last_log.elapsed() >= LOG_INTERVAL {
            self.last_log = Instant::now();
            let all: Vec<String> =
                seats.iter().map(|seat| format!("{}: {}", seat.machine.hardware.name, words(seat))).collect();
            println!("{time:>5} s  {}", all.join("; "));
        }
    }
}

fn bars(machines: usize) -> Vec<ProgressBar> {
    let all = MultiProgress::new();
    // Without a template that it can read, indicatif's own will do.
    let style = ProgressStyle::with_template("{prefix:<16} [{bar:24}] {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    (0..machines).map(|_| all.add(ProgressBar::new(1).with_style(style.clone()))).collect()
}

fn draw(bars: &[ProgressBar], seats: &[Seat]) {
    for (bar, seat) in bars.iter().zip(seats) {
        bar.set_length(seat.progress.total_bytes.max(1));
        bar.set_position(seat.progress.done_bytes);
        bar.set_prefix(seat.machine.hardware.name.clone());
        bar.set_message(format!("{} ({} s)", words(seat), seat.timeline.age().as_secs()));
    }
}

fn words(seat: &Seat) -> String {
    if let Some(failure) = &seat.failure {
        return format!("FAILED: {failure}");
    }
    if seat.stage != Stage::Receiving || seat.progress.total_bytes == 0 {
        return seat.stage.name().to_owned();
    }
    let percent = 100 * seat.progress.done_bytes / seat.progress.total_bytes;
    let rate = seat.progress.down_bytes_per_s as f64 / 1e6;
    format!("receiving, {percent} %, {rate:.1} MB/s")
}
