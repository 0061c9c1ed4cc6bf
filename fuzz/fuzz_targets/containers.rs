//! Files with tracks and times: whatever they hold, frames come out or an error does, at times that do not go back, and it ends; from its beginning and
//! from later on.
//!
//! The bytes are a file as it is; what it is, its beginning tells.
#![no_main]

use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sdvr_frame::Timestamp;
use sdvr_source::{CaptureOptions, Next, PlayFrom, Source, SourceSpec};

/// A step takes at least a byte or a sample, of which thousands in a row may be empty; 256 steps are one call.
const CALLS_MOST: usize = 100_000;

fuzz_target!(|input: &[u8]| {
    let memory = rustix::fs::memfd_create("containers", rustix::fs::MemfdFlags::CLOEXEC)
        .expect("there is memory");
    let mut file = std::fs::File::from(memory);
    file.write_all(input).expect("there is memory");
    file.rewind().expect("a file in memory can be sought in");
    let spec = SourceSpec::File(format!("/proc/self/fd/{}", file.as_raw_fd()).into());
    play(&spec, &CaptureOptions::default());
    let later = CaptureOptions {
        from: Some(PlayFrom::Offset(Duration::from_millis(500))),
        ..CaptureOptions::default()
    };
    play(&spec, &later);
});

fn play(spec: &SourceSpec, options: &CaptureOptions) {
    let mut source = Source::open(spec, options).expect("it is a file");
    let mut now = Timestamp::from_nanoseconds(0);
    let mut last = None;
    for _ in 0..CALLS_MOST {
        match source.try_next(now) {
            Ok(Next::Frame(frame)) => {
                assert!(last.is_none_or(|last| last <= frame.captured));
                last = Some(frame.captured);
            }
            Ok(Next::NotYet) => now = now.max(source.poll_timeout().expect("a file does not wait")),
            Ok(Next::Changed) => unreachable!("only cameras become something else"),
            Ok(Next::Ended) | Err(_) => return,
        }
        let _ = source.description();
    }
    panic!("it never ends");
}
