//! Nobody here looks for himself, so a wake that is lost stops a test for good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, Link, PublicKey, StreamFormat,
    StreamId, StreamKind, StreamState,
};

use super::*;
use crate::directory::RingDirectory;
use crate::layout::FrameMeta;
use crate::new_ring::RingOptions;
use crate::wakeup::Wait;
use crate::writer::RingWriter;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

struct Rings {
    folder: tempfile::TempDir,
    writers: Vec<RingWriter>,
}

impl Rings {
    fn new(count: u8) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written");
        let directory = RingDirectory::create(folder.path(), None).expect("the place is ours");
        let ring = |key| {
            let options = RingOptions {
                camera: PublicKey([key; 32]),
                label: Label::from_lossy("front-door"),
                stream: StreamId(0),
                kind: StreamKind::Video,
                instance: InstanceId([5; 16]),
                format: StreamFormat {
                    fourcc: FourCc::BNCH,
                    width: 0,
                    height: 0,
                    rate: FrameRate::from_whole(25),
                },
                extradata: Vec::new(),
                link: Link::Tcp,
                slots: 64,
                data_bytes: 1 << 16,
            };
            RingWriter::create(&directory, options).expect("there is room")
        };
        let writers = (0..count).map(ring).collect();
        Self { folder, writers }
    }

    fn reader(&self, ring: usize) -> RingReader {
        let directory = crate::open_directory(self.folder.path()).expect("it is ours");
        let mut reader = RingReader::open(directory.as_fd(), self.writers[ring].name())
            .expect("the ring is there");
        reader.trust_wakes();
        reader
    }

    fn readers(&self) -> Vec<RingReader> {
        (0..self.writers.len())
            .map(|ring| self.reader(ring))
            .collect()
    }
}

fn publish(ring: &mut RingWriter) {
    let now = Timestamp::now();
    assert!(ring.begin(8) && ring.write(&[1; 8]));
    assert!(ring.publish(&FrameMeta {
        number: FrameNumber(0),
        flags: FrameFlags::NONE,
        missed: 0,
        captured_at_source: now,
        captured: now,
        clock_error_ns: None,
        received: now,
        published: now,
    }));
}

