//! The history as tables: for people, and for programs that calculate.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ezio_image::conf::units::human_size;

use crate::fleet::Deployment;

const COLUMNS: &str = "number,machine,run,image,disks,started,ended,seconds,outcome,done_bytes,from_server_bytes,from_peers_bytes,\
                       proved,failed_step,error";

/// A table as RFC 4180 has it.
pub(crate) fn csv(deployments: &[Deployment]) -> String {
    let mut out = format!("{COLUMNS}\r\n");
    for d in deployments {
        let text = |text: &Option<String>| field(text.as_deref().unwrap_or_default());
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{},{},{},{},{},{},{},{:.1},{},{},{},{},{},{},{}\r\n",
            d.number,
            field(&d.machine),
            field(&d.run),
            text(&d.image),
            field(&d.disks.join("; ")),
            time(d.started),
            time(d.ended),
            (d.ended - d.started).max(0.0),
            d.outcome.as_str(),
            d.done_bytes,
            d.from_server_bytes,
            d.from_peers_bytes,
            d.proved,
            text(&d.failed_step),
            text(&d.error)
        );
    }
    out
}

/// Texts come from machines: what a spreadsheet would calculate is made text for it.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format!("{}{text}", if formula { "'" } else { "" });
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// The last second that RFC 3339 can write: of the year 9999.
const LAST: f64 = 253_402_300_799.0;

/// RFC 3339, in UTC.
fn time(seconds: f64) -> String {
    // What no clock says is the beginning of time.
    let since = Duration::try_from_secs_f64(seconds.min(LAST)).unwrap_or_default();
    let time = SystemTime::checked_add(&UNIX_EPOCH, since).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// For people.
pub(crate) fn print(deployments: &[Deployment]) -> String {
    let mut out = String::new();
    for d in deployments {
        let image = d.image.as_deref().unwrap_or("no image");
        let proved = if d.proved { ", proved" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{}  {}  {}  {}{proved}, {} in {:.0} s",
            time(d.ended),
            d.machine,
            image,
            d.outcome.as_str(),
            human_size(d.done_bytes),
            (d.ended - d.started).max(0.0)
        );
        if let Some(error) = &d.error {
            let _ = write!(out, ": {}: {error}", d.failed_step.as_deref().unwrap_or_default());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_no_formulas() {
        for (text, written) in [
            ("plain", "plain"),
            ("a, b", "\"a, b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(field(text), written);
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_763_700_000.5), "2025-11-21T04:40:00Z");
        assert_eq!(time(-1.0), "1970-01-01T00:00:00Z");
    }
}
