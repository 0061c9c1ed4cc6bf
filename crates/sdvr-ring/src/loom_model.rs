//! The shipping algorithms under a model checker, which tries every order of steps and every value a relaxed load may give:
//! `RUSTFLAGS="--cfg loom" cargo test -p sdvr-ring --lib --release`.
//!
//! Each test fails when one of the orderings it is about is taken away (tried by hand for each); it is no proof, since loom
//! bounds preemptions here and knows no out-of-thin-air loads.

use std::time::Duration;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use sdvr_frame::{FrameFlags, FrameNumber, StreamState, Timestamp};

use crate::layout::{CONTROL_WORDS, FrameMeta, Geometry, SLOT_WORDS, WORD_BYTES, Words, usize_of};
use crate::publisher::Publisher;
use crate::slot::{self, ReadError};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::wakeup::{self, Bell, Futex, Patience, Sleep, Wait};

/// A ring in the checker's memory, with the checker's kernel.
struct Ring {
    geometry: Geometry,
    control: Vec<AtomicU64>,
    slots: Vec<AtomicU64>,
    data: Vec<AtomicU64>,
    futex: [AtomicU32; 2],
    /// Wakes that were given to sleepers who have not noticed yet, and those who sleep.
    queues: [(Mutex<Queue>, Condvar); 2],
}

#[derive(Default)]
struct Queue {
    sleepers: u32,
    tokens: u32,
}

impl Ring {
    fn new(slots: u64, data_bytes: u64) -> Self {
        let geometry = Geometry::new(slots, data_bytes).expect("the sizes are possible");
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            geometry,
            control: zeros(CONTROL_WORDS),
            slots: zeros(usize_of(slots) * SLOT_WORDS),
            data: zeros(usize_of(data_bytes) / WORD_BYTES),
            futex: [AtomicU32::new(0), AtomicU32::new(0)],
            queues: std::array::from_fn(|_| (Mutex::new(Queue::default()), Condvar::new())),
        }
    }

    fn words(&self) -> Words<'_> {
        Words {
            control: &self.control,
            slots: &self.slots,
            data: &self.data,
        }
    }

    fn publish(&self, publisher: &mut Publisher, words: u64) {
        let n = publisher.published();
        let bytes: Vec<u8> = (0..words).flat_map(|_| content(n).to_ne_bytes()).collect();
        assert!(publisher.begin(self.words(), bytes.len() as u64));
        assert!(publisher.write(self.words(), &bytes));
        assert_eq!(publisher.publish(self.words(), &meta(n)), Some(n));
    }

    /// Reads frame `n` and checks that it is that frame and no other.
    fn read(&self, n: u64) -> Result<(), ReadError> {
        let words = self.words();
        let found = slot::find(words, self.geometry, n)?;
        let bytes: Vec<u64> = slot::frame_words(words, self.geometry, &found)?
            .iter()
            .collect();
        slot::check(words, &found)?;
        assert_eq!(found.meta, meta(n), "another frame's description");
        assert!(
            bytes.iter().all(|&word| word == content(n)),
            "frame {n} is torn: {bytes:?}"
        );
        Ok(())
    }
}

fn content(n: u64) -> u64 {
    1000 + n
}

fn meta(n: u64) -> FrameMeta {
    FrameMeta {
        number: FrameNumber(n),
        flags: FrameFlags::NONE,
        missed: n,
        captured_at_source: Timestamp::from_nanoseconds(1),
        captured: Timestamp::from_nanoseconds(2),
        clock_error_ns: Some(3),
        received: Timestamp::from_nanoseconds(4),
        published: Timestamp::from_nanoseconds(5),
    }
}

impl Futex for Ring {
    fn word(&self, index: usize) -> &AtomicU32 {
        &self.futex[index]
    }

    /// As the kernel does: compares and goes to sleep under the queue's lock. Time does not pass here, so a wake that is
    /// lost is a deadlock, which the checker reports.
    fn wait(&self, index: usize, value: u32, _timeout: Duration) -> Sleep {
        let (queue, condition) = &self.queues[index];
        let mut queue = queue.lock().expect("nobody panics holding it");
        if self.futex[index].load(Ordering::Relaxed) != value {
            return Sleep::Again;
        }
        queue.sleepers += 1;
        while queue.tokens == 0 {
            queue = condition.wait(queue).expect("nobody panics holding it");
        }
        queue.tokens -= 1;
        Sleep::Woken
    }

