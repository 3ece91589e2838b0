//! The time, as the database and the interface have it: seconds since 1970, with a fraction.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that RFC 3339 can write: of the year 9999.
const LAST: f64 = 253_402_300_799.0;

pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// RFC 3339, in UTC.
pub(crate) fn rfc3339(seconds: f64) -> String {
    // What no clock says is the beginning of time.
    let since = Duration::try_from_secs_f64(seconds.min(LAST)).unwrap_or_default();
    let time = SystemTime::checked_add(&UNIX_EPOCH, since).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(rfc3339(1_763_700_000.5), "2025-11-21T04:40:00Z");
        assert_eq!(rfc3339(-1.0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1e300), "9999-12-31T23:59:59Z");
    }
}
