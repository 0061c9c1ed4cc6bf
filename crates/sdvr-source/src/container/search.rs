//! What every search for a place in a file has in common: which of the samples seen is the one to begin with.

use super::ContainerError;
use crate::play_from::PlayFrom;

/// Of a last frame, where nothing tells how long it is shown.
const INTERVAL_NS: i64 = 40_000_000;

/// What is looked for, and what was found so far.
#[derive(Debug)]
pub(super) struct Sought<Spot> {
    from: PlayFrom,
    /// What is behind this was cut off.
    pub(super) file_bytes: u64,
    found: Option<Found<Spot>>,
}

#[derive(Debug)]
struct Found<Spot> {
    first: i64,
    target: i64,
    /// The latest sample at or before the target, or behind it.
    last: i64,
    /// The sample before, unless some were passed over since.
    previous: Option<i64>,
    /// The least between two that follow each other.
    interval: Option<i64>,
    /// The last key frame at or before the target; the first sample if none was marked as one.
    best: Spot,
    is_passed: bool,
}

impl<Spot: Copy> Sought<Spot> {
    pub(super) const fn new(from: PlayFrom, file_bytes: u64) -> Self {
        Self {
            from,
            file_bytes,
            found: None,
        }
    }

    /// Whether a sample was seen.
    pub(super) const fn has_begun(&self) -> bool {
        self.found.is_some()
    }

    /// The time in the file that is looked for, once the first sample was seen.
    pub(super) fn target(&self) -> Option<i64> {
        self.found.as_ref().map(|found| found.target)
    }

    /// The best spot so far.
    pub(super) fn best(&self) -> Option<Spot> {
        self.found.as_ref().map(|found| found.best)
    }

    /// Takes in a sample: the first one tells where the file's times begin, and `date` when it was recorded. True if it is behind the target.
    pub(super) fn see(
        &mut self,
        time: i64,
        is_key: bool,
        spot: Spot,
        date: impl FnOnce() -> Option<i64>,
    ) -> Result<bool, ContainerError> {
        let found = match &mut self.found {
            Some(found) => found,
            none => none.insert(Found {
                first: time,
                target: self.from.resolve(time, date())?,
                last: time,
                previous: None,
                interval: None,
                best: spot,
                is_passed: false,
            }),
        };
        if time > found.target {
            found.is_passed = true;
            return Ok(true);
        }
        let apart = found.previous.map(|previous| time.saturating_sub(previous));
        if let Some(apart) = apart.filter(|&apart| apart > 0) {
            found.interval = Some(found.interval.map_or(apart, |least| least.min(apart)));
        }
        found.previous = Some(time);
        found.last = found.last.max(time);
        if is_key {
            found.best = spot;
        }
        Ok(false)
    }

    /// Samples are passed over.
    pub(super) fn jump(&mut self) {
        if let Some(found) = &mut self.found {
            found.previous = None;
        }
    }

    /// No more samples come: where to begin, if the target is not behind them.
    pub(super) fn end(&self, length: Option<i64>) -> Result<Spot, ContainerError> {
        let Some(found) = &self.found else {
            return Err(ContainerError::NoSamples);
        };
        let interval = found.interval.unwrap_or(INTERVAL_NS);
        let last_ends = found.last.saturating_add(interval);
        let seen = last_ends.saturating_sub(found.first);
        let length = length.unwrap_or(seen);
        if !found.is_passed && found.target.saturating_sub(found.first) >= length {
            return Err(ContainerError::PlayFrom(self.from.behind_end(length)));
        }
        Ok(found.best)
    }

    /// When the first sample is, in the file.
    pub(super) fn first(&self) -> Option<i64> {
        self.found.as_ref().map(|found| found.first)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Where playing begins from `at`, of key frames (`true`) and others at these times.
    fn found(at: i64, samples: &[(i64, bool)]) -> Result<usize, String> {
        let from = PlayFrom::Offset(Duration::from_nanos(at.unsigned_abs()));
        let mut sought = Sought::new(from, u64::MAX);
        for (index, (time, is_key)) in samples.iter().enumerate() {
            if sought.see(*time, *is_key, index, || None).unwrap() {
                break;
            }
        }
        sought.end(None).map_err(|error| error.to_string())
    }

    #[test]
    fn the_last_key_frame_at_or_before_the_place_is_found() {
        let samples = [
            (100, true),
            (140, false),
            (180, true),
            (220, false),
            (900, true),
            (940, false),
        ];
        for (at, index) in [
            (0, 0),
            (79, 0),
            (80, 2),
            (81, 2),
            (500, 2),
            (799, 2),
            (800, 4),
            (879, 4),
        ] {
            assert_eq!(found(at, &samples), Ok(index), "{at}");
        }
        let error = found(880, &samples).unwrap_err();
        assert!(error.contains("it is 00:00:00.000 long"), "{error}");
        // Frames that are shown before frames that stand before them.
        let samples = [
            (0, true),
            (120, false),
            (40, false),
            (80, false),
            (160, true),
        ];
        assert_eq!(found(160, &samples), Ok(4));
        assert_eq!(found(119, &samples), Ok(0));
        // Without any key frame it begins at the beginning.
        assert_eq!(found(1, &[(0, false), (1, false)]), Ok(0));
        assert!(found(0, &[]).is_err());
    }
}
