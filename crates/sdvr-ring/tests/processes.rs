//! Kills, stops and other misfortunes of either side, in processes of their own.

mod support;

use std::time::Duration;

use rustix::process::Signal;
use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{ReadError, RingReader, RingWriter, Wait};
use support::processes::*;
use support::*;

/// What a reader has seen of the frames from 0 on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    read: u64,
    missed: u64,
    torn: u64,
}

impl Account {
    /// Takes frame `n` or, if it was overwritten, counts what is missing; gives the next to take.
    fn take(&mut self, reader: &RingReader, n: u64, buffer: &mut Vec<u8>) -> u64 {
        match reader.read(n, buffer) {
            Ok(found) => {
                self.read += 1;
                self.torn += u64::from(found != meta(n) || !is_frame(buffer, n));
                n + 1
            }
            Err(ReadError::Lapped) => {
                let oldest = reader.oldest().max(n + 1);
                self.missed += oldest - n;
                oldest
            }
            Err(error) => panic!("frame {n}: {error}"),
        }
    }

    /// Takes every frame until the ring is closed, and says what became of them.
    fn take_all(reader: &mut RingReader) -> Self {
        let mut account = Self::default();
        let mut buffer = Vec::new();
        let mut n = 0;
        loop {
            match reader.wait(n, StreamState::Live, Timestamp::NEVER) {
                Wait::Ready => n = account.take(reader, n, &mut buffer),
                Wait::StateChanged => return account,
                Wait::Nothing => assert!(reader.writer_lives(), "the writer died"),
            }
        }
    }

    fn parse(output: &str) -> Self {
        let line = output.lines().find_map(|line| line.split_once("account "));
        let numbers: Vec<u64> = line
            .map(|(_, numbers)| numbers.split(' ').filter_map(|n| n.parse().ok()).collect())
            .unwrap_or_default();
        let [read, missed, torn] = numbers[..] else {
            panic!("no account in {output:?}");
        };
        Self { read, missed, torn }
    }
}

