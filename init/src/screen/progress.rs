//! How far a transfer is, in words.

use std::fmt::Write as _;
use std::time::Duration;

use ezio_contract::report::Progress;
use ezio_image::conf::units::human_size;

/// Width that fits every text console.
const WIDTH: usize = 79;

/// One line: `write [####....] 50.0% of 1.2 GiB, in 60.0 out 55.0 MiB/s, 37 peers, 0:10 left`.
pub(super) fn progress_line(doing: &str, p: &Progress) -> String {
    with_share(doing, p, &rates(p))
}

/// `in 60.0 out 55.0 MiB/s, 37 peers`.
pub(super) fn rates(p: &Progress) -> String {
    let (unit, name) = unit_of(p.down_bytes_per_s.max(p.up_bytes_per_s));
    let (down, up) = (p.down_bytes_per_s as f64 / unit, p.up_bytes_per_s as f64 / unit);
    format!("in {down:.1} out {up:.1} {name}/s, {} peers", p.peers)
}

/// The same of what is only read here.
pub(super) fn reading_line(doing: &str, p: &Progress) -> String {
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

/// Of a hundred, how much is done.
pub(super) fn percent(p: &Progress) -> f64 {
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

/// At the rate of now; none where nothing comes.
pub(super) fn time_left(p: &Progress) -> Option<Duration> {
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
pub(super) mod tests {
    use super::*;

    pub(in crate::screen) fn half() -> Progress {
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
}
