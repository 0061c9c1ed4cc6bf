//! A statistics page whose bytes lie: refused, or its figures are nonsense.
//!
//! The input is the file. A first byte of 1 puts a good head before the rest and a good checksum behind it, which chance does not find.
#![no_main]

use std::fs::File;
use std::os::fd::AsFd;

use libfuzzer_sys::fuzz_target;
use sdvr_frame::Timestamp;
use sdvr_ring::{StatisticsError, read_statistics};

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir_in("/dev/shm").expect("shared memory is there");
}

/// As LAYOUT.md has it.
fn with_head_and_checksum(figures: &[u8]) -> Vec<u8> {
    let (words, _) = figures.as_chunks::<8>();
    let head = [u64::from_ne_bytes(*b"SDVRSTAT"), 1, words.len() as u64];
    let figures = words.iter().map(|word| u64::from_ne_bytes(*word));
    let mut page: Vec<u64> = head.into_iter().chain(figures).collect();
    let sum = page.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, word| {
        (sum ^ word).wrapping_mul(0x0100_0000_01b3)
    });
    page.push(sum);
    page.into_iter().flat_map(u64::to_ne_bytes).collect()
}

fuzz_target!(|input: &[u8]| {
    let (is_summed, page) = match input.split_first() {
        Some((1, figures)) => (true, with_head_and_checksum(figures)),
        _ => (false, input.to_vec()),
    };
    let result = FOLDER.with(|folder| {
        std::fs::write(folder.path().join("statistics"), &page).expect("the place is ours");
        let directory = File::open(folder.path()).expect("the place is ours");
        read_statistics(directory.as_fd())
    });
    match result {
        Ok(statistics) => {
            let first = page.get(24..32).map(|word| word.to_vec());
            let heartbeat = statistics.heartbeat_ns.to_ne_bytes().to_vec();
            assert!(first == Some(heartbeat) || page.len() == 32);
            let _ = statistics.is_alive(Timestamp::from_nanoseconds(i64::MAX));
            let _ = statistics.is_alive(Timestamp::from_nanoseconds(i64::MIN));
        }
        // Of more figures than any layout has.
        Err(StatisticsError::Damaged) => assert!(!is_summed || page.len() > 256 * 8),
        Err(StatisticsError::Layout { layout }) => assert_ne!(layout, 1),
        Err(error) => panic!("the file is there: {error}"),
    }
});
