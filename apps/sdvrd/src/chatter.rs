//! How much one camera may have written into the log: one that comes and goes a hundred times a second must not fill the disk.

use sdvr_frame::{Allowance, Timestamp};

/// Lines at once, and a second afterwards.
const LINES_BURST: f64 = 30.0;
const LINES_PER_SECOND: f64 = 0.2;

/// One camera's part of the log.
#[derive(Debug)]
pub(crate) struct Chatter {
    lines: Allowance,
    left_out: u64,
}

impl Chatter {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            lines: Allowance::new(now, LINES_BURST, LINES_PER_SECOND),
            left_out: 0,
        }
    }

    /// Whether one more line may be written.
    pub(crate) fn may_say(&mut self, now: Timestamp) -> bool {
        let may = self.lines.take(now);
        if !may {
            self.left_out += 1;
        } else if self.left_out > 0 {
            tracing::warn!(
                lines = self.left_out,
                "lines about the next camera were left out, there were so many"
            );
            self.left_out = 0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_flaps_gets_twelve_lines_a_minute() {
        let start = Timestamp::from_nanoseconds(0);
        let mut chatter = Chatter::new(start);
        let lines = |chatter: &mut Chatter, at| (0..1000).filter(|_| chatter.may_say(at)).count();
        assert_eq!(lines(&mut chatter, start), 30);
        let minute = start + std::time::Duration::from_secs(60);
        assert_eq!(lines(&mut chatter, minute), 12);
    }
}
