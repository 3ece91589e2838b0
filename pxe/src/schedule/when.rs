//! Times at which something is to be done: once, or again and again, by the clock on the wall.

use std::str::FromStr;

use chrono::{DateTime, Local, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use croner::Cron;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Once, or again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum When {
    /// Seconds since 1970.
    At(f64),
    /// Minute, hour, day of the month, month, day of the week, in the server's zone: `0 3 * * MON-FRI`.
    Cron(String),
}

impl When {
    /// `2026-12-01 03:00` and `03:00` in the server's zone (the next such time), or a time with its own zone as RFC 3339 has it.
    pub(crate) fn at(text: &str) -> Result<Self, String> {
        once(text.trim(), &Local::now()).map(|time| Self::At(seconds(&time)))
    }

    /// A cron expression of five fields.
    pub(crate) fn cron(text: &str) -> Result<Self, String> {
        let cron = parse(text)?;
        match cron.find_next_occurrence(&Local::now(), false) {
            Ok(_) => Ok(Self::Cron(text.trim().to_owned())),
            Err(_) => Err(format!("{text:?}: this never happens")),
        }
    }

    /// The first time after `after` (seconds since 1970); none, if there is none.
    pub(crate) fn next(&self, after: f64) -> Option<f64> {
        match self {
            Self::At(time) => (*time > after).then_some(*time),
            Self::Cron(text) => next_of(text, &Local.timestamp_opt(after as i64, 0).single()?),
        }
    }
}

fn parse(text: &str) -> Result<Cron, String> {
    let fields = text.split_whitespace().count();
    if fields != 5 && !text.trim().starts_with('@') {
        return Err(format!(
            "{text:?} has {fields} fields: write minute, hour, day, month and day of the week, as in \"0 3 * * MON-FRI\""
        ));
    }
    Cron::from_str(text.trim()).map_err(|e| format!("{text:?}: {e}"))
}

fn next_of<Z: TimeZone>(text: &str, after: &DateTime<Z>) -> Option<f64> {
    Some(seconds(&parse(text).ok()?.find_next_occurrence(after, false).ok()?))
}

fn seconds<Z: TimeZone>(time: &DateTime<Z>) -> f64 {
    time.timestamp() as f64
}

fn once<Z: TimeZone>(text: &str, now: &DateTime<Z>) -> Result<DateTime<Z>, String> {
    let zone = now.timezone();
    let time = if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        time.with_timezone(&zone)
    } else if let Some(time) =
        ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"].iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok())
    {
        on_the_wall(&zone, time)
    } else if let Ok(time) = NaiveTime::parse_from_str(text, "%H:%M") {
        let today = now.date_naive().and_time(time);
        let times = (0..=1).map(|days| on_the_wall(&zone, today + TimeDelta::days(days)));
        times.clone().find(|time| time > now).or(times.last()).unwrap_or_else(|| now.clone())
    } else {
        return Err(format!(
            "{text:?} is no time: write \"2026-12-01 03:00\", \"03:00\", or as RFC 3339 has it"
        ));
    };
    if time > *now { Ok(time) } else { Err(format!("{text:?} is over")) }
}

/// When a clock in this zone shows this: the first time, where it does so twice; where it never does, as if it had not been put
/// forward.
fn on_the_wall<Z: TimeZone>(zone: &Z, shown: NaiveDateTime) -> DateTime<Z> {
    match zone.from_local_datetime(&shown) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time,
        LocalResult::None => {
            let before = shown - TimeDelta::hours(3);
            match zone.from_local_datetime(&before) {
                LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time + TimeDelta::hours(3),
                LocalResult::None => zone.from_utc_datetime(&shown),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Europe::Berlin;

    use super::*;

    fn berlin(text: &str) -> DateTime<chrono_tz::Tz> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Berlin)
    }

    /// The following times of an expression.
    fn times(cron: &str, after: &str, count: usize) -> Vec<String> {
        let mut after = berlin(after);
        let mut next = || {
            after = Berlin.timestamp_opt(next_of(cron, &after).unwrap() as i64, 0).unwrap();
            after.to_rfc3339()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn nightly_is_once_a_night_when_the_clock_is_put_back() {
        assert_eq!(
            times("0 3 * * *", "2026-10-24T12:00:00+02:00", 2),
            ["2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"]
        );
        assert_eq!(
            times("30 2 * * *", "2026-10-24T12:00:00+02:00", 2),
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
            "half past two comes twice, and it is done once"
        );
    }

    #[test]
    fn nightly_is_not_left_out_when_the_clock_is_put_forward() {
        let nights = times("30 2 * * *", "2026-03-28T12:00:00+01:00", 2);
        assert_eq!(nights, ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]);
        assert_eq!(times("0 4 * * SUN", "2026-03-28T12:00:00+01:00", 1), ["2026-03-29T04:00:00+02:00"]);
    }

    #[test]
    fn a_time_is_read_as_people_write_it() {
        let now = berlin("2026-11-29T18:30:00+01:00");
        let read = |text: &str| once(text, &now).map(|time| time.to_rfc3339());
        assert_eq!(read("2026-12-01 03:00").unwrap(), "2026-12-01T03:00:00+01:00");
        assert_eq!(read("2026-12-01T03:00:00Z").unwrap(), "2026-12-01T04:00:00+01:00");
        assert_eq!(read("03:00").unwrap(), "2026-11-30T03:00:00+01:00");
        assert_eq!(read("19:00").unwrap(), "2026-11-29T19:00:00+01:00");
        assert_eq!(read("2027-03-28 02:30").unwrap(), "2027-03-28T03:30:00+02:00", "there is no such time");
        assert!(read("2026-11-29 18:00").unwrap_err().contains("is over"));
        assert!(read("tomorrow").unwrap_err().contains("write"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "* * *", "61 3 * * *", "0 3 * * XYZ", "0 0 3 * * *"] {
            assert!(When::cron(text).is_err(), "{text}");
        }
        assert!(When::cron("0 3 31 2 *").unwrap_err().contains("never"));
        assert!(When::cron("0 3 * * MON-FRI").is_ok());
    }
}
