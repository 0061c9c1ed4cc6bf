//! A ring file that lies. The reader refuses it or says that it is corrupt; it never panics, never runs past the mapping,
//! never goes on for ever, and never allocates more than the ring has bytes.
//!
//! The file keeps its length while it is open: that much its owner, in whose directory it lies, is trusted with.
#![allow(
    unsafe_code,
    reason = "an allocator that counts, to see what a lie makes the reader allocate"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{OpenError, ReadError, RingReader};
use support::{Place, folder, is_frame, open, publish, ring_path, usize_of};

thread_local! {
    /// The largest piece of memory that this thread asked for.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct CountingAllocator;

// SAFETY: passes everything on to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the memory is of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller keeps the contract of `realloc`, and the memory is of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn note(size: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

const SLOTS: u32 = 4;
const DATA_BYTES: u64 = 8192;
const DESCRIPTION_BYTES: u64 = 2048;
const CONTROL_OFFSET: u64 = 0x800;
const RECLAIM_OFFSET: u64 = 0x880;
const HEAD_OFFSET: u64 = 0x8c0;
const LAST_KEY_OFFSET: u64 = 0x8c8;
const SLOTS_OFFSET: u64 = 0x1000;
const SLOT_BYTES: u64 = 128;

/// The values with which arithmetic goes wrong.
const WORDS: [u64; 12] = [
    0,
    1,
    u64::MAX,
    u64::MAX - 1,
    1 << 63,
    (1 << 63) - 1,
    u32::MAX as u64,
    (u32::MAX as u64) + 1,
    DATA_BYTES,
    DATA_BYTES - 1,
    u64::MAX - 63,
    1 << 28,
];

/// The bytes of a ring that a writer made: frames in every slot, and some before those.
fn good_ring() -> Vec<u8> {
    let place = Place::new();
    let mut writer = place.ring(SLOTS, DATA_BYTES);
    for n in 0..6 {
        publish(&mut writer, 500 + 100 * n);
    }
    std::fs::read(ring_path(place.path())).expect("ours")
}

/// A file in a ring's place, whose bytes a test changes.
struct Lie {
    folder: tempfile::TempDir,
    file: std::fs::File,
}

impl Lie {
    fn new(bytes: &[u8]) -> Self {
        let folder = folder();
        let path = ring_path(folder.path());
        std::fs::write(&path, bytes).expect("ours");
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .expect("ours");
        Self { folder, file }
    }

    fn put(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).expect("ours");
    }

    fn put_word(&self, offset: u64, word: u64) {
        self.put(offset, &word.to_ne_bytes());
    }

    fn open(&self) -> Result<RingReader, OpenError> {
        open(self.folder.path())
    }
}

/// As [`use_all_of_changing`], of a file that nobody changes meanwhile: what is read one after the other fits together.
fn use_all_of(reader: &mut RingReader) -> Vec<(u64, Vec<u8>)> {
    assert!(reader.oldest() <= reader.head());
    use_all_of_changing(reader)
}

/// Calls everything that a reader has, and gives the frames that were accepted.
fn use_all_of_changing(reader: &mut RingReader) -> Vec<(u64, Vec<u8>)> {
    let start = Instant::now();
    LARGEST.set(0);
    let head = reader.head();
    let oldest = reader.oldest();
    let _ = (
        reader.state(),
        reader.link(),
        reader.frames_lost(),
        reader.bytes_published(),
        reader.measured_rate(),
        reader.last_key(),
        reader.writer_lives(),
        reader.is_replaced(),
    );
    let mut accepted = Vec::new();
    let near_head = (0..=SLOTS.into()).map(|back| head.wrapping_sub(back));
    for n in (0..8).chain(near_head).chain([oldest, u64::MAX, 1 << 63]) {
        let mut buffer = Vec::new();
        if reader.read(n, &mut buffer).is_ok() {
            assert!(buffer.len() as u64 <= reader.info().data_bytes);
            accepted.push((n, buffer));
        }
        let _ = reader.meta(n);
        let _ = reader.age_bytes(n);
        assert!(reader.age_percent(n) <= 100);
        if let Ok(raw) = reader.raw_frame(n) {
            assert!(raw.length as u64 <= reader.info().data_bytes);
            let _ = reader.is_still_valid(&raw);
        }
        let _ = reader.with_words(n, |_, words| {
            words.iter().fold(words.len() as u64, u64::wrapping_add)
        });
        let _ = reader.wait(n, StreamState::Live, Timestamp::from_nanoseconds(0));
        let _ = reader.futex_word(n).value();
    }
    assert!(LARGEST.get() as u64 <= reader.info().data_bytes);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it went on and on"
    );
    accepted
}