#[test]
#[ignore = "a process of other tests"]
fn writer_process() {
    let Some(place) = spawned_place() else { return };
    let directory = create_rings(&place);
    directory
        .remove_stale_rings()
        .expect("the directory is ours");
    let mut writer = RingWriter::create(&directory, options(32, 64 << 10)).expect("there is room");
    for n in 0.. {
        publish_numbered(&mut writer, n);
        if n % 64 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
#[ignore = "a process of other tests"]
fn reader_process() {
    let Some(place) = spawned_place() else { return };
    let mut reader = open_in(&place).expect("the ring is there");
    std::fs::write(place.join(format!("ready-{}", std::process::id())), "")
        .expect("the place can be written");
    let account = Account::take_all(&mut reader);
    println!(
        "account {} {} {}",
        account.read, account.missed, account.torn
    );
}

#[test]
fn a_killed_writer_is_noticed_and_costs_no_reader_its_life() {
    let place = folder();
    let mut writer = spawn("writer_process", place.path());
    for _ in 0..20 {
        let mut reader = None;
        until("a new ring appears", || {
            reader = place
                .path()
                .join("rings")
                .exists()
                .then(|| open_in(place.path()).ok())
                .flatten();
            reader.as_ref().is_some_and(RingReader::writer_lives)
        });
        let mut reader = reader.expect("it was opened above");
        let mut account = Account::default();
        let mut buffer = Vec::new();
        let mut n = 0;
        let kill_at = Timestamp::now() + Duration::from_micros(random_below(30_000));
        while Timestamp::now() < kill_at {
            if reader.wait(n, StreamState::Live, kill_at) == Wait::Ready {
                n = account.take(&reader, n, &mut buffer);
            }
        }
        writer.kill();

        // What is there can be read; after that no wait is longer than its deadline, and the lock is free.
        while n < reader.head() {
            n = account.take(&reader, n, &mut buffer);
        }
        assert_eq!(account.torn, 0);
        assert_eq!(account.read + account.missed, n);
        assert_eq!(
            reader.wait(n, StreamState::Live, Timestamp::NEVER),
            Wait::Nothing
        );
        assert!(!reader.writer_lives());
        assert!(!reader.is_replaced());

        // The next daemon tells those who still hold the ring, before their deadline does.
        writer = spawn("writer_process", place.path());
        until("the ring is called moved", || {
            reader.wait(n, StreamState::Live, Timestamp::NEVER) == Wait::StateChanged
        });
        assert_eq!(reader.state(), StreamState::Moved);
        assert!(reader.is_replaced());
    }
}

#[test]
fn killed_readers_cost_nobody_else_a_frame() {
    const FRAMES: u64 = 400;
    let place = folder();
    let directory = create_rings(place.path());
    // Room for all of them, so that nobody may miss one.
    let mut writer = RingWriter::create(&directory, options(512, 4 << 20)).expect("there is room");
    let survivors: Vec<Process> = (0..3)
        .map(|_| spawn("reader_process", place.path()))
        .collect();
    let mut victims: Vec<Process> = (0..6)
        .map(|_| spawn("reader_process", place.path()))
        .collect();
    wait_until_ready(place.path(), 9);

    for n in 0..FRAMES {
        publish_numbered(&mut writer, n);
        std::thread::sleep(Duration::from_micros(random_below(3000)));
        // In the middle of a copy, of a relay, or asleep.
        if n % 8 == 0 {
            let index = usize::try_from(random_below(6)).unwrap_or(0);
            victims[index].kill();
            victims[index] = spawn("reader_process", place.path());
        }
    }
    writer.set_state(StreamState::Closed);
    for survivor in survivors {
        let account = Account::parse(&survivor.finish());
        let whole = Account {
            read: FRAMES,
            ..Account::default()
        };
        assert_eq!(account, whole);
    }
}

#[test]
fn a_stopped_reader_disturbs_nobody_and_learns_what_it_missed() {
    const FRAMES: u64 = 3000;
    let place = folder();
    let directory = create_rings(place.path());
    let mut writer = RingWriter::create(&directory, options(32, 64 << 10)).expect("there is room");
    let stopped = spawn("reader_process", place.path());
    let awake = spawn("reader_process", place.path());
    wait_until_ready(place.path(), 2);

    for n in 0..10 {
        publish_numbered(&mut writer, n);
    }
    stopped.signal(Signal::STOP);
    for n in 10..FRAMES {
        publish_numbered(&mut writer, n);
    }
    stopped.signal(Signal::CONT);
    // A state hides no frame, so both account for the last ones, too, however late they come.
    for n in FRAMES..FRAMES + 50 {
        publish_numbered(&mut writer, n);
    }
    writer.set_state(StreamState::Closed);

    for (name, process) in [("stopped", stopped), ("awake", awake)] {
        let account = Account::parse(&process.finish());
        assert_eq!(account.torn, 0, "{name}");
        assert_eq!(
            account.read + account.missed,
            FRAMES + 50,
            "{name}: {account:?}"
        );
    }
}

#[test]
fn a_hundred_thousand_frames_at_full_speed_are_whole_or_counted_as_missed() {
    const FRAMES: u64 = 100_000;
    let place = folder();
    let directory = create_rings(place.path());
    // Tiny, so that the writer overwrites what is being read all the time.
    let mut writer = RingWriter::create(&directory, options(4, 16 << 10)).expect("there is room");
    let mut reader = open_in(place.path()).expect("the ring is there");
    let mut account = Account::default();
    let mut buffer = Vec::new();
    let mut n = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..FRAMES {
                publish_numbered(&mut writer, n);
            }
        });
        while n < FRAMES {
            if reader.wait(n, StreamState::Live, Timestamp::NEVER) == Wait::Ready {
                n = account.take(&reader, n, &mut buffer);
            }
        }
    });
    assert_eq!(account.torn, 0);
    assert_eq!(account.read + account.missed, FRAMES);
    assert!(
        account.read > 0 && account.missed > 0,
        "no race took place: {account:?}"
    );
}

fn wait_until_ready(place: &std::path::Path, processes: usize) {
    until("the readers have opened the ring", || {
        std::fs::read_dir(place).is_ok_and(|entries| {
            entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("ready-"))
                .count()
                >= processes
        })
    });
}
