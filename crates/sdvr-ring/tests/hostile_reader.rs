//! A reader that takes waiters away. A mapping that can only be read is enough to wake the sleepers on a futex, and to
//! move them to another one, where nobody wakes them: Linux asks for no more.
#![allow(unsafe_code, reason = "safe code has no call for FUTEX_CMP_REQUEUE")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{RingReader, Wait};
use support::{Place, is_frame, open, publish, until};

const FRAMES: u64 = 60;
/// The directory of the ring, for the other process.
const DIRECTORY: &str = "SDVR_TEST_DIRECTORY";

/// How a hostile reader treats those who wait.
#[derive(Clone, Copy)]
enum Malice {
    /// Moves them to a word of its own.
    Requeue,
    /// Wakes them for nothing, all the time.
    Wake,
}

/// Does it to whoever sleeps on one of the ring's words; gives to how many.
fn harm(reader: &RingReader, malice: Malice, prison: &AtomicU32) -> u64 {
    let mut harmed = 0;
    for n in 0..2 {
        let word = reader.futex_word(n);
        let all = libc::c_long::from(i32::MAX);
        // How many to wake; those left are moved to the prison.
        let (operation, count, value) = match malice {
            Malice::Requeue => (libc::FUTEX_CMP_REQUEUE, 0, word.value()),
            Malice::Wake => (libc::FUTEX_WAKE, all, 0),
        };
        // SAFETY: both addresses are of words that live through the call; the kernel only compares the first.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.address(),
                operation,
                count,
                all,
                prison.as_ptr(),
                value,
            )
        };
        // Below 0 when the word changed meanwhile.
        harmed += u64::try_from(result).unwrap_or(0);
    }
    harmed
}

fn harm_until_closed(malice: Malice) {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let reader = open(&directory).expect("the ring is there");
    let prison = AtomicU32::new(0);
    let count = directory.join("harmed");
    let mut harmed = 0;
    std::fs::write(&count, "0").expect("the directory is ours");
    while reader.state() == StreamState::Live && reader.writer_lives() {
        harmed += harm(&reader, malice, &prison);
        std::thread::sleep(Duration::from_micros(200));
    }
    std::fs::write(&count, harmed.to_string()).expect("the directory is ours");
}

#[test]
#[ignore = "a process of other tests"]
fn requeuer_process() {
    harm_until_closed(Malice::Requeue);
}

#[test]
#[ignore = "a process of other tests"]
fn waker_process() {
    harm_until_closed(Malice::Wake);
}

#[test]
fn a_reader_s_mapping_cannot_be_made_writable() {
    let place = Place::new();
    let _writer = place.ring(4, 4096);
    let reader = place.open();
    // The word is in the first page.
    let page = reader
        .futex_word(0)
        .address()
        .map_addr(|address| address & !0xfff);
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the page is the reader's; more rights take nothing away from it.
    let result = unsafe { libc::mprotect(page.cast_mut().cast(), 4096, rights) };
    let error = std::io::Error::last_os_error();
    // To root as well: the file was opened for reading.
    assert_eq!((result, error.raw_os_error()), (-1, Some(libc::EACCES)));
}

/// A process that does not outlive its test.
struct Helper(Child);

impl Helper {
    /// Starts this program again as `role`, and waits until it has the ring.
    fn start(role: &str, directory: &Path) -> Self {
        let child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", role, "--ignored", "--nocapture", "--quiet"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("this program can be run");
        until("it is at work", || directory.join("harmed").exists());
        Self(child)
    }

    /// Waits for its end, and gives how often it did harm.
    fn finish(mut self, directory: &Path) -> u64 {
        let status = self.0.wait().expect("it is ours");
        assert!(status.success(), "{status}");
        let count = std::fs::read_to_string(directory.join("harmed")).expect("it said so");
        count.parse().expect("a number")
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads every frame as it comes; gives by how much each came late.
fn read_all(reader: &mut RingReader) -> Vec<Duration> {
    let mut buffer = Vec::new();
    let mut delays = Vec::new();
    for n in 0..FRAMES {
        while reader.wait(n, StreamState::Live, Timestamp::NEVER) != Wait::Ready {
            assert!(reader.writer_lives());
        }
        let meta = reader.read(n, &mut buffer).expect("there is room for all");
        delays.push(Timestamp::now().saturating_since(meta.published));
        assert!(is_frame(&buffer, n));
    }
    delays
}

/// Publishes 30 frames a second to two readers beside a hostile one; gives their delays, sorted, and the harm done.
fn frames_beside(role: &str) -> (Vec<Duration>, u64) {
    let place = Place::new();
    let mut writer = place.ring(128, 1 << 20);
    let helper = Helper::start(role, place.path());
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut reader = place.open();
            std::thread::spawn(move || read_all(&mut reader))
        })
        .collect();
    for _ in 0..FRAMES {
        std::thread::sleep(Duration::from_millis(33));
        publish(&mut writer, 5000);
    }
    let mut delays: Vec<Duration> = readers
        .into_iter()
        .flat_map(|reader| reader.join().expect("a reader does not panic"))
        .collect();
    delays.sort_unstable();
    writer.set_state(StreamState::Closed);
    (delays, helper.finish(place.path()))
}

/// The longest wait at 30 frames a second, and as much again for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_millis(100);

#[test]
fn readers_whose_waits_are_taken_away_get_each_frame_by_their_deadline() {
    let (delays, harmed) = frames_beside("requeuer_process");
    assert!(harmed > 20, "only {harmed} waits were taken away");
    let in_time = delays.iter().filter(|&&delay| delay < DEADLINE).count();
    assert!(in_time * 100 >= delays.len() * 95, "{in_time}: {delays:?}");
}

#[test]
fn readers_who_are_woken_for_nothing_get_each_frame_as_it_comes() {
    let (delays, harmed) = frames_beside("waker_process");
    assert!(harmed > 1000, "only {harmed} wakes reached anybody");
    let in_time = delays.iter().filter(|&&delay| delay < DEADLINE).count();
    assert!(in_time * 100 >= delays.len() * 95, "{in_time}: {delays:?}");
}
