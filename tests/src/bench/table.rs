//! Results as tables: Markdown, aligned, so that they read well on a terminal and in the README.

use super::case::Case;
use super::loopback::Transfer;
use super::results::Results;
use super::trial::Trial;

/// Lines up cells in columns, the first row being the head.
#[must_use]
pub fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        out.extend(std::iter::once("|".to_owned()).chain(cells).chain(std::iter::once("\n".to_owned())));
        if number == 0 {
            let rules = widths.iter().map(|width| format!(" {} |", "-".repeat(*width)));
            out.extend(std::iter::once("|".to_owned()).chain(rules).chain(std::iter::once("\n".to_owned())));
        }
    }
    out
}

fn times(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

/// One line of the table of trials.
#[must_use]
pub fn trial_row(trial: &Trial) -> Vec<String> {
    vec![
        trial.case.clone(),
        trial.system.clone(),
        times(trial.last),
        times(trial.median),
        format!("{:.2}", trial.server_copies),
        format!("{}/{}", trial.done, trial.healthy),
        trial.intact.to_string(),
        format!("{:.0} %", trial.cpu_busy * 100.0),
        format!("{:.1}", trial.client_cpu_seconds),
        format!("{:.0}", trial.client_peak_mib),
        notes(trial),
    ]
}

fn notes(trial: &Trial) -> String {
    let lies = trial.lies_copies.map(|copies| format!("lies taken: {copies:.2} S"));
    let written = trial.written.map(|written| written.to_string());
    lies.into_iter().chain(written).collect::<Vec<_>>().join("; ")
}

/// Head of the table of trials.
#[must_use]
pub fn trial_head() -> Vec<String> {
    let head =
        ["case", "system", "last S/B", "median", "server S", "done", "intact", "CPU", "client s", "MiB", ""];
    head.map(str::to_owned).into()
}

/// The table of transfers over loopback, and under it where the time of ours went.
#[must_use]
pub fn loopback(transfers: &[Transfer]) -> String {
    let head = ["from process to process", "MiB", "seconds", "GB/s", "core seconds", "receiver's MiB"];
    let row = |t: &Transfer| {
        let seconds = format!("{:.2}", t.seconds);
        let rest = [
            format!("{:.2}", t.gb_per_s),
            format!("{:.2}", t.core_seconds),
            format!("{:.0}", t.receiver_peak_mib),
        ];
        [&[t.system.clone(), t.mib.to_string(), seconds][..], &rest].concat()
    };
    let rows = std::iter::once(head.map(str::to_owned).into()).chain(transfers.iter().map(row));
    let mut out = markdown(&rows.collect::<Vec<_>>());
    for transfer in transfers.iter().filter(|t| t.system == "ezio") {
        out.push('\n');
        out.push_str(&threads(transfer));
        out.extend(transfer.written.map(|written| format!("\nIts target: {written}\n")));
    }
    out
}

fn threads(transfer: &Transfer) -> String {
    let head = ["threads of ezio", "in the program", "in the kernel", "GB a core second"].map(str::to_owned);
    let bytes = (transfer.mib << 20) as f64;
    let row = |(name, (user, system)): (&String, &(f64, f64))| {
        let rate = format!("{:.1}", bytes / 1e9 / (user + system));
        vec![name.clone(), format!("{user:.2} s"), format!("{system:.2} s"), rate]
    };
    let busy = transfer.threads.iter().filter(|(_, (user, system))| user + system > 0.0);
    markdown(&std::iter::once(head.into()).chain(busy.map(row)).collect::<Vec<_>>())
}

/// Worst of the runs of one system in one case.
fn worst<'a>(results: &'a Results, case: &str, system: &str) -> Option<&'a Trial> {
    let runs = results.rooms.iter().filter(|trial| trial.case == case && trial.system == system);
    runs.max_by(|a, b| a.last.unwrap_or(f64::MAX).total_cmp(&b.last.unwrap_or(f64::MAX)))
}

/// The table of the README: a line a case, a column a system, the last machine in S/B (worst run).
#[must_use]
pub fn summary(results: &Results, cases: &[Case], systems: &[&str]) -> String {
    let mut head = vec!["case".to_owned(), "links".to_owned(), "image".to_owned(), "goal".to_owned()];
    head.extend(systems.iter().map(|system| (*system).to_owned()));
    head.push("ezio's server sent".to_owned());
    let cell = |case: &Case, system: &str| {
        let Some(trial) = worst(results, case.name, system) else { return String::new() };
        let unfinished = || format!("{} of {} done", trial.done, trial.healthy);
        trial.last.map_or_else(unfinished, |last| format!("{last:.2}"))
    };
    let mut rows = vec![head];
    for case in cases {
        let Some(trial) = results.rooms.iter().find(|trial| trial.case == case.name) else { continue };
        // The quick rooms share names with the full ones, but neither size nor goal.
        let is_this_room = trial.members == case.members && trial.mib == case.mib;
        let title = if is_this_room { case.title.to_owned() } else { format!("{} (quick)", case.name) };
        let goal = if is_this_room { format!("{:.2}", case.goal) } else { String::new() };
        let (links, image) = (format!("{} Mbit/s", trial.mbit), format!("{} MiB", trial.mib));
        let mut row = vec![title, links, image, goal];
        row.extend(systems.iter().map(|system| cell(case, system)));
        let sent = worst(results, case.name, "ezio").map(|trial| format!("{:.2} S", trial.server_copies));
        row.push(sent.unwrap_or_default());
        rows.push(row);
    }
    markdown(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "long head"], ["wide cell", "b"]].map(|row| row.map(str::to_owned).to_vec());
        let table = markdown(&rows);
        assert_eq!(
            table,
            "| a         | long head |\n| --------- | --------- |\n| wide cell | b         |\n"
        );
    }
}
