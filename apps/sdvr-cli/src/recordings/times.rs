//! Times as people write them. All are UTC, as the names of the files are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sdvr_record::UtcTime;

/// What every help of times says.
pub(super) const HELP: &str = "\
T is a time in UTC:
  2026-11-23T14:05:00Z      also without seconds, without Z, with a space instead of T, with parts of a second
  2026-11-23                a day: from its beginning, to its end
  14:05, 14:05:30           today
  -90m, '2h 30m ago'        before now: d, h, m, s
  now";

const DAY: Duration = Duration::from_hours(24);

/// A time as it was written: what a day or `now` is depends on when and for what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    At(SystemTime),
    /// A day, by its beginning.
    Day(SystemTime),
    /// So long after midnight.
    Today(Duration),
    /// So long before now.
    Ago(Duration),
}

impl Time {
    /// As the beginning of a range.
    pub(super) fn from(self, now: SystemTime) -> UtcTime {
        match self {
            Self::At(time) | Self::Day(time) => nanoseconds(time),
            Self::Today(time) => {
                let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                let midnight = since_epoch.as_secs() / DAY.as_secs() * DAY.as_secs();
                nanoseconds(UNIX_EPOCH + Duration::from_secs(midnight) + time)
            }
            Self::Ago(time) => nanoseconds(now.checked_sub(time).unwrap_or(UNIX_EPOCH)),
        }
    }

    /// As the end of a range.
    pub(super) fn to(self, now: SystemTime) -> UtcTime {
        match self {
            Self::Day(_) => {
                let begin = self.from(now);
                let day = i64::try_from(DAY.as_nanos()).unwrap_or(i64::MAX);
                UtcTime(begin.0.saturating_add(day).saturating_sub(1))
            }
            _ => self.from(now),
        }
    }
}

fn nanoseconds(time: SystemTime) -> UtcTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcTime(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

pub(super) fn parse(text: &str) -> Result<Time, String> {
    read(text).ok_or_else(|| {
        "use a time in UTC such as 2026-11-23T14:05:00Z, 2026-11-23, 14:05, -90m or now".to_owned()
    })
}

fn read(text: &str) -> Option<Time> {
    let text = text.trim();
    if text == "now" {
        return Some(Time::Ago(Duration::ZERO));
    }
    let ago = text.strip_prefix('-').or_else(|| text.strip_suffix("ago"));
    if let Some(ago) = ago {
        return humantime::parse_duration(ago.trim()).ok().map(Time::Ago);
    }
    let midnight = |day: &str| humantime::parse_rfc3339_weak(&format!("{day} 00:00:00")).ok();
    let (day, time) = match text.split_once(['T', 't', ' ']) {
        Some((day, time)) => (Some(midnight(day)?), time),
        None if text.contains(':') => (None, text),
        None => return midnight(text).map(Time::Day),
    };
    let time = time_of_day(time.strip_suffix(['Z', 'z']).unwrap_or(time))?;
    Some(day.map_or(Time::Today(time), |day| Time::At(day + time)))
}

/// `14:05`, `14:05:30`, `14:05:30.25`.
fn time_of_day(text: &str) -> Option<Duration> {
    let text = match text.len() {
        5 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let time = humantime::parse_rfc3339(&format!("1970-01-01T{text}Z")).ok()?;
    time.duration_since(UNIX_EPOCH)
        .ok()
        .filter(|time| *time < DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;
    /// 2026-11-23T14:05:00Z.
    const NOON: i64 = 1_795_442_700 * S;

    fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-11-23T20:00:00Z").unwrap()
    }

    #[track_caller]
    fn check(text: &str, from: i64, to: i64) {
        let time = parse(text).unwrap();
        assert_eq!((time.from(now()).0, time.to(now()).0), (from, to), "{text}");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for text in [
            "2026-11-23T14:05:00Z",
            "2026-11-23 14:05",
            "2026-11-23T14:05:00",
            "14:05",
            "14:05:00",
            "-5h 55m",
            "5h55m ago",
            "-21300s",
        ] {
            check(text, NOON, NOON);
        }
        check("2026-11-23T14:05:00.25Z", NOON + S / 4, NOON + S / 4);
        check("now", NOON + 21_300 * S, NOON + 21_300 * S);
        let midnight = NOON - (14 * 3600 + 5 * 60) * S;
        check("2026-11-23", midnight, midnight + 86_400 * S - 1);
        check(
            "-9000d",
            NOON + 21_300 * S - 9000 * 86_400 * S,
            NOON + 21_300 * S - 9000 * 86_400 * S,
        );
        check("-90000d", 0, 0);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "ago",
            "14",
            "25:00",
            "14:60",
            "14:05:61x",
            "2026-13-01",
            "2026-11-23T",
            "2026-02-30",
            "yesterday",
            "2026-11-23T14:05+01:00",
            "1h",
            "T14:05",
            "9999999-01-01",
        ] {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
    }
}