/// Waits on all rings for each frame in turn, and counts those of which it has heard in `heard`.
fn follow_all(readers: &[RingReader], frames: u64, heard: &AtomicU64) {
    let bell = Doorbell::default();
    let mut awaited: Vec<Awaited> = readers.iter().map(|reader| reader.await_frame(0)).collect();
    let deadline = Timestamp::now() + LONG;
    let mut to_come = frames * readers.len() as u64;
    while to_come > 0 && Timestamp::now() < deadline {
        let mut waiting: Vec<&mut Awaited> = awaited.iter_mut().collect();
        wait_many(&mut waiting, &bell, 0, deadline);
        for (one, reader) in awaited.iter_mut().zip(readers) {
            if one.has_news() {
                let next = one.n + 1;
                *one = reader.await_frame(next);
                to_come -= 1;
                heard.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn follow_one(mut reader: RingReader, frames: u64, heard: &AtomicU64) {
    let deadline = Timestamp::now() + LONG;
    for n in 0..frames {
        if reader.wait(n, StreamState::Live, deadline) == Wait::Ready {
            heard.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Publishes a frame on all rings as fast as that goes, and only when everybody has heard of them the next ones.
#[track_caller]
fn everybody_hears(ring_count: u8, groups: u64, readers_of_each: u64, frames: u64) {
    let mut rings = Rings::new(ring_count);
    let heard = AtomicU64::new(0);
    let waiters_of_each = groups + readers_of_each;
    thread::scope(|scope| {
        for _ in 0..groups {
            let (readers, heard) = (rings.readers(), &heard);
            scope.spawn(move || follow_all(&readers, frames, heard));
        }
        for ring in 0..usize::from(ring_count) {
            for _ in 0..readers_of_each {
                let (reader, heard) = (rings.reader(ring), &heard);
                scope.spawn(move || follow_one(reader, frames, heard));
            }
        }
        let start = Instant::now();
        for frame in 1..=frames {
            rings.writers.iter_mut().for_each(publish);
            let all = frame * waiters_of_each * u64::from(ring_count);
            while heard.load(Ordering::Relaxed) < all {
                assert!(
                    start.elapsed() < LONG,
                    "frame {frame}: {} of {all} have heard",
                    heard.load(Ordering::Relaxed)
                );
                thread::sleep(Duration::from_micros(50));
            }
        }
    });
}

#[test]
fn many_who_wait_on_many_rings_wake_each_other_on_all_of_them() {
    // The writer wakes four, so that the others hear only of those.
    everybody_hears(8, 14, 0, 200);
}

#[test]
fn those_who_wait_on_one_and_on_many_rings_wake_each_other() {
    everybody_hears(4, 6, 6, 200);
}

#[test]
fn as_many_rings_as_the_kernel_takes_can_change_at_once() {
    everybody_hears(127, 6, 0, 30);
}

#[test]
fn rings_beyond_what_the_kernel_takes_are_looked_at() {
    everybody_hears(140, 1, 0, 3);
}

#[test]
fn the_end_and_the_death_of_a_writer_are_news() {
    let mut rings = Rings::new(2);
    let directory = crate::open_directory(rings.folder.path()).expect("it is ours");
    let open = |ring: &RingWriter| RingReader::open(directory.as_fd(), ring.name());
    let readers: Vec<RingReader> = rings
        .writers
        .iter()
        .map(|ring| open(ring).unwrap())
        .collect();
    let mut awaited: Vec<Awaited> = readers.iter().map(|reader| reader.await_frame(0)).collect();
    let bell = Doorbell::default();
    let mut news = |rings: &mut Rings, change: fn(&mut Rings)| {
        change(rings);
        let deadline = Timestamp::now() + LONG;
        loop {
            let mut waiting: Vec<&mut Awaited> = awaited.iter_mut().collect();
            wait_many(&mut waiting, &bell, 0, deadline);
            let news: Vec<bool> = awaited.iter().map(Awaited::has_news).collect();
            if news.contains(&true) || Timestamp::now() >= deadline {
                awaited = readers.iter().map(|reader| reader.await_frame(0)).collect();
                return news;
            }
        }
    };
    // One that is only silent is no news: the look finds the other.
    let of_death = news(&mut rings, |rings| {
        rings.writers[0].set_state(StreamState::Stale);
        rings.writers.remove(1);
    });
    assert_eq!(of_death, [false, true]);
    let of_end = news(&mut rings, |rings| {
        rings.writers[0].set_state(StreamState::Closed);
    });
    assert!(of_end[0]);
}

#[test]
fn a_ring_of_the_bell_ends_the_wait() {
    let rings = Rings::new(1);
    let reader = rings.reader(0);
    let bell = Doorbell::default();
    let heard = bell.rings();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut awaited = reader.await_frame(0);
            while bell.rings() == heard {
                wait_many(&mut [&mut awaited], &bell, heard, Timestamp::NEVER);
            }
            awaited.has_news()
        });
        bell.ring();
        assert!(!waiting.join().expect("it only waits"));
    });
}

#[test]
fn what_is_learned_of_lost_wakes_stays_with_the_ring() {
    let mut rings = Rings::new(2);
    let mut awaited = rings.reader(0).await_frame(0);
    let reader = rings.reader(0);
    assert!(awaited.again(&reader, 1).is_none(), "another mapping");
    awaited = reader.await_frame(0);
    awaited.prepare(Timestamp::now());
    publish(&mut rings.writers[0]);
    // The kernel's wait ends by its time although the frame is there.
    awaited.finish(Sleep::TimedOut, Timestamp::now());
    assert!(awaited.has_news());
    let mut awaited = awaited.again(&reader, 1).expect("the same ring");
    let now = Timestamp::now();
    awaited.prepare(now);
    assert!(!awaited.has_news());
    assert!(
        awaited
            .next_look
            .is_some_and(|look| look <= now + SHORT_WAIT)
    );
}
