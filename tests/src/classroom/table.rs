//! The table at the end.

use super::seat::Seat;
use std::time::Duration;

const HEAD: [&str; 9] = [
    "machine",
    "firmware",
    "init",
    "first byte",
    "last byte",
    "verified",
    "running",
    "from server",
    "from peers",
];

/// One row a machine; times since power-on.
#[must_use]
pub fn table(seats: &[Seat]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(seats.iter().map(row));
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            let padded = if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(&padded);
            text.push_str("  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn row(seat: &Seat) -> Vec<String> {
    let times = &seat.times;
    let mut cells = vec![seat.machine.hardware.name.clone(), seat.machine.hardware.firmware.to_string()];
    cells.extend([times.init, times.first_byte, times.last_byte, times.verified, times.running].map(seconds));
    cells.extend([seat.progress.from_server_bytes, seat.progress.from_peers_bytes].map(mebibytes));
    cells
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}
