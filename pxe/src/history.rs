//! The history as tables: for people, and for programs that calculate.

use std::fmt::Write as _;

use ezio_image::conf::units::human_size;

use crate::clock::rfc3339;
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
            rfc3339(d.started),
            rfc3339(d.ended),
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
            rfc3339(d.ended),
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
}
