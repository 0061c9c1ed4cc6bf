//! Files of `sdvr record`: whatever they hold, it is told what is in them, and a file that is completed has the frames that it had.
//!
//! The bytes are a file as it is; which container it is, its beginning tells.
#![no_main]

use std::fs::File;
use std::io::Write;

use libfuzzer_sys::fuzz_target;
use sdvr_record::UtcTime;
use sdvr_record::container::{End, frames, recover, scan};

/// A frame as it is read: when it was captured, whether decoding can begin there, and its bytes.
type Frame = (UtcTime, bool, Vec<u8>);

fuzz_target!(|input: &[u8]| {
    let memory = rustix::fs::memfd_create("recordings", rustix::fs::MemfdFlags::CLOEXEC)
        .expect("there is memory");
    let mut file = File::from(memory);
    file.write_all(input).expect("there is memory");
    let Ok(before) = scan(&file) else {
        assert!(frames(&file).is_err() && recover(&file).is_err());
        return;
    };
    assert!(before.whole_bytes <= input.len() as u64);
    let there = all(&file);
    assert_eq!(there.len() as u64, before.frames);
    let recovered = recover(&file).expect("it could be scanned");
    assert_eq!(recovered.was_changed, before.end == End::CutOff);
    let after = scan(&file).expect("it could be scanned before");
    assert_eq!(after, recovered.scan);
    assert_eq!(after.frames, before.frames);
    assert!(all(&file) == there, "other frames than before");
    let again = recover(&file).expect("it could be scanned before");
    assert!(!again.was_changed);
});

fn all(file: &File) -> Vec<Frame> {
    let mut frames = frames(file).expect("it could be scanned");
    let mut all = Vec::new();
    while let Some(at) = frames.try_next().expect("memory can be read") {
        let mut bytes = Vec::new();
        frames.read(&at, &mut bytes).expect("memory can be read");
        all.push((at.captured, at.is_key, bytes));
    }
    all
}
