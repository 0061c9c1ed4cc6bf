//! How a ring lives and ends: waiting readers hear of it, and whoever has it mapped keeps it.

mod support;

use std::time::{Duration, Instant};

use sdvr_frame::{FrameRate, StreamState, Timestamp};
use sdvr_ring::{OpenError, ReadError, RingDirectory, RingReader, RingWriter, Wait};
use support::{LONG, Place, is_frame, open, options, publish, ring_path, until};

fn deadline() -> Timestamp {
    Timestamp::now() + LONG
}

/// Waits through [`Wait::Nothing`] until something happens.
fn wait_for_news(reader: &mut RingReader, n: u64, state: StreamState) -> Wait {
    let start = Instant::now();
    loop {
        let news = reader.wait(n, state, deadline());
        if news != Wait::Nothing {
            return news;
        }
        assert!(start.elapsed() < LONG, "nothing ever happened");
    }
}

#[test]
fn every_state_wakes_every_waiter() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    let mut before = StreamState::Live;
    for state in [
        StreamState::Stale,
        StreamState::Live,
        StreamState::Lost,
        StreamState::Closed,
        StreamState::Moved,
    ] {
        let waiters: Vec<_> = (0..12)
            .map(|waiter| {
                let mut reader = place.open();
                // Half of them on each futex word.
                std::thread::spawn(move || {
                    let news = wait_for_news(&mut reader, waiter % 2, before);
                    (news, reader.state())
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(10));
        writer.set_state(state);
        for waiter in waiters {
            let seen = waiter.join().expect("a waiter does not panic");
            assert_eq!(seen, (Wait::StateChanged, state));
        }
        before = state;
    }
}

#[test]
fn a_frame_wakes_all_of_many_waiters_sooner_than_their_deadline() {
    let place = Place::new();
    let mut slow = options(4, 4096);
    // One frame a second: a lost wake shows as half a second.
    slow.format.rate = FrameRate::from_whole(1);
    let mut writer = RingWriter::create(&place.rings, slow).expect("there is room");
    let mut late = 0;
    for n in 0..10 {
        let waiters: Vec<_> = (0..40)
            .map(|_| {
                let mut reader = place.open();
                std::thread::spawn(move || {
                    assert_eq!(
                        wait_for_news(&mut reader, n, StreamState::Live),
                        Wait::Ready
                    );
                    let published = reader.meta(n).expect("the newest").published;
                    Timestamp::now().saturating_since(published)
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(20));
        publish(&mut writer, 24);
        for waiter in waiters {
            let delay = waiter.join().expect("a waiter does not panic");
            late += u32::from(delay > Duration::from_millis(150));
        }
    }
    // A machine that is busy with other things may hold up some; lost wakes would hold up 36 of each 40.
    assert!(late < 100, "{late} of 400 waits were not ended by a wake");
}

#[test]
fn a_wait_ends_by_its_deadline_and_says_so() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    let mut reader = place.open();
    publish(&mut writer, 24);
    let ready = reader.wait(0, StreamState::Live, Timestamp::from_nanoseconds(0));
    assert_eq!(ready, Wait::Ready, "what is there needs no wait");
    let start = Instant::now();
    let soon = Timestamp::now() + Duration::from_millis(5);
    assert_eq!(reader.wait(1, StreamState::Live, soon), Wait::Nothing);
    assert!(start.elapsed() >= Duration::from_millis(5));
    // However far the deadline is: somebody has to look whether the daemon lives.
    let start = Instant::now();
    assert_eq!(
        reader.wait(1, StreamState::Live, Timestamp::NEVER),
        Wait::Nothing
    );
    assert!(start.elapsed() < LONG);
    assert_eq!(
        reader.wait(1, StreamState::Closed, soon),
        Wait::StateChanged
    );
}

#[test]
fn a_reader_keeps_a_ring_that_lost_its_name() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    let reader = place.open();
    let n = publish(&mut writer, 500);
    writer.set_state(StreamState::Closed);
    writer.unlink();
    writer.unlink();
    assert_eq!(place.file_names(), [""; 0]);
    assert!(matches!(open(place.path()), Err(OpenError::NotFound)));
    assert!(reader.is_replaced() && reader.writer_lives());
    let mut buffer = Vec::new();
    assert!(reader.read(n, &mut buffer).is_ok() && is_frame(&buffer, n));
    drop(writer);
    assert!(!reader.writer_lives());
    assert!(reader.read(n, &mut buffer).is_ok() && is_frame(&buffer, n));
    assert_eq!(reader.state(), StreamState::Closed);
}

#[test]
fn memory_is_given_back_under_a_reader_that_still_has_it_mapped() {
    let place = Place::new();
    let free = || place.rings.free_bytes().expect("the system says");
    let mut writer = place.ring(16, 64 << 20);
    let reader = place.open();
    let with_ring = free();
    for _ in 0..16 {
        publish(&mut writer, 1 << 20);
    }
    let mut buffer = Vec::new();
    assert!(reader.read(3, &mut buffer).is_ok());
    writer.unlink();
    let seen = reader.with_words(4, |_, words| {
        writer.release_memory();
        words.iter().fold(0, u64::wrapping_add)
    });
    assert_eq!(seen, Err(ReadError::Lapped), "in the middle of a read");
    for n in 0..16 {
        assert_eq!(reader.read(n, &mut buffer), Err(ReadError::Lapped));
    }
    assert_eq!((reader.oldest(), reader.last_key()), (16, None));
    assert_eq!(reader.age_percent(15), 100);
    // Other tests use the same file system, but not as much as that.
    until("the memory is free", || free() > with_ring + (32 << 20));
}

#[test]
fn a_ring_that_is_made_again_takes_the_name() {
    let place = Place::new();
    let mut old = place.ring(4, 4096);
    publish(&mut old, 100);
    let mut old_reader = place.open();
    let mut new = place.ring(8, 4096);
    assert_eq!(place.file_names(), [new.name().as_str()]);
    assert!(old.is_replaced() && !new.is_replaced());
    old.was_replaced();
    assert_eq!(old.state(), StreamState::Moved);
    let news = old_reader.wait(1, StreamState::Live, deadline());
    assert_eq!(news, Wait::StateChanged);
    assert_eq!(old_reader.state(), StreamState::Moved);
    assert!(old_reader.is_replaced());
    // Whatever the old one does afterwards, the name is the new one's.
    old.unlink();
    drop(old);
    assert_eq!(place.open().info().slots, 8);
    publish(&mut new, 100);
    assert_eq!(place.open().head(), 1);
}

#[test]
fn an_old_writer_that_was_never_told_does_not_take_a_new_ring_s_name_away() {
    let place = Place::new();
    let mut old = place.ring(4, 4096);
    let _new = place.ring(8, 4096);
    old.unlink();
    assert_eq!(place.open().info().slots, 8);
}

#[test]
fn a_new_daemon_ends_the_rings_of_the_one_before() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    publish(&mut writer, 100);
    let mut reader = place.open();
    let path = place.path().to_owned();
    // What a kill leaves: the ring without its writer, one in the making, things that are none of ours.
    drop(writer);
    std::fs::write(path.join(".new-1-0"), "half").expect("the directory is ours");
    std::fs::write(path.join("readme"), "not ours").expect("the directory is ours");
    let Place { rings, folder } = place;
    drop(rings);
    assert!(!reader.writer_lives());
    assert_eq!(
        reader.state(),
        StreamState::Live,
        "a killed one says nothing"
    );

    let waiter = std::thread::spawn(move || {
        let news = wait_for_news(&mut reader, 1, StreamState::Live);
        (news, reader)
    });
    std::thread::sleep(Duration::from_millis(20));
    let rings = RingDirectory::create(&path, None).expect("its lock is free");
    assert_eq!(
        rings
            .remove_stale_rings()
            .expect("the directory is ours")
            .files,
        2
    );
    let (news, reader) = waiter.join().expect("the waiter does not panic");
    assert_eq!(news, Wait::StateChanged);
    assert_eq!(reader.state(), StreamState::Moved);
    assert!(reader.is_replaced());
    let mut buffer = Vec::new();
    assert!(reader.read(0, &mut buffer).is_ok() && is_frame(&buffer, 0));
    assert_eq!(support::file_names(&path), ["readme"]);
    assert_eq!(
        rings
            .remove_stale_rings()
            .expect("the directory is ours")
            .files,
        0
    );
    drop(folder);
}

#[test]
fn memory_of_a_daemon_that_is_gone_is_given_back_under_a_reader_that_still_has_it_mapped() {
    let place = Place::new();
    let mut writer = place.ring(16, 64 << 20);
    for _ in 0..16 {
        publish(&mut writer, 1 << 20);
    }
    let reader = place.open();
    // What a kill leaves.
    drop(writer);
    let free = || place.rings.free_bytes().expect("the system says");
    let with_ring = free();
    let mut stale = place.rings.remove_stale_rings().expect("ours").still_read;
    let ring = stale.pop().expect("a reader has it open");
    assert!(stale.is_empty() && ring.is_read() && ring.bytes() > 64 << 20);
    let mut buffer = Vec::new();
    assert!(reader.read(3, &mut buffer).is_ok() && is_frame(&buffer, 3));
    let seen = reader.with_words(4, |_, words| {
        ring.release_memory();
        words.iter().fold(0, u64::wrapping_add)
    });
    assert_eq!(seen, Err(ReadError::Lapped), "in the middle of a read");
    for n in 0..16 {
        assert_eq!(reader.read(n, &mut buffer), Err(ReadError::Lapped));
    }
    assert_eq!((reader.oldest(), reader.last_key()), (16, None));
    // Other tests use the same file system, but not as much as that.
    until("the memory is free", || free() > with_ring + (32 << 20));
    drop(reader);
    assert!(!ring.is_read());
}

#[test]
fn a_ring_knows_whether_it_is_read() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    assert!(!writer.is_read());
    let [first, second] = [place.open(), place.open()];
    assert!(writer.is_read());
    writer.unlink();
    assert!(writer.is_read(), "they keep it");
    drop(first);
    assert!(writer.is_read());
    drop(second);
    assert!(!writer.is_read());
    // One that nobody reads is gone with its daemon: nothing is left to give back.
    drop(place.ring(4, 4096));
    let stale = place.rings.remove_stale_rings().expect("ours");
    assert_eq!((stale.files, stale.still_read.len()), (1, 0));
}

#[test]
fn what_only_looks_like_a_ring_is_removed_and_harms_nobody() {
    let place = Place::new();
    let victim = place.path().join("victim");
    for content in [0, 1, 4095, 4096, 100_000] {
        std::fs::write(ring_path(place.path()), vec![0xff; content]).expect("ours");
        assert_eq!(place.rings.remove_stale_rings().expect("ours").files, 1);
    }
    std::fs::write(&victim, "untouched").expect("ours");
    std::os::unix::fs::symlink(&victim, ring_path(place.path())).expect("ours");
    assert!(matches!(open(place.path()), Err(OpenError::Invalid(_))));
    assert_eq!(place.rings.remove_stale_rings().expect("ours").files, 1);
    assert_eq!(
        std::fs::read_to_string(&victim).expect("still there"),
        "untouched"
    );
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        ring_path(place.path()),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("ours");
    assert!(matches!(open(place.path()), Err(OpenError::Invalid(_))));
    assert_eq!(place.rings.remove_stale_rings().expect("ours").files, 1);
    std::fs::create_dir(ring_path(place.path())).expect("ours");
    assert!(matches!(open(place.path()), Err(OpenError::Invalid(_))));
}