    /// Stingier than asked: one sleeper a call, so that two readers need a relay as hundreds do.
    fn wake(&self, index: usize, _count: u32) {
        let (queue, condition) = &self.queues[index];
        let mut queue = queue.lock().expect("nobody panics holding it");
        if queue.sleepers > 0 {
            queue.sleepers -= 1;
            queue.tokens += 1;
            condition.notify_all();
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(model);
}

/// Runs a writer of `frames` frames, `words` words each, against readers of the frames in `reads`.
fn check_reads(
    preemptions: usize,
    ring: (u64, u64),
    frames: u64,
    words: u64,
    reads: &'static [u64],
) {
    check(preemptions, move || {
        let ring = Arc::new(Ring::new(ring.0, ring.1));
        let readers: Vec<_> = reads
            .iter()
            .map(|&n| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || {
                    let _ = ring.read(n);
                })
            })
            .collect();
        let mut publisher = Publisher::new(ring.geometry);
        for _ in 0..frames {
            ring.publish(&mut publisher, words);
        }
        for reader in readers {
            reader.join().expect("the reader found no torn frame");
        }
        // The last one is there for whoever comes afterwards.
        assert_eq!(ring.read(frames - 1), Ok(()));
    });
}

#[test]
fn no_torn_frame_when_every_frame_overwrites_the_one_before() {
    check_reads(3, (4, 64), 3, 2, &[1]);
}

#[test]
fn no_torn_frame_when_slots_are_used_again() {
    check_reads(2, (2, 256), 3, 1, &[0]);
}

#[test]
fn two_readers_of_a_lapping_writer_see_no_torn_frame() {
    check_reads(1, (2, 64), 3, 1, &[0, 1]);
}

#[test]
fn memory_that_was_given_back_is_never_taken_for_a_frame() {
    check(2, || {
        let ring = Arc::new(Ring::new(2, 64));
        let mut publisher = Publisher::new(ring.geometry);
        ring.publish(&mut publisher, 2);
        let reader = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let _ = ring.read(0);
            })
        };
        publisher.reclaim_all(ring.words());
        // The hole, as a reader sees it.
        for word in ring.slots.iter().chain(&ring.data) {
            word.store(0, Ordering::Relaxed);
        }
        reader.join().expect("the reader saw no hole");
    });
}

/// A reader that is woken by a frame, or waits no longer than until it is there.
fn wait_for(ring: &Ring, n: u64) -> Wait {
    let mut patience = Patience::new(None);
    wakeup::wait(
        ring,
        ring.words(),
        &mut patience,
        n,
        StreamState::Live,
        Timestamp::NEVER,
    )
}

#[test]
fn no_wake_of_a_frame_is_lost() {
    check(3, || {
        let ring = Arc::new(Ring::new(2, 64));
        let reader = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                assert_eq!(wait_for(&ring, 0), Wait::Ready);
                assert_eq!(ring.read(0), Ok(()));
            })
        };
        let mut publisher = Publisher::new(ring.geometry);
        ring.publish(&mut publisher, 1);
        Bell::default().announce_frame(&*ring, 0);
        reader.join().expect("the reader came through");
    });
}

#[test]
fn readers_wake_each_other() {
    check(2, || {
        let ring = Arc::new(Ring::new(2, 64));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let ring = Arc::clone(&ring);
                thread::spawn(move || assert_eq!(wait_for(&ring, 0), Wait::Ready))
            })
            .collect();
        let mut publisher = Publisher::new(ring.geometry);
        ring.publish(&mut publisher, 1);
        Bell::default().announce_frame(&*ring, 0);
        for reader in readers {
            reader.join().expect("the reader came through");
        }
    });
}

#[test]
fn no_wake_of_a_state_is_lost() {
    check(3, || {
        let ring = Arc::new(Ring::new(2, 64));
        let reader = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || assert_eq!(wait_for(&ring, 1), Wait::StateChanged))
        };
        Publisher::new(ring.geometry).store_state(ring.words(), StreamState::Closed);
        Bell::default().announce_state(&*ring);
        reader.join().expect("the reader came through");
    });
}

#[test]
fn a_new_state_hides_no_frame_that_came_before_it() {
    check(3, || {
        let ring = Arc::new(Ring::new(2, 64));
        let reader = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || assert_eq!(wait_for(&ring, 0), Wait::Ready))
        };
        let (mut publisher, mut bell) = (Publisher::new(ring.geometry), Bell::default());
        ring.publish(&mut publisher, 1);
        bell.announce_frame(&*ring, 0);
        publisher.store_state(ring.words(), StreamState::Closed);
        bell.announce_state(&*ring);
        reader.join().expect("the reader came through");
    });
}
