//! The table at the end.

use super::seat::Seat;
use super::timeline::Step;
use std::time::Duration;

/// One row a machine: the seconds that each step took, and all of them; then where its bytes came from.
#[must_use]
pub fn table(seats: &[Seat]) -> String {
    let mut rows = vec![head()];
    rows.extend(seats.iter().map(row));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            let padded = if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(&padded);
            text.push_str("  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn head() -> Vec<String> {
    let steps = Step::ALL.map(Step::name);
    let names = [&["seconds"], steps.as_slice(), &["in all", "from server", "from peers"]].concat();
    names.into_iter().map(str::to_owned).collect()
}

fn row(seat: &Seat) -> Vec<String> {
    let timeline = &seat.timeline;
    let mut cells = vec![seat.machine.hardware.name.clone()];
    cells.extend(Step::ALL.map(|step| seconds(timeline.spent(step))));
    cells.push(seconds(timeline.ended(Step::Running)));
    cells.extend([seat.progress.from_server_bytes, seat.progress.from_peers_bytes].map(mebibytes));
    cells
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}
