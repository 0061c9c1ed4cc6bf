//! A consumer that is read-only and malicious, beside one that is not.

use std::sync::atomic::{AtomicBool, AtomicU32};

use rustix::thread::futex;
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, PublicKey, StreamFormat,
    StreamId, StreamKind,
};

use super::*;
use crate::directory::RingDirectory;
use crate::new_ring::RingOptions;
use crate::writer::RingWriter;

const FRAMES: u64 = 30;
/// What one wait can cost at most, and a busy machine's share.
const ONE_DEADLINE: Duration = Duration::from_millis(500 + 2000);

fn ring(frames_per_second: u32) -> (tempfile::TempDir, RingWriter, RingReader, RingReader) {
    let place = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written");
    let directory = RingDirectory::create(place.path(), None).expect("the place is ours");
    let options = RingOptions {
        camera: PublicKey([7; 32]),
        label: Label::from_lossy("front-door"),
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([5; 16]),
        format: StreamFormat {
            fourcc: FourCc::BNCH,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(frames_per_second),
        },
        extradata: Vec::new(),
        link: Link::Tcp,
        slots: 64,
        data_bytes: 1 << 16,
    };
    let writer = RingWriter::create(&directory, options).expect("there is room");
    let open = || RingReader::open(directory.as_fd(), writer.name()).expect("the ring is there");
    let (victim, attacker) = (open(), open());
    (place, writer, victim, attacker)
}

fn meta(n: u64) -> FrameMeta {
    FrameMeta {
        number: FrameNumber(n),
        flags: FrameFlags::NONE,
        missed: 0,
        captured_at_source: Timestamp::now(),
        captured: Timestamp::now(),
        clock_error_ns: None,
        received: Timestamp::now(),
        published: Timestamp::now(),
    }
}

/// Publishes frames, slowly enough that the victim sleeps before each, while the attacker does `attack` again and again.
/// Gives how late the victim got each, and how often it looked.
fn deliver_under(
    attack: impl Fn(&RingReader) + Send + Sync,
    frames_per_second: u32,
) -> Vec<Duration> {
    let (_place, mut writer, mut victim, attacker) = ring(frames_per_second);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                attack(&attacker);
            }
        });
        let victim = scope.spawn(move || {
            let mut late = Vec::new();
            for n in 0..FRAMES {
                while victim.wait(n, StreamState::Live, Timestamp::NEVER) != Wait::Ready {}
                let found = victim
                    .read(n, &mut Vec::new())
                    .expect("the ring holds all of them");
                late.push(Timestamp::now().saturating_since(found.published));
            }
            late
        });
        for n in 0..FRAMES {
            std::thread::sleep(Duration::from_millis(20));
            assert!(writer.begin(64) && writer.write(&[1; 64]) && writer.publish(&meta(n)));
        }
        let late = victim.join().expect("the victim read every frame");
        is_over.store(true, Ordering::Relaxed);
        late
    })
}

#[test]
fn waiters_moved_away_by_a_hostile_reader_get_every_frame_within_a_deadline() {
    let elsewhere = AtomicU32::new(0);
    let late = deliver_under(
        |attacker| {
            for index in 0..2 {
                let word = attacker.mapping.futex(index);
                let value = word.load(Ordering::Relaxed);
                let _ = futex::cmp_requeue(
                    word,
                    futex::Flags::empty(),
                    0,
                    i32::MAX.unsigned_abs(),
                    &elsewhere,
                    value,
                );
            }
        },
        1,
    );
    assert!(late.iter().all(|&late| late < ONE_DEADLINE), "{late:?}");
    // It was at work: without it no frame takes a deadline. Once the victim distrusts, it waits 50 ms and not 500.
    assert!(
        late.iter().any(|&late| late > Duration::from_millis(20)),
        "nobody was moved: {late:?}"
    );
}

#[test]
fn tokens_swallowed_by_a_hostile_reader_cost_a_deadline_at_most() {
    let late = deliver_under(
        |attacker| {
            // Four at a time stand in the queue, and none wakes anybody.
            std::thread::scope(|scope| {
                for index in [0, 1, 0, 1, 0, 1, 0, 1] {
                    scope.spawn(move || {
                        let word = attacker.mapping.futex(index);
                        let value = word.load(Ordering::Relaxed);
                        attacker
                            .mapping
                            .wait(index, value, Duration::from_millis(30));
                    });
                }
            });
        },
        1,
    );
    assert!(late.iter().all(|&late| late < ONE_DEADLINE), "{late:?}");
}

#[test]
fn wakes_for_nothing_cost_no_frame_and_start_no_chain() {
    let late = deliver_under(
        |attacker| {
            attacker.mapping.wake(0, 1);
            attacker.mapping.wake(1, 1);
        },
        30,
    );
    assert!(late.iter().all(|&late| late < ONE_DEADLINE), "{late:?}");
}

#[test]
fn a_readers_lock_is_not_taken_for_the_daemons() {
    let (place, writer, reader, other) = ring(30);
    assert!(reader.writer_lives());
    // While the daemon lives nobody gets a lock; afterwards a reader's answers no question.
    assert!(!read_lock(other.file.as_fd()));
    drop(writer);
    assert!(read_lock(other.file.as_fd()));
    assert!(!reader.writer_lives());
    drop(place);
}

/// Takes a reader's lock of the first byte; false when somebody is in the way.
fn read_lock(file: BorrowedFd<'_>) -> bool {
    crate::file_lock::try_read_lock(file).expect("locks work on files in shared memory")
}
