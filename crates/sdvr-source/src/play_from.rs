//! Where in a recording playing begins, and when it was recorded.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sdvr_frame::Timestamp;

const NS_PER_S: i64 = 1_000_000_000;
const CLOCK_READINGS: usize = 8;
/// Dates in names of files and in logs are whole seconds, and one of the same second is the beginning.
const BEFORE_MOST_NS: i64 = NS_PER_S;

/// Where playing a recording begins (`--from`).
///
/// ```
/// use std::time::Duration;
/// use sdvr_source::PlayFrom;
///
/// assert_eq!("1m30s".parse(), Ok(PlayFrom::Offset(Duration::from_secs(90))));
/// assert_eq!("1:30".parse(), Ok(PlayFrom::Offset(Duration::from_secs(90))));
/// assert!(matches!("2026-11-23T14:05:00Z".parse(), Ok(PlayFrom::Date(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayFrom {
    /// So long after its first frame.
    Offset(Duration),
    /// When it was this date, where it was recorded.
    Date(SystemTime),
}

/// Why a text is no place in a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no place in a recording; say how far from its beginning, as 90s, 1m30s, 1:30 or 00:01:30, or when, as 2026-11-23T14:05:00Z (UTC)"
)]
pub struct ParsePlayFromError(String);

/// Whose times frames of a recording have (`--times`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureTimes {
    /// When they are played: a recording plays the camera now.
    #[default]
    Now,
    /// When they were recorded, however long ago that is.
    Recorded,
}

/// Why a recording cannot be played from there, or at its own times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlayFromError {
    /// It has fewer frames.
    #[error("it is {} long; there is nothing at {asked} (--from)", Length(*.length_ns))]
    BehindEnd {
        /// From its first frame to the end of its last.
        length_ns: i64,
        /// As an offset, or a date.
        asked: String,
    },
    /// Its beginning is later.
    #[error("it begins at {begins}, which is behind {asked} (--from)")]
    BeforeBeginning {
        /// A date.
        begins: String,
        /// A date.
        asked: String,
    },
    /// Nothing in it is a date.
    #[error("it does not say when it was recorded; {0}")]
    NoDate(&'static str),
}

impl PlayFrom {
    /// The time in a file whose first frame has the time `first_ns` in it, and was recorded `date_ns` after 1970.
    pub(crate) fn resolve(self, first_ns: i64, date_ns: Option<i64>) -> Result<i64, PlayFromError> {
        let date = match self {
            Self::Offset(offset) => {
                return Ok(first_ns.saturating_add(nanoseconds(offset)));
            }
            Self::Date(date) => date,
        };
        let begins = date_ns.ok_or(PlayFromError::NoDate(
            "say with --from how far from its beginning, as 1m30s",
        ))?;
        let offset = since_epoch(date).saturating_sub(begins);
        if offset <= -BEFORE_MOST_NS {
            return Err(PlayFromError::BeforeBeginning {
                begins: Date(begins).to_string(),
                asked: self.to_string(),
            });
        }
        Ok(first_ns.saturating_add(offset.max(0)))
    }

    /// The error of a recording that ends before it.
    pub(crate) fn behind_end(self, length_ns: i64) -> PlayFromError {
        PlayFromError::BehindEnd {
            length_ns,
            asked: self.to_string(),
        }
    }
}

impl FromStr for PlayFrom {
    type Err = ParsePlayFromError;

    fn from_str(text: &str) -> Result<Self, ParsePlayFromError> {
        let wrong = || ParsePlayFromError(text.to_owned());
        let is_date = text.get(4..5) == Some("-");
        if is_date {
            return humantime::parse_rfc3339_weak(text)
                .map(Self::Date)
                .map_err(|_| wrong());
        }
        let offset = match text.contains(':') {
            true => clock_time(text),
            // A number alone is one of seconds.
            false => match text.parse::<f64>() {
                Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
                Err(_) => humantime::parse_duration(text).ok(),
            },
        };
        offset.map(Self::Offset).ok_or_else(wrong)
    }
}

impl fmt::Display for PlayFrom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(offset) => Length(nanoseconds(*offset)).fmt(formatter),
            Self::Date(date) => Date(since_epoch(*date)).fmt(formatter),
        }
    }
}

