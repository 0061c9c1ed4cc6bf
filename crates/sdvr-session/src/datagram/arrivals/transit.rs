//! How long frames take at the least: what is later than that is late.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// Over how long the least transit is sought: twice this, in two halves.
const TRANSIT_HALF: Duration = Duration::from_secs(5);

/// The least time from capture to arrival lately, by two clocks: only differences of it mean something.
#[derive(Debug, Default)]
pub(super) struct Transit {
    /// Of the half that goes on, and when it began.
    present: Option<(i64, Timestamp)>,
    /// Of the half before.
    before: Option<i64>,
}

impl Transit {
    /// A frame has begun to arrive; gives the least transit, in nanoseconds.
    pub(super) fn add(&mut self, now: Timestamp, captured: Timestamp) -> i64 {
        let transit = now
            .as_nanoseconds()
            .saturating_sub(captured.as_nanoseconds());
        let (least, began) = match self.present {
            Some((least, began)) if now < began + TRANSIT_HALF => (least.min(transit), began),
            present => {
                self.before = present.map(|(least, _)| least);
                (transit, now)
            }
        };
        self.present = Some((least, began));
        self.before.map_or(least, |before| before.min(least))
    }
}
