//! Two files of results side by side.

use std::collections::BTreeSet;

use super::results::Results;
use super::table::markdown;

/// A change of less than this share is noise between two runs.
const NOISE: f64 = 0.02;

fn medians(results: &Results, case: &str, system: &str) -> Option<(f64, f64)> {
    let runs = || results.rooms.iter().filter(|trial| trial.case == case && trial.system == system);
    // A run in which somebody never finished is worse than any that ended.
    let last = median(runs().map(|trial| trial.last.unwrap_or(f64::INFINITY)).collect())?;
    Some((last, median(runs().map(|trial| trial.server_copies).collect())?))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn verdict(before: f64, after: f64) -> &'static str {
    if after > before * (1.0 + NOISE) {
        "worse"
    } else if after < before * (1.0 - NOISE) {
        "better"
    } else {
        "same"
    }
}

fn show(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "not all done".to_owned() }
}

/// A table of what changed, by the median of the runs of each, and whether anything got worse.
#[must_use]
pub fn compare(before: &Results, after: &Results) -> (String, bool) {
    let keys = |results: &Results| -> BTreeSet<(String, String)> {
        results.rooms.iter().map(|trial| (trial.case.clone(), trial.system.clone())).collect()
    };
    let head = ["case", "system", "last S/B before", "after", "", "server S before", "after"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut worse = false;
    for (case, system) in keys(before).intersection(&keys(after)) {
        let (Some(old), Some(new)) = (medians(before, case, system), medians(after, case, system)) else {
            continue;
        };
        let verdict = verdict(old.0, new.0);
        worse |= verdict == "worse";
        let cells = [case, system, &show(old.0), &show(new.0), verdict, &show(old.1), &show(new.1)];
        rows.push(cells.map(str::to_owned).to_vec());
    }
    (markdown(&rows), worse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::trial::Trial;

    fn results(last: &[Option<f64>]) -> Results {
        let trial = |last: &Option<f64>| -> Trial {
            let text = serde_json::json!({
                "case": "room", "system": "ezio", "members": 1, "healthy": 1, "done": 1, "intact": 1,
                "mbit": 1.0, "mib": 1, "ideal_seconds": 1.0, "last": last, "median": last,
                "server_copies": 1.0, "cpu_busy": 0.0, "client_peak_mib": 1.0, "client_cpu_seconds": 0.0,
            });
            serde_json::from_value(text).unwrap()
        };
        Results { rooms: last.iter().map(trial).collect(), ..Results::default() }
    }

    #[test]
    fn the_median_decides_and_noise_does_not_count() {
        let before = results(&[Some(1.05), Some(1.04), Some(9.0)]);
        assert!(!compare(&before, &results(&[Some(1.06)])).1);
        assert!(compare(&before, &results(&[Some(1.10)])).1);
    }

    #[test]
    fn never_done_is_worse_than_late() {
        assert!(compare(&results(&[Some(3.0)]), &results(&[None])).1);
        assert!(!compare(&results(&[None]), &results(&[Some(3.0)])).1);
    }
}