/// `1:30` or `00:01:30.5`.
fn clock_time(text: &str) -> Option<Duration> {
    let mut parts = text.rsplit(':');
    let seconds = parts.next()?;
    let is_plain = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let seconds: f64 = seconds.parse().ok().filter(|_| is_plain(seconds))?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let hours: u64 = parts.next().map_or(Some(0), |hours| hours.parse().ok())?;
    if parts.next().is_some() || seconds >= 60.0 {
        return None;
    }
    let whole = hours.checked_mul(60)?.checked_add(minutes)?;
    Duration::try_from_secs_f64(seconds)
        .ok()?
        .checked_add(Duration::from_secs(whole.checked_mul(60)?))
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970, negative before.
fn since_epoch(date: SystemTime) -> i64 {
    match date.duration_since(UNIX_EPOCH) {
        Ok(since) => nanoseconds(since),
        Err(error) => nanoseconds(error.duration()).saturating_neg(),
    }
}

/// A date as RFC 3339 has it, in nanoseconds since 1970.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    humantime::parse_rfc3339(text).ok().map(since_epoch)
}

/// What this host's clock would have shown at a date, in nanoseconds since 1970: mostly before it began to count.
pub(crate) fn on_this_clock(date_ns: i64) -> Timestamp {
    // Of a few tries, the one in which the least came between the readings of the two clocks.
    let readings = (0..CLOCK_READINGS).map(|_| {
        let before = Timestamp::now();
        let date = since_epoch(SystemTime::now());
        let between = Timestamp::now().nanoseconds_since(before);
        (between, date.saturating_sub(before.as_nanoseconds()))
    });
    let offset = readings.min().map_or(0, |(_, offset)| offset);
    Timestamp::from_nanoseconds(date_ns.saturating_sub(offset))
}

/// Hours, minutes and seconds.
struct Length(i64);

impl fmt::Display for Length {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.max(0) / 1_000_000;
        let (seconds, ms) = (ms / 1000, ms % 1000);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        write!(formatter, "{hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
    }
}

/// Nanoseconds since 1970, as a date.
struct Date(i64);

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = Duration::from_nanos(u64::try_from(self.0).unwrap_or(0));
        humantime::format_rfc3339_millis(UNIX_EPOCH + since).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_offsets_or_dates() {
        let offset = |text: &str| match text.parse() {
            Ok(PlayFrom::Offset(offset)) => Some(offset.as_millis()),
            _ => None,
        };
        for (text, ms) in [
            ("0", 0),
            ("90", 90_000),
            ("90s", 90_000),
            ("1.5", 1500),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("1:30", 90_000),
            ("90:00", 5_400_000),
            ("00:01:30.25", 90_250),
            ("27:00:00", 97_200_000),
        ] {
            assert_eq!(offset(text), Some(ms), "{text}");
        }
        let date = UNIX_EPOCH + Duration::from_millis(1_795_442_700_500);
        for text in ["2026-11-23T14:05:00.5Z", "2026-11-23 14:05:00.5"] {
            assert_eq!(text.parse(), Ok(PlayFrom::Date(date)), "{text}");
        }
        for wrong in [
            "",
            "x",
            "-1",
            "-1s",
            "1:60",
            "1:2:3:4",
            ":",
            "1:-3",
            "1:nan",
            "nan",
            "inf",
            "1e99",
            "2026-13-01T00:00:00Z",
            "2026-11-23",
            "99999999999999999999:00",
            "0x5",
        ] {
            assert!(wrong.parse::<PlayFrom>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_are_places_where_the_beginning_has_one() {
        let date = |ms| PlayFrom::Date(UNIX_EPOCH + Duration::from_millis(ms));
        const MS: i64 = 1_000_000;
        assert_eq!(date(5000).resolve(7, Some(3000 * MS)), Ok(2000 * MS + 7));
        assert_eq!(date(3000).resolve(7, Some(3999 * MS)), Ok(7));
        let early = date(3000).resolve(7, Some(4000 * MS)).unwrap_err();
        assert_eq!(
            early.to_string(),
            "it begins at 1970-01-01T00:00:04.000Z, which is behind 1970-01-01T00:00:03.000Z (--from)"
        );
        assert!(matches!(
            date(3000).resolve(7, None),
            Err(PlayFromError::NoDate(_))
        ));
        let offset = PlayFrom::Offset(Duration::MAX);
        assert_eq!(offset.resolve(7, None), Ok(i64::MAX));
        assert_eq!(
            PlayFrom::Offset(Duration::from_secs(7200))
                .behind_end(3_600_040 * MS)
                .to_string(),
            "it is 01:00:00.040 long; there is nothing at 02:00:00.000 (--from)"
        );
    }
}
