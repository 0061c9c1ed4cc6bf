use super::*;
use crate::layout::{CONTROL_WORDS, HEAD_WORD, STATE_WORD};
use crate::sync::AtomicU64;
use std::cell::{Cell, RefCell};

const START: Timestamp = Timestamp::from_nanoseconds(0);

#[test]
fn waits_are_short_after_a_lost_wake() {
    let mut patience = Patience::new(Some(Duration::from_millis(100)));
    assert_eq!(
        patience.next_look(START),
        START + Duration::from_millis(150)
    );
    patience.wake_was_lost(START);
    let nine = START + Duration::from_secs(9);
    assert_eq!(patience.next_look(nine), nine + SHORT_WAIT);
    let ten = START + Duration::from_secs(10);
    assert_eq!(patience.next_look(ten), ten + Duration::from_millis(150));
}

#[test]
fn waits_stay_within_bounds() {
    let next_look = |interval| Patience::new(interval).next_look(START);
    assert_eq!(next_look(None), START + LONGEST_WAIT);
    assert_eq!(next_look(Some(Duration::MAX)), START + LONGEST_WAIT);
    assert_eq!(next_look(Some(Duration::ZERO)), START + SHORT_WAIT);
}

/// A kernel that ends sleeps as told and writes down what it was asked.
struct Script {
    words: [AtomicU32; 2],
    control: Vec<AtomicU64>,
    sleeps: RefCell<Vec<Step>>,
    wakes: RefCell<Vec<(usize, u32)>>,
    slept: Cell<u32>,
}

/// What happens during a sleep, and how it ends.
#[derive(Clone, Copy)]
enum Step {
    /// A frame is published, its word stored, the sleeper woken.
    Frame,
    /// A frame is published, but whoever should wake the sleeper does not: its time is up.
    FrameUnannounced,
    /// Another reader wakes the sleeper for nothing.
    Nothing,
}

impl Script {
    fn new(steps: &[Step]) -> Self {
        Self {
            words: [AtomicU32::new(0), AtomicU32::new(0)],
            control: (0..CONTROL_WORDS).map(|_| AtomicU64::new(0)).collect(),
            sleeps: RefCell::new(steps.iter().rev().copied().collect()),
            wakes: RefCell::default(),
            slept: Cell::new(0),
        }
    }

    fn wait(&self, patience: &mut Patience, n: u64, deadline: Timestamp) -> Wait {
        let words = Words {
            control: &self.control,
            slots: &[],
            data: &[],
        };
        wait(self, words, patience, n, StreamState::Live, deadline)
    }
}

impl Futex for Script {
    fn word(&self, index: usize) -> &AtomicU32 {
        &self.words[index]
    }

    fn wait(&self, index: usize, value: u32, _timeout: Duration) -> Sleep {
        assert_eq!(self.words[index].load(Ordering::Relaxed), value);
        self.slept.set(self.slept.get() + 1);
        match self.sleeps.borrow_mut().pop() {
            Some(Step::Frame) => {
                self.control[HEAD_WORD].store(1, Ordering::Relaxed);
                self.words[index].store(1, Ordering::Relaxed);
                Sleep::Woken
            }
            Some(Step::FrameUnannounced) => {
                self.control[HEAD_WORD].store(1, Ordering::Relaxed);
                Sleep::TimedOut
            }
            Some(Step::Nothing) => Sleep::Woken,
            None => Sleep::TimedOut,
        }
    }

    fn wake(&self, index: usize, count: u32) {
        self.wakes.borrow_mut().push((index, count));
    }
}

#[test]
fn a_woken_reader_wakes_two_more_once() {
    let script = Script::new(&[Step::Frame]);
    let mut patience = Patience::new(None);
    assert_eq!(script.wait(&mut patience, 0, Timestamp::NEVER), Wait::Ready);
    assert_eq!(*script.wakes.borrow(), [(0, READER_WAKES)]);
    assert_eq!(patience.distrust_until, None);
}

#[test]
fn a_wake_for_nothing_is_not_passed_on() {
    let script = Script::new(&[Step::Nothing, Step::Nothing, Step::Frame]);
    let mut patience = Patience::new(None);
    assert_eq!(script.wait(&mut patience, 0, Timestamp::NEVER), Wait::Ready);
    assert_eq!(*script.wakes.borrow(), [(0, READER_WAKES)]);
}

#[test]
fn wakes_for_nothing_do_not_put_off_the_deadline() {
    let script = Script::new(&vec![Step::Nothing; 10_000_000]);
    let mut patience = Patience::new(Some(Duration::ZERO));
    assert_eq!(
        script.wait(&mut patience, 0, Timestamp::NEVER),
        Wait::Nothing
    );
    assert!(!script.sleeps.borrow().is_empty(), "the time was up first");
}

#[test]
fn a_frame_found_by_the_deadline_makes_a_reader_distrust() {
    let script = Script::new(&[Step::FrameUnannounced]);
    let mut patience = Patience::new(None);
    assert_eq!(script.wait(&mut patience, 0, Timestamp::NEVER), Wait::Ready);
    assert!(patience.distrust_until.is_some());
    assert!(
        script.wakes.borrow().is_empty(),
        "a timeout carries no token"
    );
}

#[test]
fn never_sleeps_past_a_deadline_or_over_news() {
    let script = Script::new(&[]);
    let mut patience = Patience::new(None);
    let past = Timestamp::from_nanoseconds(1);
    assert_eq!(script.wait(&mut patience, 0, past), Wait::Nothing);
    script.control[STATE_WORD].store(1, Ordering::Relaxed);
    assert_eq!(
        script.wait(&mut patience, 0, Timestamp::NEVER),
        Wait::StateChanged
    );
    script.control[HEAD_WORD].store(5, Ordering::Relaxed);
    assert_eq!(script.wait(&mut patience, 4, Timestamp::NEVER), Wait::Ready);
    assert_eq!(script.slept.get(), 0);
}

#[test]
fn a_frame_changes_one_word_and_a_state_both_top_bits() {
    let script = Script::new(&[]);
    let values = || {
        script
            .words
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed))
    };
    let mut bell = Bell::default();
    bell.announce_frame(&script, 6);
    assert_eq!(values(), [7, 0]);
    bell.announce_state(&script);
    assert_eq!(values(), [7 | STATE_BIT, STATE_BIT]);
    bell.announce_frame(&script, (1 << 33) + 7);
    assert_eq!(values(), [7 | STATE_BIT, 8 | STATE_BIT]);
    bell.announce_state(&script);
    assert_eq!(values(), [7, 8]);
    assert_eq!(
        *script.wakes.borrow(),
        [
            (0, WRITER_WAKES),
            (0, WAKE_ALL),
            (1, WAKE_ALL),
            (1, WRITER_WAKES),
            (0, WAKE_ALL),
            (1, WAKE_ALL)
        ]
    );
}
