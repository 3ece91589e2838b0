//! Sizes and durations as people write them.

use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 15] = [
    ("", 1),
    ("B", 1),
    ("K", 1000),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("T", 1_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];

/// Reads a size in bytes: `100G` and `100GB` are 100 * 10^9 as disks are sold, `8GiB` is 8 * 2^30,
/// a plain number is bytes; a fraction (`1.5TiB`) is fine.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let refuse =
        || format!("{text:?} is not a size: write a number and one of B, K, M, G, T, KiB, MiB, GiB, TiB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let factor = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(refuse)?.1;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(refuse);
    }
    let value = number.parse::<f64>().map_err(|_| refuse())? * factor as f64;
    // 2^63 is far above every disk and still exact enough for a float.
    if value.is_finite() && value < 9.2e18 { Ok(value.round() as u64) } else { Err(refuse()) }
}

/// Prints a size so that [`parse_size`] reads exactly the same number.
#[must_use]
pub fn print_size(bytes: u64) -> String {
    for unit in ["TB", "TiB", "GB", "GiB", "MB", "MiB", "KB", "KiB"] {
        let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map_or(1, |u| u.1);
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// Prints a size for people, rounded: `8.0 GiB`.
#[must_use]
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    // What would be rounded to 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Reads a duration: `90s`, `15m`, `1h30m`, `2d`, `0`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let refuse = || format!("{text:?} is not a duration: write for example 90s, 15m, 1h30m or 2d");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
        let factor = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86400,
            _ => return Err(refuse()),
        };
        total = number.checked_mul(factor).and_then(|n| total.checked_add(n)).ok_or_else(refuse)?;
        rest = &rest[digits + 1..];
    }
    // A hundred years: longer is a slip of the pen, and would overflow clocks.
    if text.is_empty() || total > 100 * 366 * 86400 { Err(refuse()) } else { Ok(Duration::from_secs(total)) }
}

/// Prints whole seconds so that [`parse_duration`] reads the same.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let mut out = String::new();
    let mut rest = seconds;
    for (unit, factor) in [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= factor {
            out += &format!("{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("100G", 100_000_000_000),
            ("8GiB", 8 << 30),
            ("8 gib", 8 << 30),
            ("1.5TiB", (3 << 40) / 2),
            ("512", 512),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1G", "1X", "1e3", "99999999999T", "1.2.3G", "ä"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 << 10, "1.5 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (8 << 30, "8.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(human_size(size), text);
        }
    }

    #[test]
    fn durations_as_people_write_them() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("0", 0), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "15", "m", "1x", "-1s", "1.5h", "99999999999d", "ä", "1ä"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(bytes: u64, seconds in 0u64..3_000_000_000) {
            prop_assert_eq!(parse_size(&print_size(bytes)), Ok(bytes));
            let d = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&print_duration(d)), Ok(d));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}") {
            let _ = parse_size(&text);
            let _ = parse_duration(&text);
        }
    }
}
