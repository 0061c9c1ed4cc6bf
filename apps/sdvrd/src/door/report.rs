//! What the log says of strangers: so many lines a minute, and the others as numbers. Nobody who can connect fills a disk.

use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::Timestamp;
use tracing::info;

use crate::figures::DoorCounters;

/// How often the numbers are said, and the lines begin anew.
const INTERVAL: Duration = Duration::from_secs(60);
/// Lines for all that strangers do, together, in each interval.
const STRANGER_LINES_MOST: u32 = 20;
/// Lines for new cameras and those that wait from now on: as many as may come at once.
const NEW_LINES_MOST: u32 = 1024;
/// Lines for what is wrong here: strangers must not keep an operator from reading them.
const FAULT_LINES_MOST: u32 = 20;

/// What a line would be about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Matter {
    /// A stranger went that had proved no key. Never gets a line of its own.
    Stranger,
    /// One went that had.
    Unfinished,
    /// A camera was refused.
    Refused,
    /// A camera that is known wants another label than it has.
    OtherLabel,
    /// A camera is new.
    New,
    /// A camera waits for approval from now on.
    Waiting,
    /// A camera that is known gets another key.
    NewKey,
    /// There was no descriptor for a stranger. One line an interval.
    NoDescriptor,
    /// More strangers came at once than are answered. One line an interval.
    Unanswered,
    /// Something is wrong at this end.
    Fault,
}

/// The numbers and lines of one interval.
#[derive(Debug)]
pub(super) struct Report {
    /// Count from the daemon's start what gets or could get a line, but for who went and why, which the door counts.
    counters: Arc<DoorCounters>,
    until: Timestamp,
    strangers: u64,
    refused: u64,
    other_labels: u64,
    new: u64,
    waiting: u64,
    no_descriptor: u64,
    unanswered: u64,
    stranger_lines: u32,
    new_lines: u32,
    fault_lines: u32,
}

impl Report {
    pub(super) fn new(now: Timestamp, counters: Arc<DoorCounters>) -> Self {
        Self {
            counters,
            until: now + INTERVAL,
            strangers: 0,
            refused: 0,
            other_labels: 0,
            new: 0,
            waiting: 0,
            no_descriptor: 0,
            unanswered: 0,
            stranger_lines: STRANGER_LINES_MOST,
            new_lines: NEW_LINES_MOST,
            fault_lines: FAULT_LINES_MOST,
        }
    }

    /// Counts it; whether it gets a line.
    pub(super) fn gets_line(&mut self, matter: Matter) -> bool {
        let lines = match matter {
            Matter::Stranger => {
                self.strangers += 1;
                return false;
            }
            Matter::NoDescriptor => {
                self.counters.without_descriptor.count();
                self.no_descriptor += 1;
                return self.no_descriptor == 1;
            }
            Matter::Unanswered => {
                self.strangers += 1;
                self.unanswered += 1;
                return self.unanswered == 1;
            }
            Matter::Unfinished => {
                self.strangers += 1;
                &mut self.stranger_lines
            }
            Matter::Refused => {
                self.refused += 1;
                &mut self.stranger_lines
            }
            Matter::OtherLabel => {
                self.counters.other_labels.count();
                self.other_labels += 1;
                &mut self.stranger_lines
            }
            Matter::New => {
                self.counters.new_cameras.count();
                self.new += 1;
                &mut self.new_lines
            }
            Matter::Waiting => {
                self.waiting += 1;
                &mut self.new_lines
            }
            Matter::NewKey => &mut self.new_lines,
            Matter::Fault => &mut self.fault_lines,
        };
        let has_line = *lines > 0;
        *lines = lines.saturating_sub(1);
        has_line
    }

    /// Says the numbers when the interval is over, if not all of it had lines.
    pub(super) fn handle_time(&mut self, now: Timestamp) {
        if now < self.until {
            return;
        }
        if self.has_numbers() {
            info!(
                strangers = self.strangers,
                refused = self.refused,
                without_descriptor = self.no_descriptor,
                unanswered = self.unanswered,
                under_another_label = self.other_labels,
                waiting = self.waiting,
                new_cameras = self.new,
                "turned away (strangers, refused), noted to wait for approval (waiting) and let in (new cameras) in the last minute"
            );
        }
        *self = Self::new(now, Arc::clone(&self.counters));
    }

    fn has_numbers(&self) -> bool {
        self.strangers > 0
            || self.refused > 0
            || self.no_descriptor > 0
            || self.stranger_lines == 0
            || self.new_lines == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

    fn lines(report: &mut Report, matter: Matter) -> u32 {
        (0..10_000)
            .map(|_| u32::from(report.gets_line(matter)))
            .sum()
    }

    #[test]
    fn all_that_strangers_do_shares_a_few_lines_a_minute() {
        let mut report = Report::new(START, Arc::default());
        assert_eq!(lines(&mut report, Matter::Stranger), 0);
        assert_eq!(lines(&mut report, Matter::Unfinished), 20);
        assert_eq!(lines(&mut report, Matter::Refused), 0);
        assert_eq!(lines(&mut report, Matter::OtherLabel), 0);
        assert_eq!(
            (report.strangers, report.refused, report.other_labels),
            (20_000, 10_000, 10_000)
        );
        assert!(report.has_numbers());
        report.handle_time(START + Duration::from_secs(59));
        assert_eq!(lines(&mut report, Matter::Refused), 0);
        report.handle_time(START + Duration::from_secs(60));
        assert!(!report.has_numbers());
        assert_eq!(lines(&mut report, Matter::Refused), 20);
    }

    #[test]
    fn strangers_take_no_line_of_a_new_camera_or_of_a_fault() {
        let mut report = Report::new(START, Arc::default());
        assert_eq!(lines(&mut report, Matter::Unfinished), 20);
        assert_eq!(lines(&mut report, Matter::New), 1024);
        assert_eq!(lines(&mut report, Matter::Fault), 20);
        assert_eq!(lines(&mut report, Matter::NoDescriptor), 1);
        assert_eq!(lines(&mut report, Matter::Unanswered), 1);
        report.handle_time(START + Duration::from_secs(60));
        assert_eq!(lines(&mut report, Matter::Unanswered), 1);
    }

    #[test]
    fn a_camera_that_waits_is_not_one_that_was_let_in() {
        let mut report = Report::new(START, Arc::default());
        assert!(report.gets_line(Matter::Waiting));
        assert_eq!((report.waiting, report.new), (1, 0));
        assert!(report.gets_line(Matter::New));
        assert_eq!((report.waiting, report.new), (1, 1));
    }
}