#[test]
fn every_byte_of_the_description_may_be_anything() {
    let good = good_ring();
    let lie = Lie::new(&good);
    let (mut refused, mut believed) = (0, 0);
    for offset in 0..DESCRIPTION_BYTES {
        for value in [0, 1, 0x7f, 0xff] {
            lie.put(offset, &[value]);
            LARGEST.set(0);
            match lie.open() {
                Ok(mut reader) => {
                    believed += 1;
                    assert!(LARGEST.get() < 16_384);
                    // The sizes are nailed down by the length of the file.
                    assert_eq!(
                        (reader.info().slots, reader.info().data_bytes),
                        (SLOTS.into(), DATA_BYTES)
                    );
                    // The rest of the file is as it was, whatever the description says.
                    assert!(
                        use_all_of(&mut reader)
                            .iter()
                            .all(|(n, frame)| is_frame(frame, *n))
                    );
                }
                Err(OpenError::Invalid(_)) => refused += 1,
                Err(error) => panic!("byte {offset:#x} at {value:#x}: {error}"),
            }
        }
        lie.put(offset, &good[usize_of(offset)..=usize_of(offset)]);
    }
    assert!(refused > 100 && believed > 100, "{refused} {believed}");
}

#[test]
fn the_sizes_may_be_anything() {
    let good = good_ring();
    let lie = Lie::new(&good);
    for data_bytes in WORDS.into_iter().chain((0..64).map(|bit| 1 << bit)) {
        for slots in [0, 1, 2, 3, 4, 1 << 20, 1 << 21, 1 << 31, u32::MAX] {
            for file_bytes in [good.len() as u64, 0, u64::MAX] {
                lie.put(0x0c, &slots.to_ne_bytes());
                lie.put_word(0x10, data_bytes);
                lie.put_word(0x18, file_bytes);
                let is_true =
                    (slots, data_bytes, file_bytes) == (SLOTS, DATA_BYTES, good.len() as u64);
                // Two slots take as many pages as four.
                let fits = is_true
                    || (slots == 2 && data_bytes == DATA_BYTES && file_bytes == good.len() as u64);
                match lie.open() {
                    Ok(mut reader) => {
                        assert!(fits, "{slots} {data_bytes} {file_bytes}");
                        use_all_of(&mut reader);
                    }
                    Err(OpenError::Invalid(_)) => assert!(!is_true),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn a_file_of_any_other_length_is_refused() {
    let good = good_ring();
    let lie = Lie::new(&good);
    let whole = good.len() as u64;
    let odd = [
        1, 7, 8, 63, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193,
    ];
    let lengths = (0..whole).step_by(509).chain(odd).chain([
        whole - 1,
        whole + 1,
        whole + 4096,
        2 * whole,
        1 << 40,
    ]);
    // From the longest down, so that what is left is still the ring's beginning.
    let mut lengths: Vec<u64> = lengths.collect();
    lengths.sort_unstable_by_key(|&length| std::cmp::Reverse(length));
    for length in lengths {
        lie.file.set_len(length).expect("ours");
        let opened = lie.open();
        assert!(
            matches!(opened, Err(OpenError::Invalid(_))),
            "{length}: {opened:?}"
        );
    }
}

#[test]
fn every_word_of_a_slot_and_of_the_control_words_may_be_anything() {
    let good = good_ring();
    let lie = Lie::new(&good);
    let mut reader = lie.open().expect("it is good yet");
    // Each of the four is asked for from both ends, and the oldest once more.
    assert_eq!(use_all_of(&mut reader).len(), 2 * SLOTS as usize + 1);
    let slots_end = SLOTS_OFFSET + u64::from(SLOTS) * SLOT_BYTES;
    for offset in (CONTROL_OFFSET..slots_end).step_by(8) {
        for word in WORDS {
            lie.put_word(offset, word);
            use_all_of(&mut reader);
            if let Ok(mut fresh) = lie.open() {
                use_all_of(&mut fresh);
            }
        }
        let at = usize_of(offset);
        lie.put(offset, &good[at..at + 8]);
    }
}

/// Makes frame 0 the only one, with this place.
fn place_frame(lie: &Lie, position: u64, length: u64) {
    lie.put_word(HEAD_OFFSET, 1);
    lie.put_word(LAST_KEY_OFFSET, 1);
    lie.put_word(RECLAIM_OFFSET, 0);
    lie.put_word(SLOTS_OFFSET, 2);
    lie.put_word(SLOTS_OFFSET + 8, position);
    lie.put_word(SLOTS_OFFSET + 16, length);
}

#[test]
fn a_frame_may_be_said_to_lie_anywhere_and_is_accepted_only_inside_the_data() {
    let lie = Lie::new(&good_ring());
    let reader = lie.open().expect("it is good yet");
    let around =
        |value: u64| (0..4).flat_map(move |by| [value.wrapping_add(by), value.wrapping_sub(by)]);
    let places: Vec<u64> = WORDS
        .into_iter()
        .chain([
            64,
            4096,
            DATA_BYTES - 64,
            DATA_BYTES * 2,
            DATA_BYTES * 3 - 64,
        ])
        .flat_map(around)
        .collect();
    let mut buffer = Vec::new();
    let mut accepted = 0;
    for &position in &places {
        for &length in &places {
            place_frame(&lie, position, length);
            let length = length & u64::from(u32::MAX);
            let start = position % DATA_BYTES;
            let fits = length > 0 && length <= DATA_BYTES - start && start.is_multiple_of(64);
            let read = reader.read(0, &mut buffer);
            if fits {
                assert!(read.is_ok(), "{position} {length}: {read:?}");
                assert_eq!(buffer.len() as u64, length);
                accepted += 1;
            } else {
                assert_eq!(read, Err(ReadError::Corrupt), "{position} {length}");
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn a_frame_longer_than_any_may_be_is_corrupt_even_where_there_is_room() {
    let lie = Lie::new(&good_ring());
    // No memory: a file of holes.
    let data_bytes: u64 = 1 << 30;
    let file_bytes = 8192 + data_bytes;
    lie.file.set_len(file_bytes).expect("ours");
    lie.put_word(0x10, data_bytes);
    lie.put_word(0x18, file_bytes);
    let reader = lie.open().expect("its sizes are possible");
    place_frame(&lie, 0, 256 << 20);
    assert!(reader.meta(0).is_ok());
    place_frame(&lie, 0, (256 << 20) + 1);
    assert_eq!(reader.meta(0), Err(ReadError::Corrupt));
    LARGEST.set(0);
    assert_eq!(reader.read(0, &mut Vec::new()), Err(ReadError::Corrupt));
    assert!(LARGEST.get() < 4096);
}

#[test]
fn a_ring_that_changes_all_the_time_does_no_harm_either() {
    let good = good_ring();
    let lie = Lie::new(&good);
    let mut reader = lie.open().expect("it is good yet");
    let end = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        let (lie, good) = (&lie, &good);
        scope.spawn(move || {
            let mut random = 0x1234_5678_u64;
            while Instant::now() < end {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let offset = CONTROL_OFFSET + (random >> 33) % (0x1200 - CONTROL_OFFSET) / 8 * 8;
                lie.put_word(offset, WORDS[usize_of(random >> 20) % WORDS.len()]);
                lie.put(offset, &good[usize_of(offset)..usize_of(offset) + 8]);
            }
        });
        while Instant::now() < end {
            use_all_of_changing(&mut reader);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_of_any_words_is_borne(
        changes in prop::collection::vec(
            (
                prop_oneof![0..0x100_u64, 0x100..0x200_u64, 0x200..0x240_u64, 0..0x600_u64],
                prop_oneof![prop::sample::select(WORDS.to_vec()), any::<u64>(), 0..20_u64],
            ),
            1..12,
        )
    ) {
        thread_local! {
            static LIE: (Vec<u8>, Lie) = {
                let good = good_ring();
                let lie = Lie::new(&good);
                (good, lie)
            };
        }
        LIE.with(|(good, lie)| {
            let before = lie.open();
            for &(word, value) in &changes {
                lie.put_word(word * 8, value);
            }
            // One who had it open before the change, and one who opens it now.
            for mut reader in before.into_iter().chain(lie.open()) {
                use_all_of(&mut reader);
            }
            lie.put(0, good);
        });
    }
}
